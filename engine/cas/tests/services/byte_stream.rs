//! ByteStream: offsets, limits, broken uploads, zstd.

use std::time::Duration;

use bytes::Bytes;
use tonic::Code;

use crate::fixture::{Fixture, MAIN, content, digest_of, options, pieces, upload_name, zstd_upload_name};

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_of_any_size_comes_back_as_it_was_written() {
    let server = Fixture::new(options()).await;
    for length in [0, 1, 4095, 65_536, 65_537, 3_000_000] {
        let data = content(length as u64, length);
        assert_eq!(server.client.upload(&data).await.unwrap(), length as i64);
        assert_eq!(server.client.download(&digest_of(&data)).await.unwrap(), data);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_respect_offset_and_limit() {
    let server = Fixture::new(options()).await;
    for length in [1000, 2_000_000] {
        let data = content(7, length);
        server.client.upload(&data).await.unwrap();
        let name = format!("{MAIN}/blobs/{}", digest_of(&data));
        for (offset, limit) in [(0, 10), (5, 0), (length - 3, 100), (length, 0), (length / 2, length / 4)] {
            let end = if limit == 0 { length } else { (offset + limit).min(length) };
            let read = server.client.read(&name, offset as i64, limit as i64).await.unwrap();
            assert_eq!(read, data[offset..end]);
        }
        for (offset, limit, code) in
            [(-1, 0, Code::OutOfRange), (length as i64 + 1, 0, Code::OutOfRange), (0, -1, Code::InvalidArgument)]
        {
            assert_eq!(server.client.read(&name, offset, limit).await.unwrap_err().code(), code);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_found_and_an_unknown_instance_is_named() {
    let server = Fixture::new(options()).await;
    let digest = digest_of(b"never written");
    assert_eq!(server.client.download(&digest).await.unwrap_err().code(), Code::NotFound);
    let refused = server.client.read(&format!("elsewhere/blobs/{digest}"), 0, 0).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("instance_name") && refused.message().contains("elsewhere"));
    assert!(!refused.message().contains(MAIN));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_broke_off_continues_where_it_stood() {
    let server = Fixture::new(options()).await;
    for length in [50_000, 1_500_000] {
        let data = content(11, length);
        let name = upload_name("resumed", &digest_of(&data));
        let first = length / 3;
        let begun = server.client.write(&name, 0, pieces(&data.slice(..first), 10_000), false).await.unwrap();
        assert_eq!(begun, first as i64);
        let status = server.client.status(&name).await;
        assert_eq!((status.committed_size, status.complete), (first as i64, false));
        assert_eq!(server.client.download(&digest_of(&data)).await.unwrap_err().code(), Code::NotFound);

        let wrong = server.client.write(&name, first + 1, vec![data.slice(first + 1..)], true).await.unwrap_err();
        assert_eq!(wrong.code(), Code::InvalidArgument);
        assert!(wrong.message().contains(&first.to_string()));

        let rest = pieces(&data.slice(first..), 300_000);
        assert_eq!(server.client.write(&name, first, rest, true).await.unwrap(), length as i64);
        assert_eq!(server.client.download(&digest_of(&data)).await.unwrap(), data);
        let status = server.client.status(&name).await;
        assert_eq!((status.committed_size, status.complete), (length as i64, true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_may_begin_again_from_the_start() {
    let server = Fixture::new(options()).await;
    let data = content(12, 900_000);
    let name = upload_name("again", &digest_of(&data));
    let garbage = vec![content(13, 500_000)];
    server.client.write(&name, 0, garbage, false).await.unwrap();
    server.client.write(&name, 0, pieces(&data, 100_000), true).await.unwrap();
    assert_eq!(server.client.download(&digest_of(&data)).await.unwrap(), data);
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_is_not_what_its_digest_says_is_refused_and_stays_invisible() {
    let server = Fixture::new(options()).await;
    for length in [1000, 200_000] {
        let data = content(21, length);
        let digest = digest_of(&data);
        let mut wrong = data.to_vec();
        wrong[length / 2] ^= 1;
        for (id, bytes) in
            [("hash", Bytes::from(wrong)), ("short", data.slice(1..)), ("long", [data.as_ref(), b"!"].concat().into())]
        {
            let refused = server.client.write(&upload_name(id, &digest), 0, vec![bytes], true).await.unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
            assert_eq!(server.client.missing(&[digest]).await, [digest]);
        }
    }
    assert_eq!(server.storage().used_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_what_is_there_ends_early() {
    let server = Fixture::new(options()).await;
    let data = content(31, 300_000);
    let digest = digest_of(&data);
    server.client.upload(&data).await.unwrap();
    let nothing = || vec![Bytes::new()];
    assert_eq!(server.client.write(&upload_name("b", &digest), 0, nothing(), false).await.unwrap(), 300_000);
    assert_eq!(server.client.write(&zstd_upload_name("b", &digest), 0, nothing(), false).await.unwrap(), -1);
}

#[tokio::test(flavor = "multi_thread")]
async fn zstd_goes_both_ways() {
    let server = Fixture::new(options()).await;
    for length in [10, 50_000, 2_500_000] {
        let data = content(41, length);
        let digest = digest_of(&data);
        let packed = Bytes::from(zstd::encode_all(data.as_ref(), 3).unwrap());
        let sent = packed.len() as i64;
        let name = zstd_upload_name("z", &digest);
        assert_eq!(server.client.write(&name, 0, pieces(&packed, 70_000), true).await.unwrap(), sent);
        assert_eq!(server.client.download(&digest).await.unwrap(), data);
        let read = format!("{MAIN}/compressed-blobs/zstd/{digest}");
        for offset in [0, length / 2, length] {
            let packed = server.client.read(&read, offset as i64, 0).await.unwrap();
            assert_eq!(zstd::decode_all(packed.as_slice()).unwrap(), data[offset..]);
        }
        assert_eq!(server.client.read(&read, 0, 1).await.unwrap_err().code(), Code::InvalidArgument);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zstd_upload_continues_with_a_new_frame_at_the_plain_offset() {
    let server = Fixture::new(options()).await;
    let data = content(42, 1_000_000);
    let digest = digest_of(&data);
    let name = zstd_upload_name("z", &digest);
    let half = |range: &[u8]| vec![Bytes::from(zstd::encode_all(range, 3).unwrap())];
    server.client.write(&name, 0, half(&data[..600_000]), false).await.unwrap();
    let committed = server.client.status(&name).await.committed_size as usize;
    assert_eq!(committed, 600_000);
    server.client.write(&name, committed, half(&data[committed..]), true).await.unwrap();
    assert_eq!(server.client.download(&digest).await.unwrap(), data);
}

#[tokio::test(flavor = "multi_thread")]
async fn zstd_that_is_broken_or_unpacks_to_too_much_is_refused() {
    let server = Fixture::new(options()).await;
    let digest = digest_of(b"small");
    let bomb = Bytes::from(zstd::encode_all(vec![0; 50_000_000].as_slice(), 3).unwrap());
    for bytes in [bomb, Bytes::from_static(b"this is no zstd frame at all")] {
        let refused = server.client.write(&zstd_upload_name("z", &digest), 0, vec![bytes], true).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_nobody_continues_is_dropped() {
    let server = Fixture::new(options()).await;
    let data = content(51, 400_000);
    let name = upload_name("idle", &digest_of(&data));
    server.client.write(&name, 0, vec![data.slice(..100_000)], false).await.unwrap();
    server.storage().upkeep();
    assert_eq!(server.client.status(&name).await.committed_size, 100_000);
    server.clock.advance(Duration::from_secs(901));
    server.storage().upkeep();
    assert_eq!(server.client.status(&name).await.committed_size, 0);
    assert_eq!(std::fs::read_dir(server.path().join("uploads")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_of_one_blob_all_succeed_and_it_is_kept_once() {
    let server = Fixture::new(options()).await;
    for length in [5_000, 700_000] {
        let before = server.storage().used_bytes();
        let data = content(61, length);
        let digest = digest_of(&data);
        let writers = (0..24).map(|number| {
            let (client, data) = (server.client.clone(), data.clone());
            tokio::spawn(async move {
                if number % 2 == 0 {
                    let name = upload_name(&format!("w{number}"), &digest);
                    client.write(&name, 0, pieces(&data, 50_000), true).await.unwrap();
                } else {
                    client.put(&data).await;
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        assert_eq!(server.client.download(&digest).await.unwrap(), data);
        assert!(server.storage().used_bytes() - before < 2 * length as u64);
    }
    assert_eq!(server.storage().blob_count(), 2);
}
