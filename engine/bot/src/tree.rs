//! The input tree of an action: fetched, checked, and laid flat into a plan that can be written to disk.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use berth_core::Digest;
use berth_proto::reapi::{Directory, NodeProperties};
use bytes::Bytes;
use prost::Message;
use prost_types::Timestamp;

use crate::cache::Key;
use crate::cas::{BATCH_BLOB_BYTES_MAX, CasClient, batches};
use crate::digest;
use crate::error::Failure;
use crate::paths::node_name;

/// Equal subtrees are one message, so a few small messages can describe more files than any disk holds.
const NODES_MAX: usize = 1_000_000;
/// `PATH_MAX` of Linux: nothing longer can be opened by its path.
const PATH_BYTES_MAX: usize = 4096;

/// All distinct directories below `root`.
pub(crate) struct InputTree {
    root: Digest,
    directories: HashMap<Digest, Directory>,
}

/// The input root as a list of things to make, parents first.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) directories: Vec<DirectoryEntry>,
    pub(crate) files: Vec<FileEntry>,
    pub(crate) symlinks: Vec<SymlinkEntry>,
}

/// What a node asks for beyond its content.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Properties {
    pub(crate) mtime: Option<Timestamp>,
    /// Permission bits only: no set-user-id from the wire.
    pub(crate) mode: Option<u32>,
}

#[derive(Debug)]
pub(crate) struct DirectoryEntry {
    /// Relative to the root, as all paths here; empty for the root itself.
    pub(crate) path: PathBuf,
    pub(crate) properties: Properties,
}

#[derive(Debug)]
pub(crate) struct FileEntry {
    pub(crate) path: PathBuf,
    pub(crate) key: Key,
    pub(crate) properties: Properties,
}

#[derive(Debug)]
pub(crate) struct SymlinkEntry {
    pub(crate) path: PathBuf,
    pub(crate) target: String,
    pub(crate) mtime: Option<Timestamp>,
}

impl InputTree {
    /// Fetches all directories: with GetTree in one call, then by digest what that left out.
    pub(crate) async fn fetch(cas: &CasClient, root: Digest) -> Result<Self, Failure> {
        let mut tree = Self { root, directories: HashMap::new() };
        if root.size_bytes > 0 {
            match cas.get_tree(&root).await {
                // The reply does not say which digest a directory has. One that does not encode to the bytes that it
                // came from (fields we do not know) is simply not found below, and fetched.
                Ok(directories) => tree.directories.extend(
                    directories.into_iter().map(|directory| (digest::of_bytes(&directory.encode_to_vec()), directory)),
                ),
                // Incomplete or not offered: the walk finds out which blobs are missing.
                Err(status) => tracing::debug!(code = ?status.code(), "GetTree failed; the tree is walked"),
            }
        }
        tree.walk(cas).await?;
        Ok(tree)
    }

    async fn walk(&mut self, cas: &CasClient) -> Result<(), Failure> {
        let mut level = vec![self.root];
        let mut seen = HashSet::from([self.root]);
        while !level.is_empty() {
            let unknown: Vec<_> =
                level.iter().filter(|digest| !self.directories.contains_key(digest)).copied().collect();
            self.fetch_level(cas, unknown).await?;
            let mut below = Vec::new();
            for directory in level.iter().map(|digest| &self.directories[digest]) {
                for child in &directory.directories {
                    let child = digest::parse(child.digest.as_ref(), "input directory")?;
                    if seen.insert(child) {
                        below.push(child);
                    }
                }
            }
            level = below;
        }
        Ok(())
    }

