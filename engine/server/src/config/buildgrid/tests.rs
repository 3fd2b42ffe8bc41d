//! Configurations of our own making, in shapes that sites have. What comes of each stands beside it, for a reader to judge;
//! `UPDATE_EXPECT=1 cargo test` writes it anew.

use std::{fmt::Write, path::Path};

use expect_test::expect_file;

use super::*;
use crate::{
    cli::ServeArgs,
    config::{Config, Raw},
    policy,
};

const EXAMPLES: [&str; 7] = [
    "all-in-one",
    "scheduler-of-a-split-site",
    "storage-of-a-split-site",
    "cohorts",
    "property-sets",
    "jwt-and-tls",
    "metering",
];

fn imported(example: &str) -> Imported {
    let file = format!("{}/src/config/buildgrid/tests/{example}.yml", env!("CARGO_MANIFEST_DIR"));
    import(&std::fs::read_to_string(Path::new(&file)).unwrap()).unwrap()
}

#[test]
fn each_example_becomes_what_stands_beside_it() {
    for example in EXAMPLES {
        let Imported { text, lines } = imported(example);
        let report = lines.iter().fold(String::new(), |mut report, line| {
            writeln!(report, "{line}").unwrap();
            report
        });
        expect_file![format!("tests/{example}.toml")].assert_eq(&text);
        expect_file![format!("tests/{example}.report.txt")].assert_eq(&report);
    }
}

/// With the plugins and their schemas, as a start would.
#[test]
fn what_is_written_is_a_configuration_of_berth() {
    let data = tempfile::tempdir().unwrap();
    for example in EXAMPLES {
        let raw = Raw::parse(&imported(example).text).unwrap_or_else(|error| panic!("{example}: {error:#}"));
        let args = ServeArgs { data: Some(data.path().to_owned()), ..ServeArgs::default() };
        let config = Config::merge(raw, &args).unwrap_or_else(|error| panic!("{example}: {error:#}"));
        policy::rehearse(&config).unwrap_or_else(|error| panic!("{example}: {error:#}"));
    }
}

/// A key is on a line of its own in the examples, or in braces: either way its line is in the report.
#[test]
fn no_key_is_passed_over() {
    for example in EXAMPLES {
        let file = format!("{}/src/config/buildgrid/tests/{example}.yml", env!("CARGO_MANIFEST_DIR"));
        let root = Node::parse(&std::fs::read_to_string(file).unwrap()).unwrap();
        let mut silent = Vec::new();
        let lines = imported(example).lines;
        let said = |line: usize| lines.iter().any(|said| said.line == line);
        for section in root.entries().iter().filter(|entry| !said(entry.line)) {
            let inside = inside(&section.node);
            if !inside.iter().any(|line| said(*line)) {
                silent.push(section.key.clone());
            }
        }
        assert!(silent.is_empty(), "{example}: nothing is said of {silent:?}");
    }
}

fn inside(node: &Rc<Node>) -> Vec<usize> {
    let children: Vec<&Rc<Node>> = match &node.value {
        yaml::Value::Scalar(_) => Vec::new(),
        yaml::Value::List(items) => items.iter().collect(),
        yaml::Value::Map(entries) => entries.iter().map(|entry| &entry.node).collect(),
    };
    std::iter::once(node.line).chain(children.into_iter().flat_map(inside)).collect()
}

#[test]
fn only_a_word_that_buildgrid_does_not_have_either_is_unknown() {
    let unknown: Vec<_> = EXAMPLES
        .iter()
        .flat_map(|example| imported(example).lines)
        .filter(|line| line.because.starts_with("it is no word"))
        .map(|line| line.key)
        .collect();
    assert_eq!(unknown, ["!sql-scheduler.made-up-key"]);
}

#[test]
fn what_is_no_configuration_of_buildgrid_is_refused() {
    for (text, part) in [
        ("[server]\ndata = \"d\"\n", "expected a YAML mapping with the keys server and instances"),
        ("server: []\n", "expected a YAML mapping"),
        ("services:\n  web:\n    image: nginx\n", "expected a YAML mapping"),
        ("a: [", "not YAML"),
    ] {
        let error = format!("{:#}", import(text).err().expect("it is refused"));
        assert!(error.contains(part), "{text}: {error}");
    }
}

/// Addresses with passwords and keys of other services are not needed, and reports are pasted into tickets.
#[test]
fn secrets_are_not_repeated() {
    for example in EXAMPLES {
        let Imported { text, lines } = imported(example);
        let said = lines.iter().fold(text, |said, line| format!("{said}\n{line}"));
        for secret in ["insecure@", "minio", "secret-key =", "sentry.example"] {
            assert!(!said.contains(secret), "{example} tells {secret}");
        }
    }
}
