//! Which blobs an ActionResult names. An entry of the action cache is good only while all of them exist.

use berth_core::Digest;
use berth_proto::reapi::{self, ActionResult};

use crate::tree::Kind;

/// The blobs that an ActionResult names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outputs {
    /// Files, stdout and stderr.
    pub(crate) blobs: Vec<Digest>,
    /// Output directories, to be looked into.
    pub(crate) trees: Vec<(Kind, Digest)>,
}

impl Outputs {
    /// `None`: a digest is missing or bad, so that the result cannot be used.
    pub(crate) fn of(result: &ActionResult) -> Option<Self> {
        let mut outputs = Self::default();
        for file in &result.output_files {
            outputs.blobs.push(parse(file.digest.as_ref()?)?);
        }
        for wire in result.stdout_digest.iter().chain(&result.stderr_digest) {
            outputs.blobs.push(parse(wire)?);
        }
        for directory in &result.output_directories {
            let tree = directory.tree_digest.as_ref().map(|wire| (Kind::Tree, wire));
            let root = directory.root_directory_digest.as_ref().map(|wire| (Kind::Directory, wire));
            if tree.is_none() && root.is_none() {
                return None;
            }
            for (kind, wire) in tree.into_iter().chain(root) {
                outputs.trees.push((kind, parse(wire)?));
            }
        }
        Some(outputs)
    }
}

fn parse(wire: &reapi::Digest) -> Option<Digest> {
    Digest::parse(&wire.hash, wire.size_bytes).ok()
}
