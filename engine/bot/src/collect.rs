//! Finds the outputs of a command and describes them as an ActionResult. Reads the disk, and blocks; sending the
//! content to the CAS is for `upload`.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use berth_core::Digest;
use berth_proto::reapi::command::OutputDirectoryFormat;
use berth_proto::reapi::{
    ActionResult, Command, Directory, DirectoryNode, FileNode, NodeProperties, OutputDirectory, OutputFile,
    OutputSymlink, SymlinkNode, Tree,
};
use bytes::Bytes;
use prost::Message;
use prost_types::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::digest;
use crate::error::Failure;
use crate::layout::alive;
use crate::paths::{below_root, stays_inside};
use crate::upload::{Blob, Source};

/// Output of the command up to this size travels inside the result.
const INLINE_BYTES_MAX: u64 = 16 << 10;

/// What a command says about its outputs, checked.
#[derive(Debug)]
pub(crate) struct Outputs {
    working_directory: PathBuf,
    wanted: Vec<Wanted>,
    /// The paths of `wanted`, to ask what lies below one.
    paths: HashSet<PathBuf>,
    want_mtime: bool,
    want_mode: bool,
    format: OutputDirectoryFormat,
}

#[derive(Debug)]
struct Wanted {
    /// As the client wrote it: the result repeats it.
    name: String,
    /// Relative to the root.
    path: PathBuf,
    kind: Kind,
}

/// Which field asked for an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `output_paths`: whatever it turns out to be.
    Any,
    /// `output_files`, from clients of REAPI 2.0.
    File,
    /// `output_directories`, likewise.
    Directory,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    /// Outputs only; exit code and metadata are the caller's.
    pub(crate) result: ActionResult,
    pub(crate) blobs: Vec<Blob>,
    /// An output that is of another kind than the client said: REAPI has this as FAILED_PRECONDITION.
    pub(crate) mismatch: Option<String>,
}

impl Outputs {
    pub(crate) fn of(command: &Command) -> Result<Self, Failure> {
        let working_directory = below_root(Path::new(""), &command.working_directory)?;
        let any = command.output_paths.iter().map(|name| (name, Kind::Any));
        let files = command.output_files.iter().map(|name| (name, Kind::File));
        let directories = command.output_directories.iter().map(|name| (name, Kind::Directory));
        // The newer field makes the older ones void.
        let named: Vec<_> = if any.len() > 0 { any.collect() } else { files.chain(directories).collect() };
        let mut wanted = Vec::with_capacity(named.len());
        let mut names = HashSet::new();
        for (name, kind) in named {
            if names.insert(name) {
                wanted.push(Wanted { name: name.clone(), path: below_root(&working_directory, name)?, kind });
            }
        }
        let asked = &command.output_node_properties;
        if let Some(unknown) = asked.iter().find(|name| !["mtime", "unix_mode"].contains(&name.as_str())) {
            return Err(Failure::BadAction(format!(
                "output_node_properties: {unknown:?} is not known; expected mtime or unix_mode"
            )));
        }
        Ok(Self {
            working_directory,
            paths: wanted.iter().map(|one| one.path.clone()).collect(),
            wanted,
            want_mtime: asked.iter().any(|name| name == "mtime"),
            want_mode: asked.iter().any(|name| name == "unix_mode"),
            // An unknown format means TREE_ONLY, says REAPI.
            format: OutputDirectoryFormat::try_from(command.output_directory_format).unwrap_or_default(),
        })
    }

    /// Relative to the root, as all paths here.
    pub(crate) fn working_directory(&self) -> &Path {
        &self.working_directory
    }

    /// The working directory and the parents of all outputs: they are there before the command starts.
    pub(crate) fn directories_to_make(&self) -> impl Iterator<Item = &Path> {
        let parents = self.wanted.iter().filter_map(|one| one.path.parent());
        parents.chain([self.working_directory.as_path()]).collect::<BTreeSet<_>>().into_iter()
    }

    /// Whether `path` is an output or lies below one, so that the command may well write to it.
    pub(crate) fn covers(&self, path: &Path) -> bool {
        path.ancestors().any(|above| self.paths.contains(above))
    }

    /// Looks for every output under `root`. Those that are not there are left out.
    pub(crate) fn collect(&self, root: &Path, killed: &CancellationToken) -> Result<Collected, Failure> {
        let mut collected = Collected::default();
        for wanted in &self.wanted {
            self.collect_one(root, wanted, &mut collected, killed)?;
        }
        Ok(collected)
    }

