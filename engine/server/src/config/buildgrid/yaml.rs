//! A YAML file as a tree that remembers lines and tags: what is said of a file must name its lines, and in BuildGrid's
//! files a tag says what a mapping is.

use std::{collections::HashMap, rc::Rc};

use anyhow::{Context, bail};
use yaml_rust2::{
    Event,
    parser::{MarkedEventReceiver, Parser, Tag},
    scanner::Marker,
};

/// A value and where it stands. Several keys may share one: aliases are not copied.
#[derive(Debug)]
pub(super) struct Node {
    /// Counted from 1.
    pub(super) line: usize,
    /// With its exclamation mark, such as `!channel`.
    pub(super) tag: Option<String>,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    /// As it is written, without quotes.
    Scalar(String),
    List(Vec<Rc<Node>>),
    Map(Vec<Entry>),
}

/// A key of a mapping. Of a key that stands twice the last counts.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Of the key.
    pub(super) line: usize,
    pub(super) node: Rc<Node>,
}

impl Node {
    /// The first document of a text.
    pub(super) fn parse(text: &str) -> anyhow::Result<Rc<Self>> {
        let mut builder = Builder { lines: text.lines().collect(), ..Builder::default() };
        Parser::new_from_str(text).load(&mut builder, false).context("the file is not YAML")?;
        if let Some(problem) = builder.problem {
            bail!(problem);
        }
        builder.root.context("the file is empty")
    }

    /// The keys of a mapping; of anything else none.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Scalar(_) | Value::List(_) => &[],
        }
    }

    /// The entries of a list. BuildGrid takes a single value for a list of one, and so does this.
    pub(super) fn items(self: &Rc<Self>) -> &[Rc<Self>] {
        match &self.value {
            Value::List(items) => items,
            Value::Scalar(_) | Value::Map(_) => std::slice::from_ref(self),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Rc<Self>> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// A scalar that says itself what it is: one with a tag is a word of another place (`!expand-path`, `!read-file`).
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) if self.tag.is_none() => Some(text),
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// A whole number from 0 on, or one with a fraction, which is rounded up.
    pub(super) fn number(&self) -> Option<u64> {
        let text = self.text()?;
        text.parse().ok().or_else(|| {
            let number: f64 = text.parse().ok()?;
            (0.0..1e15).contains(&number).then(|| number.ceil() as u64)
        })
    }

    /// The words that BuildGrid's reader of YAML takes for yes and no.
    pub(super) fn truth(&self) -> Option<bool> {
        match self.text()?.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => None,
        }
    }

    /// Texts of a list.
    pub(super) fn texts(self: &Rc<Self>) -> Option<Vec<String>> {
        self.items().iter().map(|item| item.text().map(str::to_owned)).collect()
    }
}

/// Makes the tree of events.
#[derive(Default)]
struct Builder<'a> {
    lines: Vec<&'a str>,
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
    root: Option<Rc<Node>>,
    problem: Option<String>,
}

/// A list or a mapping whose end has not come.
struct Open {
    line: usize,
    tag: Option<String>,
    anchor: usize,
    value: Value,
    /// Of a mapping: the key whose value comes next.
    key: Option<(String, usize)>,
}

impl MarkedEventReceiver for Builder<'_> {
    fn on_event(&mut self, event: Event, mark: Marker) {
        let line = mark.line();
        match event {
            Event::Scalar(text, _, anchor, tag) => {
                self.add(anchor, Node { line, tag: name(tag), value: Value::Scalar(text) })
            }
            Event::SequenceStart(anchor, tag) => self.begin(line, tag, anchor, Value::List(Vec::new())),
            Event::MappingStart(anchor, tag) => self.begin(line, tag, anchor, Value::Map(Vec::new())),
            Event::SequenceEnd | Event::MappingEnd => {
                let Open { line, tag, anchor, value, .. } = self.open.pop().expect("what ends was begun");
                self.add(anchor, Node { line, tag, value });
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(node) => self.put(node, line),
                None => self.fail(line, "an alias of something that is not complete yet"),
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart | Event::DocumentEnd => {}
        }
    }
}

