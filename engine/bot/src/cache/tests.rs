use std::io::Write;

use super::*;
use crate::digest;
use crate::job::blocking;

fn open(folder: &Path, bytes_max: u64) -> Arc<FileCache> {
    FileCache::open(folder.to_owned(), bytes_max).unwrap()
}

fn key(content: &[u8]) -> Key {
    Key { digest: digest::of_bytes(content), executable: false }
}

/// A CAS that cannot be reached: what is borrowed with it can only come from the cache.
fn no_cas() -> crate::cas::CasClient {
    let nowhere = crate::config::connect("127.0.0.1:1").unwrap();
    crate::cas::CasClient::new(nowhere, "", Duration::ZERO)
}

async fn borrow(cache: &Arc<FileCache>, content: &[u8]) -> Result<Loan, Failure> {
    cache.borrow(&no_cas(), vec![key(content)]).await
}

/// Writes through a hard link as a command would that makes its input writable first.
fn write_through(link: &Path) {
    fs::set_permissions(link, fs::Permissions::from_mode(0o644)).unwrap();
    File::options().write(true).open(link).unwrap().write_all(b"X").unwrap();
    fs::set_permissions(link, fs::Permissions::from_mode(0o444)).unwrap();
}

#[tokio::test]
async fn a_cached_file_is_read_only_and_linked_as_the_same_inode() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(&folder.path().join("cache"), 1 << 20);
    drop(cache.install_bytes(&key(b"content"), b"content").unwrap());
    let loan = borrow(&cache, b"content").await.unwrap();
    let link = folder.path().join("link");
    loan.link(&key(b"content"), &link).unwrap();
    let found = fs::metadata(&link).unwrap();
    assert_eq!((found.mode() & 0o777, found.nlink()), (0o444, 2));
    assert_eq!(loan.give_back(), Verdict::Untouched);
}

#[tokio::test]
async fn an_entry_that_its_only_borrower_wrote_to_is_discarded_and_copied_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(&folder.path().join("cache"), 1 << 20);
    drop(cache.install_bytes(&key(b"content"), b"content").unwrap());
    let loan = borrow(&cache, b"content").await.unwrap();
    assert!(loan.is_linkable(&key(b"content")));
    loan.link(&key(b"content"), &folder.path().join("link")).unwrap();
    // Same size, same mode afterwards: only the mtime tells.
    write_through(&folder.path().join("link"));
    assert_eq!(loan.give_back(), Verdict::WrittenByUs);
    assert!(borrow(&cache, b"content").await.is_err(), "the spoiled file is not lent again");
    assert_eq!(cache.size_bytes(), 0);
    let again = cache.install_bytes(&key(b"content"), b"content").unwrap();
    drop(again);
    assert!(!borrow(&cache, b"content").await.unwrap().is_linkable(&key(b"content")));
}

#[tokio::test]
async fn everybody_who_shared_an_entry_that_changed_is_told_that_the_bytes_are_uncertain() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(&folder.path().join("cache"), 1 << 20);
    drop(cache.install_bytes(&key(b"content"), b"content").unwrap());
    let writer = borrow(&cache, b"content").await.unwrap();
    let reader = borrow(&cache, b"content").await.unwrap();
    writer.link(&key(b"content"), &folder.path().join("link")).unwrap();
    write_through(&folder.path().join("link"));
    assert!(reader.link(&key(b"content"), &folder.path().join("late")).is_err(), "a changed entry is not laid out");
    assert_eq!(writer.give_back(), Verdict::Uncertain);
    assert_eq!(reader.give_back(), Verdict::Uncertain);
}

#[tokio::test]
async fn a_copy_may_be_written_to_freely() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(&folder.path().join("cache"), 1 << 20);
    drop(cache.install_bytes(&key(b"content"), b"content").unwrap());
    let loan = borrow(&cache, b"content").await.unwrap();
    let copy = folder.path().join("copy");
    loan.copy(&key(b"content"), &copy, 0o644).unwrap();
    fs::write(&copy, "other").unwrap();
    assert_eq!(loan.give_back(), Verdict::Untouched);
}

#[tokio::test]
async fn the_cache_is_cut_back_to_its_bound_oldest_first_and_never_below_what_is_lent() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 25);
    for content in [b"0123456789", b"abcdefghij"] {
        drop(cache.install_bytes(&key(content), content).unwrap());
    }
    let held = borrow(&cache, b"0123456789").await.unwrap();
    let new = cache.install_bytes(&key(b"ABCDEFGHIJ"), b"ABCDEFGHIJ").unwrap();
    assert_eq!(cache.size_bytes(), 20);
    assert!(borrow(&cache, b"abcdefghij").await.is_err(), "the only idle entry went");
    let newest = cache.install_bytes(&key(b"zyxwvutsrq"), b"zyxwvutsrq").unwrap();
    assert_eq!(cache.size_bytes(), 30, "what is lent stays, whatever the bound");
    drop((held, new, newest));
    assert_eq!(cache.size_bytes(), 20);
}

#[tokio::test]
async fn files_of_an_earlier_run_are_used_if_their_content_still_fits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    {
        let cache = open(&path, 1 << 20);
        for content in [&b"good"[..], b"torn"] {
            drop(cache.install_bytes(&key(content), content).unwrap());
        }
        write_through(&cache.path(&key(b"torn")));
    }
    let cache = blocking(move || open(&path, 1 << 20)).await;
    assert_eq!(cache.size_bytes(), 8);
    assert!(borrow(&cache, b"good").await.is_ok());
    assert!(borrow(&cache, b"torn").await.is_err());
    assert_eq!(cache.size_bytes(), 4);
}

#[test]
fn a_folder_serves_one_cache_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path(), 1);
    assert!(matches!(FileCache::open(folder.path().to_owned(), 1), Err(Error::Locked(_))));
    drop(first);
    assert!(FileCache::open(folder.path().to_owned(), 1).is_ok());
}

#[tokio::test]
async fn whoever_waits_for_a_fetch_that_fails_takes_it_over() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 1 << 20);
    let (one, other) = futures::join!(borrow(&cache, b"content"), borrow(&cache, b"content"));
    assert!(matches!(one, Err(Failure::Unavailable(_))));
    assert!(matches!(other, Err(Failure::Unavailable(_))));
    drop(cache.install_bytes(&key(b"content"), b"content").unwrap());
    assert!(borrow(&cache, b"content").await.is_ok());
}

#[test]
fn file_names_say_what_they_hold() {
    for executable in [false, true] {
        let key = Key { executable, ..key(b"x") };
        assert_eq!(Key::from_file_name(&key.file_name()), Some(key));
    }
    assert_eq!(Key::from_file_name("something else"), None);
}
