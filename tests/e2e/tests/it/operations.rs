//! Operations as clients of BuildGrid use them: lists with filters, orders and pages; who asked; the right statuses.

use berth_e2e::{Job, Plan, Site, code, last};
use berth_proto::{
    buildgrid::ClientIdentity,
    longrunning::{
        CancelOperationRequest, DeleteOperationRequest, GetOperationRequest, ListOperationsRequest, Operation,
        WaitOperationRequest, operations_client::OperationsClient,
    },
    reapi::{RequestMetadata, ToolDetails, execution_client::ExecutionClient},
};
use prost::Message;
use serde_json::json;
use tonic::{
    Code, Request, Status, Streaming,
    metadata::{AsciiMetadataKey, MetadataValue},
    transport::Channel,
};

const METADATA: &str = "build.bazel.remote.execution.v2.requestmetadata-bin";
const IDENTITY: &str = "buildgrid.v2.clientidentity-bin";

fn metadata(number: usize) -> RequestMetadata {
    RequestMetadata {
        tool_details: Some(ToolDetails { tool_name: "ba zel".into(), tool_version: format!("{number}.0") }),
        tool_invocation_id: format!("build-{}", number / 2),
        correlated_invocations_id: "pipeline".into(),
        action_mnemonic: "CppCompile".into(),
        target_id: format!("//server:lib{number}"),
        configuration_id: "k8-opt".into(),
        ..RequestMetadata::default()
    }
}

/// Executes as a client that says who it is.
async fn begin(site: &Site, number: usize, job: &Job) -> (Operation, Streaming<Operation>) {
    let mut request = Request::new(site.client().await.prepare(job).await.expect("the blobs are stored"));
    let headers = request.metadata_mut();
    headers.insert_bin(METADATA, MetadataValue::from_bytes(&metadata(number).encode_to_vec()));
    for (name, value) in [("workflow", "ci"), ("actor", "robot"), ("subject", "alice")] {
        let name = format!("x-request-{name}");
        headers.insert(name.parse::<AsciiMetadataKey>().expect("a name"), value.parse().expect("text"));
    }
    let mut client = ExecutionClient::new(site.channel().await);
    let mut stream = client.execute(request).await.expect("the action is executed").into_inner();
    let first = stream.message().await.expect("the stream lives").expect("a stream begins with the state");
    (first, stream)
}

async fn operations(site: &Site) -> OperationsClient<Channel> {
    OperationsClient::new(site.channel().await)
}

async fn page(site: &Site, filter: &str, page_size: i32, token: &str) -> Result<(Vec<String>, String), Status> {
    let request = ListOperationsRequest {
        name: "main".into(),
        filter: filter.into(),
        page_size,
        page_token: token.into(),
        ..ListOperationsRequest::default()
    };
    let page = operations(site).await.list_operations(request).await?.into_inner();
    Ok((page.operations.into_iter().map(|operation| operation.name).collect(), page.next_page_token))
}

/// All pages, two operations each.
async fn list(site: &Site, filter: &str) -> Vec<String> {
    let (mut names, mut token) = (Vec::new(), String::new());
    loop {
        let (some, next) = page(site, filter, 2, &token).await.expect("a page");
        names.extend(some);
        if next.is_empty() {
            return names;
        }
        token = next;
    }
}

const KEYS: [&str; 19] = [
    "stage",
    "name",
    "command",
    "platform",
    "action_digest",
    "invocation_id",
    "correlated_invocations_id",
    "tool_name",
    "tool_version",
    "action_mnemonic",
    "target_id",
    "configuration_id",
    "client_workflow",
    "client_actor",
    "client_subject",
    "priority",
    "queued_time",
    "start_time",
    "completed_time",
];

