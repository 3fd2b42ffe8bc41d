//! FindMissingBlobs, BatchUpdateBlobs and BatchReadBlobs.

use berth_cas::BATCH_BYTES_MAX;
use berth_core::Digest;
use berth_proto::reapi::{
    BatchReadBlobsRequest, BatchUpdateBlobsRequest, FindMissingBlobsRequest, SplitBlobRequest,
    batch_update_blobs_request,
};
use bytes::Bytes;
use tonic::Code;

use crate::fixture::{Fixture, MAIN, content, digest_of, options, wire};

#[tokio::test(flavor = "multi_thread")]
async fn each_blob_of_a_batch_has_its_own_result() {
    let server = Fixture::new(options()).await;
    let (good, large) = (content(1, 100), content(2, 100_000));
    let bad = digest_of(b"something else");
    let blobs = [
        (digest_of(&good), good.clone()),
        (bad, good.clone()),
        (digest_of(&large), large.clone()),
        (digest_of(&good), good.clone()),
        (digest_of(b""), Bytes::new()),
    ];
    let codes = server.client.batch(&blobs).await;
    assert_eq!(codes, [Code::Ok, Code::InvalidArgument, Code::Ok, Code::Ok, Code::Ok]);
    let all = blobs.map(|(digest, _)| digest);
    assert_eq!(server.client.missing(&all).await, [bad]);

    let request = BatchReadBlobsRequest {
        instance_name: MAIN.into(),
        digests: all.iter().map(wire).collect(),
        ..Default::default()
    };
    let reply = server.client.content().batch_read_blobs(request).await.unwrap().into_inner();
    let read: Vec<_> = reply
        .responses
        .iter()
        .map(|blob| (Code::from(blob.status.as_ref().unwrap().code), blob.data.clone()))
        .collect();
    assert_eq!(read[0], (Code::Ok, good.clone()));
    assert_eq!(read[1], (Code::NotFound, Bytes::new()));
    assert_eq!(read[2], (Code::Ok, large));
    assert_eq!(read[4], (Code::Ok, Bytes::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_empty_blob_is_always_there_and_a_wrong_size_is_another_blob() {
    let server = Fixture::new(options()).await;
    let digest = server.client.put(&content(3, 50)).await;
    let wrong = Digest { size_bytes: 51, ..digest };
    let wrong_empty = Digest { size_bytes: 0, ..digest };
    assert_eq!(server.client.missing(&[digest_of(b""), digest, wrong, wrong_empty]).await, [wrong, wrong_empty]);
    assert_eq!(server.client.download(&digest_of(b"")).await.unwrap(), b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_too_large_is_refused_with_the_limit() {
    let server = Fixture::new(options()).await;
    let digests = [Digest { hash: [1; 32], size_bytes: BATCH_BYTES_MAX / 2 + 1 }; 2];
    let request = BatchReadBlobsRequest {
        instance_name: MAIN.into(),
        digests: digests.iter().map(wire).collect(),
        ..Default::default()
    };
    let refused = server.client.content().batch_read_blobs(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains(&BATCH_BYTES_MAX.to_string()), "{}", refused.message());
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_speak_zstd() {
    let server = Fixture::new(options()).await;
    let data = content(4, 30_000);
    let blob = batch_update_blobs_request::Request {
        digest: Some(wire(&digest_of(&data))),
        data: zstd::encode_all(data.as_ref(), 1).unwrap().into(),
        compressor: 1,
    };
    let bomb = batch_update_blobs_request::Request {
        digest: Some(wire(&digest_of(b"x"))),
        data: zstd::encode_all(vec![0; 10_000_000].as_slice(), 1).unwrap().into(),
        compressor: 1,
    };
    let request =
        BatchUpdateBlobsRequest { instance_name: MAIN.into(), requests: vec![blob, bomb], digest_function: 0 };
    let reply = server.client.content().batch_update_blobs(request).await.unwrap().into_inner();
    let codes: Vec<_> = reply.responses.iter().map(|blob| blob.status.as_ref().unwrap().code).collect();
    assert_eq!(codes, [Code::Ok as i32, Code::InvalidArgument as i32]);
    let request = BatchReadBlobsRequest {
        instance_name: MAIN.into(),
        digests: vec![wire(&digest_of(&data))],
        acceptable_compressors: vec![1],
        ..Default::default()
    };
    let reply = server.client.content().batch_read_blobs(request).await.unwrap().into_inner();
    let blob = &reply.responses[0];
    assert_eq!(blob.compressor, 1);
    assert_eq!(zstd::decode_all(blob.data.as_ref()).unwrap(), data);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_spoken_is_refused_by_name() {
    let server = Fixture::new(options()).await;
    let find = |instance: &str, digest_function| FindMissingBlobsRequest {
        instance_name: instance.into(),
        blob_digests: vec![],
        digest_function,
    };
    let refused = server.client.content().find_missing_blobs(find(MAIN, 9)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().starts_with("digest_function"));
    let refused = server.client.content().find_missing_blobs(find("nobody", 0)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().starts_with("instance_name \"nobody\""));
    let refused = server.client.content().split_blob(SplitBlobRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
}
