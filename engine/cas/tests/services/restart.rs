//! What a restart finds: everything that was acknowledged, and none of what a crash left half done.

use std::fs;
use std::time::Duration;

use berth_cas::{Error, Storage, SystemClock};
use berth_core::Digest;
use berth_proto::reapi::ActionResult;
use berth_runtime::cas::Cas;

use crate::fixture::{Fixture, MAIN, content, digest_of, options, upload_name};

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_blobs_and_action_results() {
    let server = Fixture::new(options()).await;
    let blobs: Vec<_> = [10, 60_000, 65_537, 2_000_000].map(|length| content(length as u64, length)).into();
    for data in &blobs {
        server.client.upload(data).await.unwrap();
    }
    let action = digest_of(b"action");
    let result = ActionResult { exit_code: 3, ..Default::default() };
    server.cas.put_action_result(MAIN, &action, &result).await.unwrap();
    let used_bytes = server.storage().used_bytes();

    let server = server.restart(options()).await;
    assert_eq!(server.storage().used_bytes(), used_bytes);
    for data in &blobs {
        assert_eq!(server.client.download(&digest_of(data)).await.unwrap(), *data);
    }
    assert_eq!(server.cas.action_result(MAIN, &action).await.unwrap(), Some(result));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_the_order_of_last_use() {
    const MIB: usize = 1 << 20;
    let ten = || berth_cas::StorageOptions { max_bytes: Some(10 * (MIB as u64 + 4096)), ..options() };
    let server = Fixture::new(ten()).await;
    let mut digests = Vec::new();
    for seed in 0..10 {
        digests.push(server.client.put(&content(seed, MIB)).await);
        server.clock.advance(Duration::from_secs(600));
    }
    server.client.missing(&digests[..2]).await;
    server.clock.advance(Duration::from_secs(7200));
    let server = server.restart(ten()).await;
    for seed in 100..103 {
        server.client.put(&content(seed, MIB)).await;
    }
    assert_eq!(server.client.missing(&digests).await, digests[2..5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_done_work_of_a_crash_is_mended_at_start() {
    let server = Fixture::new(options()).await;
    let (kept, lost) = (content(1, 100_000), content(2, 100_000));
    server.client.upload(&kept).await.unwrap();
    server.client.upload(&lost).await.unwrap();
    let unfinished = content(3, 300_000);
    let name = upload_name("cut", &digest_of(&unfinished));
    server.client.write(&name, 0, vec![unfinished.slice(..100_000)], false).await.unwrap();
    let stray = Digest { hash: [0xab; 32], size_bytes: 5 };
    let (lost_path, stray_path, folder) =
        (server.file_of(&digest_of(&lost)), server.file_of(&stray), server.path().join("uploads"));
    let (held, clock) = server.stop().await;
    fs::remove_file(lost_path).unwrap();
    fs::write(&stray_path, b"stray").unwrap();
    fs::write(folder.join("left"), b"over").unwrap();

    let server = Fixture::reopen(held, clock).await;
    assert_eq!(server.client.missing(&[digest_of(&kept), digest_of(&lost), stray]).await, [digest_of(&lost), stray]);
    assert!(!stray_path.exists());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    assert_eq!(server.storage().blob_count(), 1);
    // An upload that the restart cut off begins again.
    assert_eq!(server.client.status(&name).await.committed_size, 0);
    server.client.upload(&unfinished).await.unwrap();
    server.client.upload(&lost).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_belongs_to_one_process_at_a_time() {
    let server = Fixture::new(options()).await;
    let second = Storage::open(&server.path(), &[], options(), std::sync::Arc::new(SystemClock::start()));
    assert!(matches!(second, Err(Error::Index(_))));
}
