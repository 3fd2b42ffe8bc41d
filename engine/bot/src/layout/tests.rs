use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use berth_proto::reapi::Command;

use super::*;
use crate::cache::{FileCache, Key};
use crate::digest;
use crate::tree::{DirectoryEntry, SymlinkEntry};

struct Bench {
    folder: tempfile::TempDir,
    cache: Arc<FileCache>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = FileCache::open(folder.path().join("cache"), 1 << 20).unwrap();
        Self { folder, cache }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Lays out `plan` with all its files being `content`.
    async fn lay_out(&self, plan: &Plan, command: Command, inputs: Inputs) -> Result<(), Failure> {
        let mut keys: Vec<_> = plan.files.iter().map(|file| file.key).collect();
        keys.dedup();
        let held: Vec<_> = keys.iter().map(|key| self.cache.keep_for_test(key, b"content")).collect();
        let nowhere = crate::config::connect("127.0.0.1:1").unwrap();
        let cas = crate::cas::CasClient::new(nowhere, "", std::time::Duration::ZERO);
        let loan = self.cache.borrow(&cas, keys).await.unwrap();
        drop(held);
        let outputs = Outputs::of(&command).unwrap();
        lay_out(&self.root(), plan, &outputs, &loan, inputs, &CancellationToken::new())
    }

    fn found(&self, path: &str) -> fs::Metadata {
        fs::symlink_metadata(self.root().join(path)).unwrap()
    }
}

fn file(path: &str, executable: bool, properties: Properties) -> FileEntry {
    FileEntry { path: path.into(), key: Key { digest: digest::of_bytes(b"content"), executable }, properties }
}

fn directory(path: &str, properties: Properties) -> DirectoryEntry {
    DirectoryEntry { path: path.into(), properties }
}

fn plan(files: Vec<FileEntry>) -> Plan {
    Plan { directories: vec![directory("", Properties::default())], files, symlinks: vec![] }
}

#[tokio::test]
async fn plain_files_are_links_and_those_with_wishes_of_their_own_are_copies() {
    let bench = Bench::new();
    let mtime = Timestamp { seconds: 1_000_000, nanos: 5 };
    let wishes = Properties { mtime: Some(mtime), mode: Some(0o640) };
    let plan = plan(vec![file("plain", false, Properties::default()), file("own", false, wishes)]);
    bench.lay_out(&plan, Command::default(), Inputs::Linked).await.unwrap();
    assert_eq!((bench.found("plain").nlink(), bench.found("plain").mode() & 0o777), (2, 0o444));
    let own = bench.found("own");
    assert_eq!((own.nlink(), own.mode() & 0o777), (1, 0o640));
    assert_eq!((own.mtime(), own.mtime_nsec()), (1_000_000, 5));
}

#[tokio::test]
async fn an_input_that_is_also_an_output_is_a_writable_copy() {
    let bench = Bench::new();
    let plan = plan(vec![file("log", true, Properties::default())]);
    let command = Command { output_paths: vec!["log".into()], ..Default::default() };
    bench.lay_out(&plan, command, Inputs::Linked).await.unwrap();
    assert_eq!((bench.found("log").nlink(), bench.found("log").mode() & 0o777), (1, 0o755));
}

#[tokio::test]
async fn without_links_every_file_is_a_copy() {
    let bench = Bench::new();
    let plan = plan(vec![file("plain", false, Properties::default())]);
    bench.lay_out(&plan, Command::default(), Inputs::Copied).await.unwrap();
    assert_eq!(bench.found("plain").nlink(), 1);
}

#[tokio::test]
async fn directories_get_their_properties_after_their_content_is_made() {
    let bench = Bench::new();
    let mtime = Timestamp { seconds: 2_000_000, nanos: 0 };
    let mut plan = plan(vec![file("d/f", false, Properties::default())]);
    plan.directories.push(directory("d", Properties { mtime: Some(mtime), mode: Some(0o555) }));
    plan.symlinks.push(SymlinkEntry { path: "d/l".into(), target: "f".into(), mtime: Some(mtime) });
    let command = Command { output_paths: vec!["d/new/out".into()], ..Default::default() };
    bench.lay_out(&plan, command, Inputs::Linked).await.unwrap();
    let found = bench.found("d");
    assert_eq!((found.mtime(), found.mode() & 0o777), (2_000_000, 0o755));
    assert!(bench.found("d/new").is_dir());
    assert_eq!(bench.found("d/l").mtime(), 2_000_000);
}

#[tokio::test]
async fn directories_for_outputs_are_not_made_through_a_symlink_out_of_the_root() {
    let bench = Bench::new();
    let mut plan = plan(vec![]);
    plan.symlinks.push(SymlinkEntry { path: "up".into(), target: "..".into(), mtime: None });
    let command = Command { output_paths: vec!["up/made/out".into()], ..Default::default() };
    let laid = bench.lay_out(&plan, command, Inputs::Linked).await;
    assert!(matches!(laid, Err(Failure::BadAction(_))));
    assert!(!bench.folder.path().join("made").exists());
}

#[tokio::test]
async fn a_lease_that_is_taken_away_stops_the_layout() {
    let bench = Bench::new();
    let killed = CancellationToken::new();
    killed.cancel();
    let outputs = Outputs::of(&Command::default()).unwrap();
    let laid = lay_out(&bench.root(), &plan(vec![]), &outputs, &Loan::default(), Inputs::Linked, &killed);
    assert_eq!(laid, Err(Failure::Killed));
}
