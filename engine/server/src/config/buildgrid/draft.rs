//! The file that is written: Berth's keys, with a word for each section.

use std::fmt::Write;

use toml::{Table, Value};

const ABOUT: &str = "\
# Made of a BuildGrid configuration by `berth config import-buildgrid`, which also said what has no counterpart.
# `berth config check FILE` tries it out; docs/operating.md explains the keys.
";

/// Sections in the order in which they are written, and what is said of each.
const SECTIONS: [(&str, &str); 6] = [
    (
        "server",
        "Where clients, bots and operators come in. /metrics is on `http`, 127.0.0.1:8981 if nothing is said.\n# Everything that must survive a restart is in the folder `data`, or `berth serve --data`.",
    ),
    ("scheduler", "The rules' numbers."),
    ("store", "What is remembered of jobs, and how long. There is no database to run."),
    ("cas", "Blobs and action results."),
    ("policy", "Who decides what a job needs and which goes first. The plugins come with Berth."),
    ("plugins", "What they are set to, in BuildGrid's own words where it has some."),
];

/// What has been found so far.
#[derive(Debug, Default)]
pub(super) struct Draft(Table);

impl Draft {
    /// Sets a key, unless it has another value already: then that is answered.
    pub(super) fn set(&mut self, path: &[&str], value: Value) -> Result<(), Value> {
        let (last, above) = path.split_last().expect("a path has a key");
        let mut table = &mut self.0;
        for section in above {
            let inner = table.entry(*section).or_insert_with(|| Value::Table(Table::new()));
            table = inner.as_table_mut().expect("a section is a table");
        }
        match table.get(*last) {
            Some(other) if *other != value => Err(other.clone()),
            Some(_) => Ok(()),
            None => {
                table.insert((*last).to_owned(), value);
                Ok(())
            }
        }
    }

    /// Adds to a list, which is there then.
    pub(super) fn push(&mut self, path: &[&str], value: Value) {
        let mut list = match self.get(path) {
            Some(Value::Array(list)) => list.clone(),
            _ => Vec::new(),
        };
        if !list.contains(&value) {
            list.push(value);
        }
        self.replace(path, Value::Array(list));
    }

    /// Sets a key, whatever it was.
    pub(super) fn replace(&mut self, path: &[&str], value: Value) {
        if let Err(_other) = self.set(path, value.clone()) {
            let (last, above) = path.split_last().expect("a path has a key");
            let mut table = &mut self.0;
            for section in above {
                table = table[*section].as_table_mut().expect("it was just seen");
            }
            table.insert((*last).to_owned(), value);
        }
    }

    pub(super) fn get(&self, path: &[&str]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.0.get(*first)?, |value, key| value.get(*key))
    }

    /// The whole file.
    pub(super) fn text(&self) -> String {
        let mut text = ABOUT.to_owned();
        for (section, about) in SECTIONS {
            let Some(keys) = self.0.get(section) else { continue };
            let one = Table::from_iter([(section.to_owned(), keys.clone())]);
            let shown = toml::to_string_pretty(&one).expect("what is TOML can be written");
            write!(text, "\n# {about}\n{shown}").expect("a string takes any text");
        }
        text
    }
}

/// A key with the sections before it, as a file would have it.
pub(super) fn shown(path: &[&str]) -> String {
    let bare = |key: &str| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    let quoted = |key: &&str| if bare(key) { (*key).to_owned() } else { format!("{key:?}") };
    path.iter().map(quoted).collect::<Vec<_>>().join(".")
}