    fn collect_one(
        &self,
        root: &Path,
        wanted: &Wanted,
        collected: &mut Collected,
        killed: &CancellationToken,
    ) -> Result<(), Failure> {
        let path = root.join(&wanted.path);
        let name = wanted.name.clone();
        let found = match fs::symlink_metadata(&path) {
            Ok(found) => found,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(());
            }
            Err(error) => return Err(trouble(&error)),
        };
        // The parent, since an output that is itself a symlink is described and not followed.
        let parent = if wanted.path.as_os_str().is_empty() { root } else { path.parent().expect("it is below root") };
        if !stays_inside(root, parent).map_err(|error| trouble(&error))? {
            return Err(Failure::BadAction(format!("the output {name:?} leaves the input root")));
        }
        let result = &mut collected.result;
        if found.is_symlink() {
            let link =
                OutputSymlink { path: name, target: link_target(&path)?, node_properties: self.properties(&found) };
            let to_directory = path.is_dir();
            if (wanted.kind == Kind::File && to_directory) || (wanted.kind == Kind::Directory && path.is_file()) {
                return collected.mismatch(&wanted.name, "is a symlink to something of another kind");
            }
            // The older lists also for newer clients: servers may hand a cached result to an older one.
            if wanted.kind == Kind::Any {
                result.output_symlinks.push(link.clone());
            }
            if wanted.kind == Kind::Directory || to_directory {
                result.output_directory_symlinks.push(link);
            } else {
                result.output_file_symlinks.push(link);
            }
        } else if found.is_file() {
            if wanted.kind == Kind::Directory {
                return collected.mismatch(&wanted.name, "is a file");
            }
            alive(killed)?;
            let digest = file_digest(&path)?;
            result.output_files.push(OutputFile {
                path: name,
                digest: Some(digest::wire(&digest)),
                is_executable: is_executable(&found),
                node_properties: self.properties(&found),
                ..Default::default()
            });
            collected.blobs.push(Blob { digest, source: Source::File(path) });
        } else if found.is_dir() {
            if wanted.kind == Kind::File {
                return collected.mismatch(&wanted.name, "is a directory");
            }
            let directory = self.collect_directory(name, &path, &mut collected.blobs, killed)?;
            collected.result.output_directories.push(directory);
        }
        // Sockets, pipes and devices cannot be described; as outputs they are not there.
        Ok(())
    }

    fn collect_directory(
        &self,
        name: String,
        path: &Path,
        blobs: &mut Vec<Blob>,
        killed: &CancellationToken,
    ) -> Result<OutputDirectory, Failure> {
        let mut walk = Walk { outputs: self, killed, blobs, below: Vec::new(), seen: HashSet::new() };
        let root = walk.directory(path)?;
        let mut children = walk.below;
        let mut described = OutputDirectory { path: name, is_topologically_sorted: true, ..OutputDirectory::default() };
        let (tree, hierarchy) = match self.format {
            OutputDirectoryFormat::TreeOnly => (true, false),
            OutputDirectoryFormat::DirectoryOnly => (false, true),
            OutputDirectoryFormat::TreeAndDirectory => (true, true),
        };
        if hierarchy {
            let root = Blob::memory(root.encode_to_vec());
            described.root_directory_digest = Some(digest::wire(&root.digest));
            blobs.push(root);
            blobs.extend(children.iter().map(|child| Blob::memory(child.encode_to_vec())));
        }
        if tree {
            // The walk names children before their parents; readers of a stream like it the other way round.
            children.reverse();
            let tree = Blob::memory(Tree { root: Some(root), children }.encode_to_vec());
            described.tree_digest = Some(digest::wire(&tree.digest));
            blobs.push(tree);
        }
        Ok(described)
    }

    /// The properties that the client asked for.
    fn properties(&self, found: &Metadata) -> Option<NodeProperties> {
        (self.want_mtime || self.want_mode).then(|| NodeProperties {
            mtime: self.want_mtime.then(|| Timestamp {
                seconds: found.mtime(),
                nanos: i32::try_from(found.mtime_nsec()).expect("nanoseconds are below 10^9"),
            }),
            unix_mode: self.want_mode.then(|| found.mode() & 0o7777),
            ..NodeProperties::default()
        })
    }
}

