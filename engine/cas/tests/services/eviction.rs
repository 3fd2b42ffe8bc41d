//! Bounds: who leaves when there is no room, who stays, and what is refused.

use std::time::Duration;

use berth_cas::StorageOptions;
use berth_proto::reapi::{Action, Command};
use berth_runtime::cas::{Cas, CasError};
use prost::Message;
use tonic::Code;

use crate::fixture::{Fixture, MAIN, content, digest_of, options, upload_name, wire};
use crate::trees::plant;

const MIB: usize = 1 << 20;
const LONG: Duration = Duration::from_secs(3600);

/// Room for ten blobs of 1 MiB, with their overhead.
fn ten() -> StorageOptions {
    StorageOptions { max_bytes: Some(10 * (MIB as u64 + 4096)), ..options() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_least_recently_touched_leave_first() {
    let server = Fixture::new(ten()).await;
    let mut digests = Vec::new();
    for seed in 0..10 {
        digests.push(server.client.put(&content(seed, MIB)).await);
        server.clock.advance(Duration::from_secs(60));
    }
    server.clock.advance(LONG);
    // Each way to touch: asking, reading, writing again.
    assert_eq!(server.client.missing(&digests[0..1]).await, []);
    server.client.download(&digests[1]).await.unwrap();
    server.client.put(&content(2, MIB)).await;
    for seed in 100..103 {
        server.client.put(&content(seed, MIB)).await;
    }
    assert_eq!(server.client.missing(&digests).await, digests[3..6]);
    assert!(!server.file_of(&digests[3]).exists() && server.file_of(&digests[2]).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_touched_within_the_promised_age_stays_and_uploads_are_refused() {
    let server = Fixture::new(ten()).await;
    for seed in 0..10 {
        server.client.put(&content(seed, MIB)).await;
    }
    server.clock.advance(Duration::from_secs(599));
    let data = content(100, MIB);
    assert_eq!(server.client.batch(&[(digest_of(&data), data.clone())]).await, [Code::ResourceExhausted]);
    let refused = server.client.upload(&data).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("within the last 600 s"), "{}", refused.message());
    assert!(matches!(server.cas.write(MAIN, data.clone()).await, Err(CasError::Full(_))));
    server.clock.advance(LONG);
    server.client.upload(&data).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_job_pins_stays_with_its_whole_input_tree_until_the_job_ends() {
    let server = Fixture::new(ten()).await;
    let (root, files) = plant(&server.client, 6, MIB).await;
    let command = server.client.put(&Command::default().encode_to_vec().into()).await;
    let command = if command.size_bytes == 0 { server.client.put(&content(9, 20)).await } else { command };
    let action =
        Action { command_digest: Some(wire(&command)), input_root_digest: Some(wire(&root)), ..Default::default() };
    let action = server.client.put(&action.encode_to_vec().into()).await;
    // Twice, by two jobs: the tree stays until both have ended.
    server.cas.pin(1, MAIN, &[action, command, root]).await.unwrap();
    server.cas.pin(2, MAIN, &[root]).await.unwrap();
    server.cas.unpin(2);
    server.clock.advance(LONG);
    for seed in 100..120 {
        server.client.put(&content(seed, MIB)).await;
        server.clock.advance(LONG);
    }
    let all = [vec![action, command, root], files.clone()].concat();
    assert_eq!(server.cas.check_tree(MAIN, &root).await.unwrap().missing, []);
    assert_eq!(server.client.missing(&all).await, []);

    server.cas.unpin(1);
    server.clock.advance(LONG);
    for seed in 200..210 {
        server.client.put(&content(seed, MIB)).await;
    }
    assert_eq!(server.client.missing(&files).await, files);
}

#[tokio::test(flavor = "multi_thread")]
async fn pins_are_found_again_after_a_restart_without_a_tree_check() {
    let server = Fixture::new(ten()).await;
    let (root, files) = plant(&server.client, 6, MIB).await;
    let server = server.restart(ten()).await;
    server.cas.pin(1, MAIN, &[root]).await.unwrap();
    server.clock.advance(LONG);
    for seed in 100..110 {
        server.client.put(&content(seed, MIB)).await;
        server.clock.advance(LONG);
    }
    assert_eq!(server.client.missing(&files).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_in_progress_keeps_its_room() {
    let server = Fixture::new(ten()).await;
    let large = content(1, 6 * MIB);
    let name = upload_name("slow", &digest_of(&large));
    server.client.write(&name, 0, vec![large.slice(..MIB)], false).await.unwrap();
    for seed in 100..104 {
        server.client.put(&content(seed, MIB)).await;
    }
    // The other four are young, the upload has the rest.
    let data = content(104, MIB);
    assert_eq!(server.client.batch(&[(digest_of(&data), data.clone())]).await, [Code::ResourceExhausted]);
    server.clock.advance(LONG);
    for seed in 104..108 {
        server.client.put(&content(seed, MIB)).await;
    }
    let rest = large.slice(MIB..);
    server.client.write(&name, MIB, crate::fixture::pieces(&rest, MIB), true).await.unwrap();
    assert_eq!(server.client.download(&digest_of(&large)).await.unwrap(), large);
    assert!(server.storage().used_bytes() <= server.storage().bytes_max());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_larger_than_the_storage_is_refused_at_once() {
    let server = Fixture::new(ten()).await;
    let digest = berth_core::Digest { hash: [7; 32], size_bytes: 1 << 40 };
    let begun = server.client.write(&upload_name("huge", &digest), 0, vec![content(1, 10)], false).await;
    assert_eq!(begun.unwrap_err().code(), Code::ResourceExhausted);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_when_the_disk_falls_below_its_reserve() {
    let server = Fixture::new(StorageOptions { reserve_bytes: u64::MAX, ..options() }).await;
    let (small, large) = (content(1, 100), content(2, 100_000));
    let blobs = [(digest_of(&small), small), (digest_of(&large), large.clone())];
    assert_eq!(server.client.batch(&blobs).await, [Code::ResourceExhausted; 2]);
    let refused = server.client.upload(&large).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("kept free"), "{}", refused.message());
}
