//! How work specs follow one another: chains from a source on, and loops. A work spec has one successor at most.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Config;

/// Lists of work specs, each in the order of its flow.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Graph<'a> {
    pub(crate) paths: Vec<Vec<&'a str>>,
    /// Sources that make their own work: they head no path.
    pub(crate) sources: Vec<Vec<&'a str>>,
    pub(crate) loops: Vec<Vec<&'a str>>,
    pub(crate) continuous: Vec<Vec<&'a str>>,
}

impl<'a> Graph<'a> {
    /// Of the work specs that are configured, and of these.
    pub(crate) fn new(config: &'a Config, lanes: impl Iterator<Item = &'a str>) -> Self {
        let names: BTreeSet<&str> = config.specs.keys().map(String::as_str).chain(lanes).collect();
        let then = |name: &&'a str| config.specs.get(*name)?.then.as_deref().filter(|then| names.contains(then));
        let next: BTreeMap<&str, &str> = names.iter().filter_map(|name| Some((*name, then(name)?))).collect();
        let continuous = |name: &str| config.specs.get(name).is_some_and(|spec| spec.continuous);

        let loops = loops(&names, &next);
        let looped: BTreeSet<&str> = loops.iter().flatten().copied().collect();
        let followed: BTreeSet<&str> = next.values().copied().collect();
        let sources: Vec<&str> =
            names.iter().filter(|name| !looped.contains(**name) && !followed.contains(**name)).copied().collect();
        let single = |wanted: &dyn Fn(&str) -> bool| -> Vec<Vec<&'a str>> {
            names.iter().filter(|name| wanted(name)).map(|name| vec![*name]).collect()
        };
        Self {
            paths: paths(&sources, &next, &looped, continuous),
            sources: single(&|name| continuous(name) && sources.contains(&name)),
            continuous: single(&continuous),
            loops,
        }
    }
}

/// Each loop once, from its first name on.
fn loops<'a>(names: &BTreeSet<&'a str>, next: &BTreeMap<&'a str, &'a str>) -> Vec<Vec<&'a str>> {
    let mut done = BTreeSet::new();
    let mut loops = Vec::new();
    for start in names {
        let mut walk: Vec<&str> = Vec::new();
        let mut at = Some(*start);
        while let Some(name) = at {
            if !done.insert(name) {
                // Into this very walk: a loop. Into an older one: nothing new.
                if let Some(from) = walk.iter().position(|one| *one == name) {
                    loops.push(walk.split_off(from));
                }
                break;
            }
            walk.push(name);
            at = next.get(name).copied();
        }
    }
    loops
}

/// What follows from each source, up to the end or a loop. A path that runs into another stands before it.
fn paths<'a>(
    sources: &[&'a str],
    next: &BTreeMap<&'a str, &'a str>,
    looped: &BTreeSet<&'a str>,
    continuous: impl Fn(&str) -> bool,
) -> Vec<Vec<&'a str>> {
    let mut path_of: BTreeMap<&str, usize> = BTreeMap::new();
    let mut paths: Vec<Vec<&str>> = Vec::new();
    for source in sources {
        let mut path = Vec::new();
        let mut joined = None;
        let mut at = Some(*source);
        while let Some(name) = at.filter(|name| !looped.contains(name)) {
            if let Some(other) = path_of.get(name) {
                joined = Some(*other);
                break;
            }
            // Its units are the weaker kind of work, which the paths come before.
            if name != *source || !continuous(name) {
                path.push(name);
            }
            at = next.get(name).copied();
        }
        let index = joined.unwrap_or(paths.len());
        path_of.extend(path.iter().map(|name| (*name, index)));
        match paths.get_mut(index) {
            Some(other) => _ = other.splice(..0, path),
            None => paths.push(path),
        }
    }
    paths
}