impl Collected {
    fn mismatch(&mut self, name: &str, what: &str) -> Result<(), Failure> {
        self.mismatch.get_or_insert_with(|| format!("the output {name:?} {what}"));
        Ok(())
    }

    /// Adds what the command printed: small output inside the result, large output as a blob.
    pub(crate) fn add_printed(&mut self, stdout: &Path, stderr: &Path) -> Result<(), Failure> {
        (self.result.stdout_raw, self.result.stdout_digest) = self.printed(stdout)?;
        (self.result.stderr_raw, self.result.stderr_digest) = self.printed(stderr)?;
        Ok(())
    }

    fn printed(&mut self, path: &Path) -> Result<(Bytes, Option<berth_proto::reapi::Digest>), Failure> {
        let size_bytes = fs::metadata(path).map_err(|error| trouble(&error))?.len();
        if size_bytes <= INLINE_BYTES_MAX {
            return Ok((fs::read(path).map_err(|error| trouble(&error))?.into(), None));
        }
        let digest = digest::of_file(path).map_err(|error| trouble(&error))?;
        self.blobs.push(Blob { digest, source: Source::File(path.to_owned()) });
        Ok((Bytes::new(), Some(digest::wire(&digest))))
    }
}

/// One output directory on its way to being described.
struct Walk<'a> {
    outputs: &'a Outputs,
    killed: &'a CancellationToken,
    blobs: &'a mut Vec<Blob>,
    /// Each distinct directory below the top once, children before parents.
    below: Vec<Directory>,
    seen: HashSet<Digest>,
}

impl Walk<'_> {
    /// Recursion is bounded by the longest path that can be opened.
    fn directory(&mut self, path: &Path) -> Result<Directory, Failure> {
        alive(self.killed)?;
        let found = fs::symlink_metadata(path).map_err(|error| trouble(&error))?;
        let mut described = Directory { node_properties: self.outputs.properties(&found), ..Directory::default() };
        // Sorted, so that equal directories have equal digests.
        for name in sorted_names(path)? {
            let below = path.join(&name);
            let found = fs::symlink_metadata(&below).map_err(|error| trouble(&error))?;
            let node_properties = self.outputs.properties(&found);
            if found.is_symlink() {
                described.symlinks.push(SymlinkNode { name, target: link_target(&below)?, node_properties });
            } else if found.is_dir() {
                let child = self.directory(&below)?;
                let digest = digest::of_bytes(&child.encode_to_vec());
                described.directories.push(DirectoryNode { name, digest: Some(digest::wire(&digest)) });
                if self.seen.insert(digest) {
                    self.below.push(child);
                }
            } else if found.is_file() {
                let digest = file_digest(&below)?;
                described.files.push(FileNode {
                    name,
                    digest: Some(digest::wire(&digest)),
                    is_executable: is_executable(&found),
                    node_properties,
                });
                self.blobs.push(Blob { digest, source: Source::File(below) });
            }
        }
        Ok(described)
    }
}

fn sorted_names(path: &Path) -> Result<Vec<String>, Failure> {
    let entries = with_access(path, 0o700, || fs::read_dir(path)).map_err(|error| trouble(&error))?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| trouble(&error))?.file_name();
        names.push(name.into_string().map_err(|name| not_utf8(&name))?);
    }
    names.sort_unstable();
    Ok(names)
}

fn link_target(path: &Path) -> Result<String, Failure> {
    fs::read_link(path)
        .map_err(|error| trouble(&error))?
        .into_os_string()
        .into_string()
        .map_err(|target| not_utf8(&target))
}

fn file_digest(path: &Path) -> Result<Digest, Failure> {
    with_access(path, 0o600, || digest::of_file(path)).map_err(|error| trouble(&error))
}

/// A command may leave outputs that even their owner cannot read.
fn with_access<T>(path: &Path, mode: u32, open: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match open() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let now = fs::metadata(path)?.mode();
            fs::set_permissions(path, Permissions::from_mode(now & 0o777 | mode))?;
            open()
        }
        result => result,
    }
}

fn is_executable(found: &Metadata) -> bool {
    found.mode() & 0o100 != 0
}

fn not_utf8(name: &std::ffi::OsStr) -> Failure {
    Failure::BadAction(format!("an output is named {name:?}, which is not UTF-8"))
}

fn trouble(error: &io::Error) -> Failure {
    Failure::io("reading an output", error)
}

#[cfg(test)]
mod tests;