#[tokio::test]
async fn operations_are_listed_by_every_key_in_every_order_page_by_page() {
    let site = Site::started(Plan::default()).await;
    let mut bot = site.bot("bot", 1).await;
    let mut names = Vec::new();
    for number in 0..6_usize {
        let job = Job { arguments: vec!["make", "it"], priority: 6 - number as i32, ..Job::new(number.to_string()) };
        let (operation, stream) = begin(&site, number, &job).await;
        names.push(operation.name);
        if number < 3 {
            bot.take().await;
            bot.finish().await;
            last(stream).await;
        }
    }
    bot.take().await;
    // Two handles of one job, one of them given up.
    let (given_up, stream) = begin(&site, 5, &Job { arguments: vec!["make", "it"], ..Job::new("5") }).await;
    site.client().await.cancel(&given_up.name).await.expect("it is cancelled");
    last(stream).await;
    let all: Vec<String> = names.iter().cloned().chain([given_up.name.clone()]).collect();

    for restarted in [false, true] {
        if restarted {
            site.kill().await;
            site.start().await;
        }
        // By the times at which their jobs were accepted; the two handles of one job by name.
        assert_eq!(list(&site, "sort_order=queued_time").await, all);
        for key in KEYS {
            for direction in ["asc", "desc"] {
                let mut met = list(&site, &format!("sort_order={key}({direction})")).await;
                met.sort();
                let mut wanted = all.clone();
                wanted.sort();
                assert_eq!(met, wanted, "{key} {direction}");
            }
        }
        let by_version = list(&site, "sort_order=tool_version(desc)&sort_order=name(desc)").await;
        assert_eq!(by_version[0], given_up.name);
        assert_eq!(by_version[6], names[0]);

        assert_eq!(list(&site, "invocation_id = build-1").await, names[2..4]);
        assert_eq!(list(&site, "target_id >= //server:lib4 & stage != COMPLETED").await, names[4..6]);
        assert_eq!(list(&site, "tool_name = \"ba zel\" & tool_version<2").await, names[..2]);
        assert_eq!(
            list(&site, "client_subject=alice & client_actor=robot & client_workflow=ci & priority>4").await,
            names[..2]
        );
        assert_eq!(list(&site, "client_subject!=alice").await, Vec::<String>::new());
        assert_eq!(list(&site, "command=make & action_mnemonic=CppCompile & priority=6").await, names[..1]);
        assert_eq!(list(&site, "command!=make").await, Vec::<String>::new());
        assert_eq!(list(&site, "completed_time=\"\"").await, names[3..6]);
        // The handle that was given up is over, and its job had begun.
        assert_eq!(
            list(&site, "start_time != \"\" & stage=COMPLETED").await,
            [&names[..3], std::slice::from_ref(&given_up.name)].concat()
        );
        assert_eq!(
            list(&site, "completed_time > 2020-01-01T00:00:00+02:00 & stage=completed").await,
            [&names[..3], std::slice::from_ref(&given_up.name)].concat()
        );
        assert_eq!(list(&site, "completed_time < 2020-01-01").await, Vec::<String>::new());
        assert_eq!(list(&site, &format!("name={}", names[4])).await, names[4..5]);
        assert_eq!(list(&site, "").await, names[3..6]);
    }
}

#[tokio::test]
async fn what_cannot_be_a_filter_or_a_token_is_refused_with_what_could() {
    let site = Site::started(Plan::default()).await;
    for number in 0..3 {
        begin(&site, number, &Job::new(number.to_string())).await;
    }
    for (filter, wanted) in [
        ("pet=cat", "at 1: \"pet\" is no key"),
        ("stage=QUEUED & start_time>yesterday", "at 27: \"yesterday\" cannot be `start_time`"),
        ("sort_order=age", "at 12: \"age\" is no order"),
        ("tool_name=a b", "at 13: expected `&` or the end"),
    ] {
        let refused = page(&site, filter, 0, "").await.expect_err("it is refused");
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains(wanted) && refused.message().starts_with("filter"), "{refused}");
    }
    // Priorities are no column of BuildGrid's, and yet its clients sort by them.
    let (first, token) = page(&site, "sort_order=priority", 2, "").await.expect("a page");
    assert_eq!((first.len(), token.is_empty()), (2, false));
    assert_eq!(page(&site, "sort_order=priority", 2, &token).await.expect("a page").0.len(), 1);
    for (filter, token) in [("", token.as_str()), ("sort_order=priority", "2026-01-01-00|x"), ("", "AQ")] {
        let refused = page(&site, filter, 2, token).await.expect_err("it is refused");
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().starts_with("page_token"), "{refused}");
    }
    assert_eq!(page(&site, "", -1, "").await.expect_err("it is refused").code(), Code::InvalidArgument);
}

