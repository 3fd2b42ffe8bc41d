//! A store that cannot open says which folder, and what the operator can do.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use berth_runtime::store::{Batch, Commit, PartitionId, Store, Table};
use berth_store::{OpenError, RocksOptions, RocksStore};
use rocksdb::{DB, Options};
use tempfile::TempDir;

const P: PartitionId = PartitionId(1);

fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder is made")
}

fn open(path: &Path) -> Result<RocksStore, OpenError> {
    RocksStore::open(path, &RocksOptions::default())
}

/// The error's message, which must name the folder whatever else it says.
fn refusal(path: &Path, options: &RocksOptions) -> (OpenError, String) {
    match RocksStore::open(path, options) {
        Ok(_) => panic!("the store opened"),
        Err(error) => {
            let message = error.to_string();
            assert!(message.contains(&path.display().to_string()), "{message}");
            (error, message)
        }
    }
}

#[test]
fn a_folder_is_made_with_its_parents_and_opens_again() {
    let parent = folder();
    let path = parent.path().join("a/b/store");
    drop(open(&path).expect("the store opens"));
    drop(open(&path).expect("the store opens again"));
}

#[test]
fn a_file_in_the_way_is_named() {
    let parent = folder();
    let file = parent.path().join("file");
    fs::write(&file, "not a folder").expect("a file is written");
    assert!(matches!(refusal(&file, &RocksOptions::default()).0, OpenError::Folder { .. }));
    assert!(matches!(refusal(&file.join("store"), &RocksOptions::default()).0, OpenError::Folder { .. }));
}

#[test]
fn a_second_store_in_this_process_is_refused() {
    let path = folder();
    let _first = open(path.path()).expect("the store opens");
    let (error, message) = refusal(path.path(), &RocksOptions::default());
    assert!(matches!(error, OpenError::Locked { .. }), "{message}");
}

#[test]
fn another_process_that_holds_the_store_is_said_plainly() {
    let path = folder();
    let me = std::env::current_exe().expect("a test knows its own program");
    let mut child = Command::new(me)
        .args(["--exact", "holds_a_store_for_another_test", "--ignored", "--nocapture"])
        .env("BERTH_TEST_STORE", path.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let lines = BufReader::new(child.stdout.take().expect("the child's output is piped")).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.ends_with("the store is open")));
    let (error, message) = refusal(path.path(), &RocksOptions::default());
    assert!(matches!(error, OpenError::Locked { .. }), "{message}");
    assert!(message.contains("another process"), "{message}");
    child.kill().expect("the child is killed");
    child.wait().expect("the child ends");
    open(path.path()).expect("the lock died with its process");
}

/// Not a test: what `another_process_that_holds_the_store_is_said_plainly` starts. Lives until it is killed, or its
/// parent is.
#[test]
#[ignore = "run by another test in a process of its own"]
fn holds_a_store_for_another_test() {
    let Some(path) = std::env::var_os("BERTH_TEST_STORE") else { return };
    let _store = open(Path::new(&path)).expect("the store opens");
    println!("the store is open");
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn a_full_disk_is_told_with_the_bytes_that_are_needed() {
    let path = folder();
    let needed = 1 << 60;
    let options = RocksOptions { open_bytes_min: needed, ..RocksOptions::default() };
    let (error, message) = refusal(path.path(), &options);
    let OpenError::Full { needed_bytes, free_bytes, .. } = error else { panic!("{message}") };
    assert_eq!(needed_bytes, needed);
    assert!(message.contains(&needed.to_string()) && message.contains(&free_bytes.to_string()), "{message}");
}

#[test]
fn a_log_that_must_be_replayed_counts_as_needed_bytes() {
    let parent = folder();
    let (path, killed) = (parent.path().join("store"), parent.path().join("killed"));
    let store = open(&path).expect("the store opens");
    let fence = store.acquire(P).expect("the partition is acquired");
    let mut batch = Batch::default();
    batch.put(Table::Bodies, b"key", |value| value.extend(std::iter::repeat_n(7, 3 << 20)));
    assert!(store.commit(&[Commit { fence, batch }])[0].is_ok());
    fs::create_dir(&killed).expect("a folder is made");
    for file in fs::read_dir(&path).expect("the store's folder is read") {
        let file = file.expect("the store's folder is read");
        fs::copy(file.path(), killed.join(file.file_name())).expect("a file is copied");
    }
    drop(store);
    let base = 1 << 60;
    let options = RocksOptions { open_bytes_min: base, ..RocksOptions::default() };
    let needed = |path: &Path| match refusal(path, &options) {
        (OpenError::Full { needed_bytes, .. }, _) => needed_bytes - base,
        (_, message) => panic!("{message}"),
    };
    assert!(needed(&killed) >= 3 << 20);
    assert!(needed(&path) < 1 << 20, "a clean stop leaves no log to replay");
}

#[test]
fn a_newer_format_is_refused_without_touching_it() {
    let path = folder();
    drop(open(path.path()).expect("the store opens"));
    let raw =
        |families: &[String]| DB::open_cf(&Options::default(), path.path(), families).expect("the database opens");
    let families = DB::list_cf(&Options::default(), path.path()).expect("the families are listed");
    raw(&families).put(b"format", 9_u32.to_be_bytes()).expect("a row is written");
    let (error, message) = refusal(path.path(), &RocksOptions::default());
    assert!(matches!(error, OpenError::Newer { .. }), "{message}");
    assert_eq!(raw(&families).get(b"format").expect("a row is read"), Some(9_u32.to_be_bytes().to_vec()));
}

#[test]
fn a_table_of_a_newer_version_is_refused_by_name() {
    let path = folder();
    drop(open(path.path()).expect("the store opens"));
    let families = DB::list_cf(&Options::default(), path.path()).expect("the families are listed");
    let mut raw = DB::open_cf(&Options::default(), path.path(), &families).expect("the database opens");
    raw.create_cf("tides", &Options::default()).expect("a family is made");
    drop(raw);
    let (error, message) = refusal(path.path(), &RocksOptions::default());
    assert!(matches!(error, OpenError::Newer { .. }) && message.contains("tides"), "{message}");
}

#[test]
fn sizes_are_told_by_table() {
    let path = folder();
    let store = open(path.path()).expect("the store opens");
    let fence = store.acquire(P).expect("the partition is acquired");
    let mut batch = Batch::default();
    for key in 0..100_u8 {
        batch.put(Table::Bodies, &[key], |value| value.extend([key; 1_000]));
    }
    assert!(store.commit(&[Commit { fence, batch }])[0].is_ok());
    assert!(store.stats().memory_bytes > 100_000);
    drop(store);
    let stats = open(path.path()).expect("the store opens").stats();
    let bodies = stats.tables.iter().find(|table| table.name == Table::Bodies.name()).expect("every table is told");
    assert!(bodies.rows == 100 && bodies.bytes > 0, "{bodies:?}");
}
