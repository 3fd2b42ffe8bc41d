//! A configuration of BuildGrid's server, read and written as Berth's: `berth config import-buildgrid`.
//!
//! Every key of the file is reported: kept, changed, or without a counterpart, and why. Nothing is looked up elsewhere:
//! what a tag takes from the environment or from another file (`!expand-vars`, `!read-file`) is for a person to fill in.
//! `file` reads what stands on top, `storage`, `scheduler` and `policy` what is below; `without` has what Berth has not.

mod draft;
mod file;
mod policy;
mod report;
mod run;
mod scheduler;
mod storage;
#[cfg(test)]
mod tests;
mod without;
mod yaml;

use std::{collections::HashSet, rc::Rc};

use toml::Value;

pub(crate) use self::run::{ImportArgs, run};
use self::{
    draft::{Draft, shown},
    report::{Line, Outcome},
    yaml::{Entry, Node},
};

/// Whoever takes the file as it is must not find out later.
const UNGUARDED: &str = "\
# CAREFUL: the file asked for TLS or for who clients are, and of that nothing is here. As this file is, whoever reaches
# server.grpc may do everything: set server.grpc to an address that only a proxy reaches which asks in Berth's place.

";

/// What was read.
struct Imported {
    /// Berth's configuration file.
    text: String,
    /// In the order of the file.
    lines: Vec<Line>,
}

/// Reads a file. Fails if it is not a configuration of BuildGrid's server.
fn import(text: &str) -> anyhow::Result<Imported> {
    let mut import = Import::default();
    import.file(&Node::parse(text)?)?;
    let Import { draft, mut lines, .. } = import;
    lines.sort();
    let unguarded =
        |line: &Line| ["authorization.", "!channel.credentials"].iter().any(|key| line.key.starts_with(key));
    let text = if lines.iter().any(unguarded) { format!("{UNGUARDED}{}", draft.text()) } else { draft.text() };
    Ok(Imported { text, lines })
}

/// What is known while the file is read.
#[derive(Default)]
struct Import {
    draft: Draft,
    lines: Vec<Line>,
    /// What was read already: aliases lead there again.
    seen: HashSet<*const Node>,
}

impl Import {
    /// Whether this is the first time that something leads here.
    fn is_new(&mut self, node: &Rc<Node>) -> bool {
        self.seen.insert(Rc::as_ptr(node))
    }

    fn note(&mut self, (line, key): (usize, String), outcome: Outcome, becomes: String, because: &str) {
        self.lines.push(Line { line, key, outcome, becomes, because: because.to_owned() });
    }

    fn kept(&mut self, kind: &str, entry: &Entry, becomes: impl Into<String>) {
        self.note(at(kind, entry), Outcome::Kept, becomes.into(), "");
    }

    fn changed(&mut self, kind: &str, entry: &Entry, becomes: impl Into<String>, because: &str) {
        self.note(at(kind, entry), Outcome::Changed, becomes.into(), because);
    }

    fn without(&mut self, kind: &str, entry: &Entry, because: &str) {
        self.note(at(kind, entry), Outcome::NoCounterpart, String::new(), because);
    }

    /// A key that nobody reads: the table says why.
    fn other(&mut self, kind: &str, entry: &Entry) {
        let because = without::reason(kind, &entry.key).unwrap_or("it is no word of BuildGrid's that Berth knows");
        self.without(kind, entry, because);
    }

    /// A thing that has no counterpart as a whole.
    fn whole(&mut self, node: &Node, because: &str) {
        let what = node.tag.clone().unwrap_or_else(|| "value".to_owned());
        self.note((node.line, what), Outcome::NoCounterpart, String::new(), because);
    }

    /// Something that the file leaves to BuildGrid's default, and Berth's is another.
    fn unsaid(&mut self, node: &Node, key: &str, becomes: &str, because: &str) {
        let what = node.tag.as_deref().unwrap_or("file");
        self.note((node.line, format!("{what}.{key} (not set)")), Outcome::Changed, becomes.to_owned(), because);
    }

    /// A list of a thing as this; each is reported where it stands.
    fn each(&mut self, node: &Rc<Node>, mut read: impl FnMut(&mut Self, &Rc<Node>)) {
        for item in node.items() {
            read(self, item);
        }
    }

    /// Berth's key has the value, unless it has another one already.
    fn set(&mut self, kind: &str, entry: &Entry, path: &[&str], value: impl Into<Value>, because: &str) {
        let value = value.into();
        let written = format!("{} = {value}", shown(path));
        match self.draft.set(path, value) {
            Ok(()) if because.is_empty() => self.kept(kind, entry, written),
            Ok(()) => self.changed(kind, entry, written, because),
            Err(stands) => {
                let because = format!("Berth has one value for all, and {} = {stands} is written already", shown(path));
                self.without(kind, entry, &because);
            }
        }
    }

    /// A value that could not be read.
    fn odd(&mut self, kind: &str, entry: &Entry, expected: &str) {
        let because = match &entry.node.tag {
            Some(tag) => format!("Berth's file has no {tag}: set the value itself"),
            None => format!("the value is not {expected}"),
        };
        self.without(kind, entry, &because);
    }

    /// A whole number of the file.
    fn set_number(&mut self, kind: &str, entry: &Entry, path: &[&str]) {
        match entry.node.number().and_then(|number| i64::try_from(number).ok()) {
            Some(number) => self.set(kind, entry, path, number, ""),
            None => self.odd(kind, entry, "a number"),
        }
    }
}

/// Where it stands, and what it is called in reports.
fn at(kind: &str, entry: &Entry) -> (usize, String) {
    (entry.line, if kind == "file" { entry.key.clone() } else { format!("{kind}.{}", entry.key) })
}