#[tokio::test]
async fn an_operation_says_behind_itself_who_asked_for_it() {
    let site = Site::started(Plan::default()).await;
    let (operation, _stream) = begin(&site, 7, &Job::new("a")).await;
    let get = async |name: &str| {
        let request = GetOperationRequest { name: name.into() };
        operations(&site).await.get_operation(request).await.expect("it is known")
    };
    let trailer = |response: &tonic::Response<Operation>, name: &str| {
        response.metadata().get_bin(name).map(|value| value.to_bytes().expect("bytes"))
    };
    let response = get(&operation.name).await;
    let of = RequestMetadata::decode(trailer(&response, METADATA).expect("metadata")).expect("of REAPI");
    assert_eq!(of, metadata(7));
    let identity = ClientIdentity::decode(trailer(&response, IDENTITY).expect("an identity")).expect("of BuildGrid");
    assert_eq!((&*identity.actor, &*identity.subject, &*identity.workflow), ("robot", "alice", "ci"));

    let (plain, _stream) = site.client().await.begin(&Job::new("b")).await;
    let response = get(&plain.name).await;
    assert_eq!((trailer(&response, METADATA), trailer(&response, IDENTITY)), (None, None));
}

#[tokio::test]
async fn each_method_knows_what_is_there_and_what_is_not() {
    let site = Site::started(Plan::default()).await;
    let mut client = operations(&site).await;
    for name in ["main/00000000-0000-0000-0000-000000000001", "nowhere/00000000-0000-0000-0000-000000000001", "x", ""] {
        let name = name.to_owned();
        let statuses = [
            client.get_operation(GetOperationRequest { name: name.clone() }).await.expect_err("unknown"),
            client.cancel_operation(CancelOperationRequest { name: name.clone() }).await.expect_err("unknown"),
            client.delete_operation(DeleteOperationRequest { name: name.clone() }).await.expect_err("unknown"),
            client.wait_operation(WaitOperationRequest { name, timeout: None }).await.expect_err("unknown"),
        ];
        assert!(statuses.iter().all(|status| status.code() == Code::NotFound), "{statuses:?}");
    }

    let (first, first_stream) = begin(&site, 0, &Job::new("a")).await;
    let (second, second_stream) = begin(&site, 1, &Job::new("a")).await;
    let delete = |name: &str| DeleteOperationRequest { name: name.into() };
    let cancel = |name: &str| CancelOperationRequest { name: name.into() };
    assert_eq!(
        client.delete_operation(delete(&first.name)).await.expect_err("it waits").code(),
        Code::FailedPrecondition
    );
    // The stream of the one that is cancelled ends at once, though its job goes on.
    client.cancel_operation(cancel(&first.name)).await.expect("it is cancelled");
    assert_eq!(code(&last(first_stream).await), Code::Cancelled);
    client.cancel_operation(cancel(&first.name)).await.expect("once more is no error");
    // It is over for its client, and can be forgotten at once; a restart does not bring it back.
    let (third, third_stream) = begin(&site, 2, &Job::new("a")).await;
    client.cancel_operation(cancel(&third.name)).await.expect("it is cancelled");
    last(third_stream).await;
    client.delete_operation(delete(&third.name)).await.expect("it is over");
    site.kill().await;
    site.start().await;
    let mut client = operations(&site).await;
    let gone = client.get_operation(GetOperationRequest { name: third.name.clone() }).await.expect_err("it is gone");
    assert_eq!(gone.code(), Code::NotFound);
    assert!(!list(&site, "sort_order=name").await.contains(&third.name));
    let second_stream = {
        drop(second_stream);
        site.client().await.wait(&second.name).await.expect("it is known")
    };

    let mut bot = site.bot("bot", 1).await;
    bot.take().await;
    bot.finish().await;
    assert_eq!(code(&last(second_stream).await), Code::Ok);
    let timeout = Some(prost_types::Duration { seconds: 5, nanos: 0 });
    let wait = WaitOperationRequest { name: second.name.clone(), timeout };
    assert!(client.wait_operation(wait).await.expect("it is over").into_inner().done);
    client.cancel_operation(cancel(&second.name)).await.expect("what is over need not be cancelled");
    assert_eq!(code(&site.client().await.get(&second.name).await.expect("it is known")), Code::Ok);
    for name in [&first.name, &second.name] {
        client.delete_operation(delete(name)).await.expect("it is over");
        let gone = client.get_operation(GetOperationRequest { name: name.clone() }).await.expect_err("it is gone");
        assert_eq!(gone.code(), Code::NotFound);
    }
    assert_eq!(list(&site, "sort_order=name").await, Vec::<String>::new());
    assert_eq!(list(&site, "sort_order=completed_time").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_result_is_kept_by_the_engine_whatever_the_storage_evicts() {
    let site = Site::started(Plan::default()).await;
    let (operation, stream) = begin(&site, 0, &Job { do_not_cache: true, ..Job::new("a") }).await;
    let mut bot = site.bot("bot", 1).await;
    bot.take().await;
    bot.finish().await;
    let ended = last(stream).await;
    site.kill().await;
    std::fs::remove_dir_all(site.data().join("cas")).expect("the storage is a folder of its own");
    site.start().await;
    let kept = site.client().await.get(&operation.name).await.expect("it is known");
    assert_eq!(kept.result, ended.result);
}

#[tokio::test]
async fn the_command_line_lists_shows_waits_cancels_and_deletes() {
    let site = Site::started(Plan::default()).await;
    let (first, stream) = begin(&site, 0, &Job::new("a")).await;
    let (second, _stream) = begin(&site, 1, &Job::new("b")).await;
    let listed = site.ask(&["operations", "list", "--sort", "queued_time(desc)", "--json"]).await.json();
    let names = |listed: &serde_json::Value| -> Vec<String> {
        let all = listed["operations"].as_array().expect("a list").iter();
        all.map(|operation| operation["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names(&listed), [second.name.clone(), first.name.clone()]);
    let one = site.ask(&["operations", "list", "--limit", "1", "--json"]).await.json();
    let token = one["next_page_token"].as_str().expect("there are more");
    let rest = site.ask(&["operations", "list", "--page-token", token, "--json"]).await.json();
    assert_eq!([names(&one), names(&rest)].concat(), [first.name.clone(), second.name.clone()]);

    let cancelled = site.ask(&["operations", "cancel", &first.name, "--json"]).await.json();
    assert_eq!(cancelled["cancelled"], json!(true));
    last(stream).await;
    let shown = site.ask(&["operations", "wait", &first.name, "--json"]).await.json();
    assert_eq!((&shown["stage"], &shown["code"]), (&json!("COMPLETED"), &json!(Code::Cancelled as i32)));
    let table = site.ask(&["operations", "list", "--filter", "stage=COMPLETED & tool_name=\"ba zel\""]).await;
    assert!(table.stdout.contains(&first.name) && table.stdout.contains("1 shown"), "{table:?}");
    let deleted = site.ask(&["operations", "delete", &first.name]).await;
    assert_eq!(deleted.code, 0, "{deleted:?}");
    let unknown = site.ask(&["operations", "show", &first.name]).await;
    assert!(unknown.code > 0 && unknown.stderr.contains("is not known"), "{unknown:?}");
    let refused = site.ask(&["operations", "list", "--filter", "pet=cat"]).await;
    assert!(refused.code > 0 && refused.stderr.contains("at 1"), "{refused:?}");
}
