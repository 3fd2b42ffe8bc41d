//! The external storage: the port and the pass-through services, against a server of our own.

use std::time::Duration;

use berth_cas::ExternalCas;
use berth_core::Digest;
use berth_proto::reapi::{ActionResult, OutputFile};
use berth_runtime::cas::{Cas, CasError};
use tonic::Code;

use crate::fixture::{Client, Fixture, MAIN, content, digest_of, options, serve, wire};
use crate::trees::{directory, plant};

fn external(server: &Fixture) -> ExternalCas {
    ExternalCas::new(server.client.channel.clone(), Duration::from_secs(60))
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_of_any_size_go_through_the_port() {
    let server = Fixture::new(options()).await;
    let cas = external(&server);
    for length in [0, 100, 6_000_000] {
        let data = content(1, length);
        let digest = cas.write(MAIN, data.clone()).await.unwrap();
        assert_eq!(digest, digest_of(&data));
        assert_eq!(cas.read(MAIN, &digest, length).await.unwrap(), Some(data));
    }
    let gone = Digest { hash: [1; 32], size_bytes: 5_000_000 };
    assert_eq!(cas.read(MAIN, &gone, 10_000_000).await.unwrap(), None);
    assert_eq!(cas.read(MAIN, &gone, 10).await.unwrap(), None);
    let large = digest_of(&content(1, 6_000_000));
    assert!(matches!(cas.read(MAIN, &large, 10).await, Err(CasError::TooLarge { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn trees_and_results_are_checked_through_the_port() {
    let server = Fixture::new(options()).await;
    let cas = external(&server);
    let (root, _) = plant(&server.client, 5, 10).await;
    assert_eq!(cas.check_tree(MAIN, &root).await.unwrap().missing, []);
    let gone = digest_of(b"gone");
    let above = server.client.put(&directory(&[gone], &[root, gone])).await;
    assert_eq!(cas.check_tree(MAIN, &above).await.unwrap().missing, [gone]);

    let action = digest_of(b"action");
    assert_eq!(cas.action_result(MAIN, &action).await.unwrap(), None);
    let file = OutputFile { path: "f".into(), digest: Some(wire(&gone)), ..Default::default() };
    let result = ActionResult { output_files: vec![file], ..Default::default() };
    cas.put_action_result(MAIN, &action, &result).await.unwrap();
    assert_eq!(cas.action_result(MAIN, &action).await.unwrap(), None);
    server.client.put(&bytes::Bytes::from_static(b"gone")).await;
    assert_eq!(cas.action_result(MAIN, &action).await.unwrap(), Some(result));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_reach_the_external_storage_through_us() {
    let server = Fixture::new(options()).await;
    let (channel, _serving) = serve(|routes| external(&server).add_services(routes)).await;
    let client = Client { channel };
    let data = content(2, 1_000_000);
    let digest = digest_of(&data);
    assert_eq!(client.missing(&[digest]).await, [digest]);
    client.upload(&data).await.unwrap();
    assert_eq!(client.download(&digest).await.unwrap(), data);
    client.put(&content(3, 10)).await;
    assert_eq!(server.storage().blob_count(), 2);
    let refused = client.read(&format!("nobody/blobs/{digest}"), 0, 0).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_storage_that_is_away_is_unavailable() {
    let cas = ExternalCas::connect("127.0.0.1:1", Duration::ZERO).unwrap();
    assert!(matches!(cas.read(MAIN, &digest_of(b"x"), 10).await, Err(CasError::Unavailable(_))));
    assert!(ExternalCas::connect("https://somewhere", Duration::ZERO).is_err());
}
