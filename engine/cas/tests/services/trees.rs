//! Trees: the check before an execution, and GetTree.

use std::time::Duration;

use berth_core::Digest;
use berth_proto::reapi::{Directory, DirectoryNode, FileNode, GetTreeRequest};
use berth_runtime::cas::{Cas, CasError};
use bytes::Bytes;
use prost::Message;
use tonic::Code;

use crate::fixture::{Client, Fixture, MAIN, content, digest_of, options, wire};

/// A directory message with these files and subdirectories.
pub(crate) fn directory(files: &[Digest], directories: &[Digest]) -> Bytes {
    let name = |kind: &str, number: usize| format!("{kind}{number}");
    let files = files.iter().enumerate().map(|(number, digest)| FileNode {
        name: name("f", number),
        digest: Some(wire(digest)),
        ..Default::default()
    });
    let directories = directories
        .iter()
        .enumerate()
        .map(|(number, digest)| DirectoryNode { name: name("d", number), digest: Some(wire(digest)) });
    Directory { files: files.collect(), directories: directories.collect(), ..Default::default() }
        .encode_to_vec()
        .into()
}

/// Uploads a tree of `width` subdirectories with a file each; the root, and all files.
pub(crate) async fn plant(client: &Client, width: usize, file_bytes: usize) -> (Digest, Vec<Digest>) {
    let (mut files, mut directories) = (Vec::new(), Vec::new());
    for number in 0..width {
        let file = client.put(&content(1000 + number as u64, file_bytes)).await;
        directories.push(client.put(&directory(&[file], &[digest_of(b"")])).await);
        files.push(file);
    }
    (client.put(&directory(&files[..1], &directories)).await, files)
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_a_tree_lacks_is_listed_once() {
    let server = Fixture::new(options()).await;
    let (here, gone) = (server.client.put(&content(1, 10)).await, digest_of(b"gone"));
    let inner = server.client.put(&directory(&[here, gone], &[])).await;
    let lost = digest_of(&directory(&[gone], &[]));
    let root = server.client.put(&directory(&[gone, here], &[inner, lost])).await;
    let check = server.cas.check_tree(MAIN, &root).await.unwrap();
    assert_eq!(check.missing, [gone, lost]);
    server.client.put(&Bytes::from_static(b"gone")).await;
    server.client.put(&directory(&[gone], &[])).await;
    assert!(server.cas.check_tree(MAIN, &root).await.unwrap().missing.is_empty());
    let nowhere = digest_of(b"no such root");
    assert_eq!(server.cas.check_tree(MAIN, &nowhere).await.unwrap().missing, [nowhere]);
    assert!(server.cas.check_tree(MAIN, &digest_of(b"")).await.unwrap().missing.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_is_no_directory_is_named() {
    let server = Fixture::new(options()).await;
    let root = server.client.put(&Bytes::from_static(b"\xff\xff\xff\xff")).await;
    let refused = server.cas.check_tree(MAIN, &root).await.unwrap_err();
    assert!(matches!(refused, CasError::Malformed { digest, expected: "Directory", .. } if digest == root));
    assert!(matches!(server.cas.check_tree("nobody", &root).await, Err(CasError::UnknownInstance(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_somebody_removed_is_missing_even_from_a_tree_that_was_complete() {
    let server = Fixture::new(options()).await;
    let (root, files) = plant(&server.client, 3, 100_000).await;
    server.clock.advance(Duration::from_secs(1));
    assert!(server.cas.check_tree(MAIN, &root).await.unwrap().missing.is_empty());
    std::fs::remove_file(server.file_of(&files[1])).unwrap();
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(server.client.download(&files[1]).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(server.cas.check_tree(MAIN, &root).await.unwrap().missing, [files[1]]);
    // And it can be written again.
    server.client.put(&content(1001, 100_000)).await;
    assert!(server.cas.check_tree(MAIN, &root).await.unwrap().missing.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn get_tree_gives_each_directory_once_in_pages() {
    let server = Fixture::new(options()).await;
    let (root, _) = plant(&server.client, 7, 10).await;
    let mut token = String::new();
    for (page_size, pages) in [(0, 1), (3, 3)] {
        let request = GetTreeRequest {
            instance_name: MAIN.into(),
            root_digest: Some(wire(&root)),
            page_size,
            ..Default::default()
        };
        let mut stream = server.client.content().get_tree(request).await.unwrap().into_inner();
        let (mut directories, mut messages) = (0, 0);
        while let Some(page) = stream.message().await.unwrap() {
            directories += page.directories.len();
            messages += 1;
            if messages == 1 {
                token = page.next_page_token;
            }
        }
        // The root, seven below it, and the empty one that they share.
        assert_eq!((directories, messages), (9, pages));
    }
    let request = GetTreeRequest {
        instance_name: MAIN.into(),
        root_digest: Some(wire(&root)),
        page_token: token,
        ..Default::default()
    };
    let rest = server.client.content().get_tree(request).await.unwrap().into_inner().message().await.unwrap().unwrap();
    assert_eq!((rest.directories.len(), rest.next_page_token.as_str()), (6, ""));
    let request = GetTreeRequest {
        instance_name: MAIN.into(),
        root_digest: Some(wire(&digest_of(b"nowhere"))),
        ..Default::default()
    };
    assert_eq!(server.client.content().get_tree(request).await.unwrap_err().code(), Code::NotFound);
}