impl Builder<'_> {
    fn begin(&mut self, line: usize, tag: Option<Tag>, anchor: usize, value: Value) {
        let tag = name(tag);
        let line = tag.as_ref().map_or(line, |tag| self.line_of(tag, line));
        self.open.push(Open { line, tag, anchor, value, key: None });
    }

    /// A tag stands on the line of the first key or above it: the parser knows the key's line only.
    fn line_of(&self, tag: &str, first: usize) -> usize {
        let above = (1..=first).rev().find(|line| self.lines.get(line - 1).is_some_and(|text| text.contains(tag)));
        above.unwrap_or(first)
    }

    fn add(&mut self, anchor: usize, node: Node) {
        let (line, node) = (node.line, Rc::new(node));
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.put(node, line);
    }

    /// Where the node belongs; `line` is where it is named, which for an alias is not where it stands.
    fn put(&mut self, node: Rc<Node>, line: usize) {
        let Some(open) = self.open.last_mut() else {
            self.root.get_or_insert(node);
            return;
        };
        match (&mut open.value, open.key.take()) {
            (Value::List(items), _) => items.push(node),
            (Value::Map(_), None) => match node.text() {
                Some(key) => open.key = Some((key.to_owned(), line)),
                None => self.fail(line, "a key that is no text"),
            },
            (Value::Map(entries), Some((key, _))) if key == "<<" => merge(entries, &node),
            (Value::Map(entries), Some((key, line))) => {
                entries.retain(|entry| entry.key != key);
                entries.push(Entry { key, line, node });
            }
            (Value::Scalar(_), _) => unreachable!("a scalar is never open"),
        }
    }

    fn fail(&mut self, line: usize, problem: &str) {
        self.problem.get_or_insert_with(|| format!("line {line}: {problem}"));
    }
}

/// What the mapping does not say itself it has of the other.
fn merge(entries: &mut Vec<Entry>, from: &Rc<Node>) {
    for other in from.items().iter().flat_map(|node| node.entries()) {
        if entries.iter().all(|entry| entry.key != other.key) {
            entries.push(other.clone());
        }
    }
}

/// Of the file's own tags; those of YAML itself say what the value says anyway.
fn name(tag: Option<Tag>) -> Option<String> {
    tag.filter(|tag| tag.handle == "!").map(|tag| format!("!{}", tag.suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_lines_and_aliases_are_there() {
        let text = "a:\n  - !box &one\n    size: 3\nb: *one\nc: !box\n  <<: *one\n  colour: red\n";
        let root = Node::parse(text).unwrap();
        let (one, same) = (&root.get("a").unwrap().items()[0], root.get("b").unwrap());
        assert!(Rc::ptr_eq(one, same));
        assert_eq!(one.tag.as_deref(), Some("!box"));
        assert_eq!(one.line, 2, "where the tag is");
        assert_eq!((one.entries()[0].line, one.get("size").unwrap().number()), (3, Some(3)));
        assert_eq!(root.entries()[1].line, 4);
        let merged: Vec<_> = root.get("c").unwrap().entries().iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(merged, ["size", "colour"]);
    }

    #[test]
    fn values_are_read_as_buildgrid_reads_them() {
        let root = Node::parse("[yes, Off, '7', 1.5, -1, !expand-path x, ~]").unwrap();
        let items = root.items();
        assert_eq!((items[0].truth(), items[1].truth(), items[2].truth()), (Some(true), Some(false), None));
        assert_eq!((items[2].number(), items[3].number(), items[4].number()), (Some(7), Some(2), None));
        assert_eq!(items[5].text(), None);
        assert_eq!(root.texts(), None);
    }

    #[test]
    fn what_is_no_yaml_is_refused_with_its_line() {
        for (text, part) in [("a: [", "not YAML"), ("", "empty"), ("a: &x [*x]", "line 1"), ("? [k]\n: v", "line 1")] {
            let error = format!("{:#}", Node::parse(text).unwrap_err());
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
