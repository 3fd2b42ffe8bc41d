//! The action cache: only whole results are answered.

use berth_cas::{EmbeddedCas, StorageOptions};
use berth_core::Digest;
use berth_proto::reapi::{
    ActionResult, Directory, FileNode, GetActionResultRequest, OutputDirectory, OutputFile, Tree,
    UpdateActionResultRequest,
};
use berth_runtime::cas::Cas;
use prost::Message;
use tonic::Code;

use crate::fixture::{Fixture, MAIN, OTHER, content, digest_of, options, serve, wire};
use crate::trees::directory;

fn get(instance: &str, action: &Digest) -> GetActionResultRequest {
    GetActionResultRequest { instance_name: instance.into(), action_digest: Some(wire(action)), ..Default::default() }
}

fn update(action: &Digest, result: ActionResult) -> UpdateActionResultRequest {
    UpdateActionResultRequest {
        instance_name: MAIN.into(),
        action_digest: Some(wire(action)),
        action_result: Some(result),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_found_in_its_own_instance_only() {
    let server = Fixture::new(options()).await;
    let action = digest_of(b"action");
    let absent = server.client.actions().get_action_result(get(MAIN, &action)).await.unwrap_err();
    assert_eq!(absent.code(), Code::NotFound);
    let result = ActionResult { exit_code: 7, ..Default::default() };
    server.client.actions().update_action_result(update(&action, result.clone())).await.unwrap();
    let found = server.client.actions().get_action_result(get(MAIN, &action)).await.unwrap().into_inner();
    assert_eq!(found, result);
    let absent = server.client.actions().get_action_result(get(OTHER, &action)).await.unwrap_err();
    assert_eq!(absent.code(), Code::NotFound);
    let refused = server.client.actions().get_action_result(get("nobody", &action)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_lacks_any_output_is_a_miss() {
    let server = Fixture::new(options()).await;
    let (file, leaf, deep) = (content(1, 30), content(2, 40), content(3, 50));
    let (out, err) = (content(4, 60), content(5, 70));
    let leaf_directory = |data: &[u8]| Directory {
        files: vec![FileNode { name: "leaf".into(), digest: Some(wire(&digest_of(data))), ..Default::default() }],
        ..Default::default()
    };
    let tree = Tree { root: Some(Directory::default()), children: vec![leaf_directory(&leaf)] };
    let tree = bytes::Bytes::from(tree.encode_to_vec());
    let inner = directory(&[digest_of(&deep)], &[]);
    let root = directory(&[], &[digest_of(&inner)]);
    let result = ActionResult {
        output_files: vec![OutputFile {
            path: "file".into(),
            digest: Some(wire(&digest_of(&file))),
            ..Default::default()
        }],
        output_directories: vec![OutputDirectory {
            path: "folder".into(),
            tree_digest: Some(wire(&digest_of(&tree))),
            root_directory_digest: Some(wire(&digest_of(&root))),
            ..Default::default()
        }],
        stdout_digest: Some(wire(&digest_of(&out))),
        stderr_digest: Some(wire(&digest_of(&err))),
        ..Default::default()
    };
    let action = digest_of(b"action");
    server.cas.put_action_result(MAIN, &action, &result).await.unwrap();
    // Each of these is needed, whichever comes last.
    for blob in [file, leaf, deep, tree, inner, root, out, err] {
        assert_eq!(server.cas.action_result(MAIN, &action).await.unwrap(), None);
        server.client.put(&blob).await;
    }
    assert_eq!(server.cas.action_result(MAIN, &action).await.unwrap(), Some(result));
}

#[tokio::test(flavor = "multi_thread")]
async fn output_is_put_into_the_result_when_asked_for() {
    let server = Fixture::new(options()).await;
    let (out, file) = (server.client.put(&content(1, 100)).await, server.client.put(&content(2, 200)).await);
    let file_named = |path: &str| OutputFile { path: path.into(), digest: Some(wire(&file)), ..Default::default() };
    let result = ActionResult {
        stdout_digest: Some(wire(&out)),
        output_files: vec![file_named("a"), file_named("b")],
        ..Default::default()
    };
    let action = digest_of(b"action");
    server.cas.put_action_result(MAIN, &action, &result).await.unwrap();
    let request =
        GetActionResultRequest { inline_stdout: true, inline_output_files: vec!["b".into()], ..get(MAIN, &action) };
    let found = server.client.actions().get_action_result(request).await.unwrap().into_inner();
    assert_eq!(found.stdout_raw, content(1, 100));
    assert_eq!(found.output_files[0].contents, "");
    assert_eq!(found.output_files[1].contents, content(2, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_write_results_only_where_the_operator_allows_it() {
    let server = Fixture::new(options()).await;
    let strict = EmbeddedCas::new(server.storage().clone(), &[MAIN.into()], false);
    let (channel, _serving) = serve(|routes| strict.add_services(routes)).await;
    let client = crate::fixture::Client { channel };
    let action = digest_of(b"action");
    let refused = client.actions().update_action_result(update(&action, ActionResult::default())).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    // The engine's own results are not concerned.
    strict.put_action_result(MAIN, &action, &ActionResult::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_least_recently_used_results_leave_when_there_are_too_many() {
    let server = Fixture::new(StorageOptions { actions_bytes_max: 10 * 1300, ..options() }).await;
    let actions: Vec<_> = (0..12u8).map(|number| digest_of(&[number])).collect();
    let result = ActionResult { stdout_raw: content(1, 1000), ..Default::default() };
    for action in &actions[..10] {
        server.cas.put_action_result(MAIN, action, &result).await.unwrap();
    }
    assert!(server.cas.action_result(MAIN, &actions[0]).await.unwrap().is_some());
    for action in &actions[10..] {
        server.cas.put_action_result(MAIN, action, &result).await.unwrap();
    }
    let mut found = Vec::new();
    for action in &actions {
        found.push(server.cas.action_result(MAIN, action).await.unwrap().is_some());
    }
    assert_eq!(found.iter().filter(|found| !**found).count(), 2);
    assert!(found[0] && !found[1] && !found[2]);
}
