//! Compiled code that is kept: a component is compiled once, and nothing that a disk did to it is run.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use berth_plugin_host::{Host, HostOptions};

use crate::guests::{component, granted};

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("compiled-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

fn host(folder: &Path) -> Host {
    Host::with(HostOptions { compiled: Some(folder.to_owned()), ..HostOptions::default() }).unwrap()
}

fn kept(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn the_second_time_nothing_is_compiled() {
    let folder = folder("twice");
    let first = host(&folder).load("order", &component("reapi-priority"), granted()).unwrap();
    assert!(!first.load_cost().cached);
    assert_eq!(first.load_cost().bytes, component("reapi-priority").len());
    let second = host(&folder).load("order", &component("reapi-priority"), granted()).unwrap();
    assert!(second.load_cost().cached);
    let [file] = &kept(&folder)[..] else { panic!("one file a component") };
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    host(&folder).forget_compiled(first.digest());
    assert!(kept(&folder).is_empty());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn damaged_code_is_compiled_again_and_foreign_code_removed() {
    let folder = folder("damaged");
    host(&folder).load("order", &component("reapi-priority"), granted()).unwrap();
    let file = kept(&folder).remove(0);
    let whole = std::fs::read(&file).unwrap();
    let mut changed = whole.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    for damaged in [&changed[..], &whole[..middle], &[], &whole[..31]] {
        std::fs::write(&file, damaged).unwrap();
        let plugin = host(&folder).load("order", &component("reapi-priority"), granted()).unwrap();
        assert!(!plugin.load_cost().cached);
        assert_eq!(std::fs::read(&file).unwrap(), whole);
    }
    let foreign = folder.join("00-0123456789abcdef.cwasm");
    std::fs::write(&foreign, b"of another version").unwrap();
    host(&folder);
    assert_eq!(kept(&folder), [file]);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let folder = folder("file");
    std::fs::write(&folder, b"").unwrap();
    let Err(refused) = Host::with(HostOptions { compiled: Some(folder.clone()), ..HostOptions::default() }) else {
        panic!("a file is no folder");
    };
    assert!(refused.to_string().contains(&*folder.to_string_lossy()), "{refused}");
    std::fs::remove_file(folder).unwrap();
}