    async fn fetch_level(&mut self, cas: &CasClient, unknown: Vec<Digest>) -> Result<(), Failure> {
        let (small, large): (Vec<_>, Vec<_>) =
            unknown.into_iter().partition(|digest| digest.size_bytes > 0 && digest.size_bytes <= BATCH_BLOB_BYTES_MAX);
        let mut missing = Vec::new();
        for batch in batches(small, |digest| digest.size_bytes) {
            for (digest, data) in cas.read_batch(&batch).await? {
                match data {
                    Some(data) => drop(self.directories.insert(digest, decode(&digest, data)?)),
                    None => missing.push(digest),
                }
            }
        }
        // Large ones, and the empty directory, which is never sent.
        for digest in large {
            match cas.read_message(&digest, "input directory").await {
                Ok(directory) => drop(self.directories.insert(digest, directory)),
                Err(Failure::Missing(digests)) => missing.extend(digests),
                Err(failure) => return Err(failure),
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(Failure::Missing(missing)) }
    }

    /// Checks every node and lays the tree flat.
    pub(crate) fn plan(&self) -> Result<Plan, Failure> {
        let mut plan = Plan::default();
        let mut open = vec![(PathBuf::new(), self.root)];
        let mut nodes = 0;
        while let Some((path, digest)) = open.pop() {
            let directory = &self.directories[&digest];
            nodes += directory.files.len() + directory.symlinks.len() + directory.directories.len();
            if nodes > NODES_MAX {
                return Err(Failure::BadAction(format!("the input tree has more than {NODES_MAX} nodes")));
            }
            self.plan_directory(&path, directory, &mut plan, &mut open)?;
            plan.directories.push(DirectoryEntry { path, properties: properties(directory.node_properties.as_ref())? });
        }
        Ok(plan)
    }

    fn plan_directory(
        &self,
        path: &Path,
        directory: &Directory,
        plan: &mut Plan,
        open: &mut Vec<(PathBuf, Digest)>,
    ) -> Result<(), Failure> {
        let mut names = HashSet::new();
        let mut child = |name: &str| {
            let below = path.join(node_name(name)?);
            if !names.insert(name.to_owned()) {
                return Err(Failure::BadAction(format!("the input tree has {name:?} twice in one directory")));
            }
            if below.as_os_str().len() > PATH_BYTES_MAX {
                return Err(Failure::BadAction("the input tree has a path that is too long".into()));
            }
            Ok(below)
        };
        for file in &directory.files {
            plan.files.push(FileEntry {
                path: child(&file.name)?,
                key: Key { digest: digest::parse(file.digest.as_ref(), "input file")?, executable: file.is_executable },
                properties: properties(file.node_properties.as_ref())?,
            });
        }
        for link in &directory.symlinks {
            if link.target.is_empty() || link.target.contains('\0') {
                return Err(Failure::BadAction(format!("the symlink {:?} has no usable target", link.name)));
            }
            plan.symlinks.push(SymlinkEntry {
                path: child(&link.name)?,
                target: link.target.clone(),
                mtime: properties(link.node_properties.as_ref())?.mtime,
            });
        }
        for below in &directory.directories {
            open.push((child(&below.name)?, digest::parse(below.digest.as_ref(), "input directory")?));
        }
        Ok(())
    }
}

/// Node properties that we do not know are left alone: they describe, they do not demand.
fn properties(given: Option<&NodeProperties>) -> Result<Properties, Failure> {
    let Some(given) = given else { return Ok(Properties::default()) };
    if let Some(mtime) = &given.mtime
        && !(0..1_000_000_000).contains(&mtime.nanos)
    {
        return Err(Failure::BadAction("a node's mtime is not a valid timestamp".into()));
    }
    Ok(Properties { mtime: given.mtime, mode: given.unix_mode.map(|mode| mode & 0o777) })
}

fn decode(digest: &Digest, data: Bytes) -> Result<Directory, Failure> {
    Directory::decode(data)
        .map_err(|error| Failure::BadAction(format!("input directory {digest} does not parse: {error}")))
}

#[cfg(test)]
mod tests {
    use berth_proto::reapi::{DirectoryNode, FileNode, SymlinkNode};

    use super::*;

    /// A tree of these directories, the first one being the root.
    fn tree(directories: Vec<Directory>) -> InputTree {
        let digested: Vec<_> =
            directories.into_iter().map(|one| (digest::of_bytes(&one.encode_to_vec()), one)).collect();
        InputTree { root: digested[0].0, directories: digested.into_iter().collect() }
    }

    fn file(name: &str) -> FileNode {
        FileNode { name: name.into(), digest: Some(digest::wire(&digest::of_bytes(b"x"))), ..Default::default() }
    }

    fn folder(name: &str, content: &Directory) -> DirectoryNode {
        DirectoryNode { name: name.into(), digest: Some(digest::wire(&digest::of_bytes(&content.encode_to_vec()))) }
    }

    #[test]
    fn a_tree_is_laid_flat_with_parents_first() {
        let leaf = Directory { files: vec![file("f")], ..Default::default() };
        let middle = Directory { directories: vec![folder("leaf", &leaf)], ..Default::default() };
        let root = Directory {
            directories: vec![folder("one", &middle), folder("two", &leaf)],
            symlinks: vec![SymlinkNode { name: "l".into(), target: "one/leaf/f".into(), ..Default::default() }],
            ..Default::default()
        };
        let plan = tree(vec![root, middle, leaf]).plan().unwrap();
        let made: Vec<_> = plan.directories.iter().map(|entry| entry.path.as_path()).collect();
        for path in &made {
            assert!(path.parent().is_none_or(
                |parent| made.iter().position(|one| one == &parent) < made.iter().position(|one| one == path)
            ));
        }
        let mut files: Vec<_> = plan.files.iter().map(|entry| entry.path.to_str().unwrap()).collect();
        files.sort_unstable();
        assert_eq!(files, ["one/leaf/f", "two/f"]);
        assert_eq!(plan.symlinks[0].target, "one/leaf/f");
    }

    #[test]
    fn bad_names_and_names_given_twice_are_the_actions_fault() {
        for name in ["..", "a/b", "", "x\0"] {
            let root = Directory { files: vec![file(name)], ..Default::default() };
            assert!(matches!(tree(vec![root]).plan(), Err(Failure::BadAction(_))), "{name:?}");
        }
        let twice = Directory {
            files: vec![file("same")],
            symlinks: vec![SymlinkNode { name: "same".into(), target: "/etc".into(), ..Default::default() }],
            ..Default::default()
        };
        assert!(matches!(tree(vec![twice]).plan(), Err(Failure::BadAction(_))));
    }

    #[test]
    fn a_tree_that_unfolds_without_end_is_refused() {
        let mut levels = vec![Directory { files: vec![file("f")], ..Default::default() }];
        for _ in 0..40 {
            let below = levels.last().unwrap();
            let next = Directory { directories: vec![folder("a", below), folder("b", below)], ..Default::default() };
            levels.push(next);
        }
        levels.reverse();
        assert!(matches!(tree(levels).plan(), Err(Failure::BadAction(_))));
    }

    #[test]
    fn only_permission_bits_are_taken_from_a_mode() {
        let given = NodeProperties { unix_mode: Some(0o104_755), ..Default::default() };
        assert_eq!(properties(Some(&given)).unwrap().mode, Some(0o755));
    }
}
