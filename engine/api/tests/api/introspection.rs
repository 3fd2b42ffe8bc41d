//! `build.buildgrid.Introspection`.

use std::time::Duration;

use berth_proto::{
    bots::BotStatus,
    buildgrid::{
        GetJobHistoryRequest, GetOperationFiltersRequest, GetRequestMetadataSummaryRequest, JobEventType,
        ListRequestMetadataRequest, ListRequestMetadataResponse, ListWorkersRequest, ListWorkersResponse,
        OperationStatsRequest, RequestMetadataSummary, introspection_client::IntrospectionClient,
    },
    longrunning::CancelOperationRequest,
    reapi::{ActionResult, ExecutedActionMetadata, RequestMetadata, ToolDetails},
};
use prost::Message;
use serde_json::{Value, json};
use tonic::{Code, Request, Status, Streaming, metadata::MetadataValue, transport::Channel};

use crate::house::{Client, House, Job, complete, last, succeed};

const MOMENT: Duration = Duration::from_millis(100);

fn introspection(client: &Client) -> IntrospectionClient<Channel> {
    IntrospectionClient::new(client.channel.clone())
}

async fn workers(client: &Client, request: ListWorkersRequest) -> Result<ListWorkersResponse, Status> {
    let request = ListWorkersRequest { instance_name: "main".into(), ..request };
    introspection(client).list_workers(request).await.map(tonic::Response::into_inner)
}

/// Kind and payload of each event of an operation's job.
async fn history(client: &Client, name: &str) -> Vec<(JobEventType, Value)> {
    let request = GetJobHistoryRequest { instance_name: "main".into(), operation_name: name.into() };
    let history = introspection(client).get_job_history(request).await.unwrap().into_inner().history;
    let times: Vec<_> = history.iter().map(|event| event.timestamp.unwrap()).map(|t| (t.seconds, t.nanos)).collect();
    assert!(times.is_sorted(), "{history:?}");
    history.iter().map(|event| (event.event_type(), serde_json::from_str(&event.payload).unwrap())).collect()
}

fn id(name: &str) -> &str {
    name.rsplit_once('/').unwrap().1
}

#[tokio::test]
async fn workers_are_listed_page_by_page_with_what_they_are_at() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let (first, _stream) = client.begin(&Job::new("a")).await;
    let (handle, _other) = client.begin(&Job::new("a")).await;
    let mut busy = client.bot("Bot-B", 1);
    busy.take().await;
    for name in ["bot-a", "bot-c", "else"] {
        client.bot(name, 1).open(MOMENT).await.unwrap();
    }

    let all = workers(&client, ListWorkersRequest::default()).await.unwrap();
    assert_eq!((all.total, all.page, all.page_size), (4, 1, 100));
    let names: Vec<_> = all.workers.iter().map(|worker| worker.worker_name.as_str()).collect();
    assert_eq!(names, ["Bot-B", "bot-a", "bot-c", "else"]);
    let worker = &all.workers[0];
    assert_eq!((worker.session_name.as_str(), worker.bot_status()), (busy.session.name.as_str(), BotStatus::Ok));
    let at: Vec<_> = worker.operations.iter().map(|operation| operation.operation_name.as_str()).collect();
    assert_eq!(at, [id(&first.name), id(&handle.name)]);
    assert!(worker.action_digest.is_some() && worker.operations[0].action_digest == worker.action_digest);
    let (heard, expiry) = (worker.last_updated.unwrap(), worker.expiry_time.unwrap());
    assert_eq!(expiry.seconds - heard.seconds, 45);
    assert!(all.workers[1].operations.is_empty() && all.workers[1].action_digest.is_none());

    // A part of a name, whatever the case; pages after the last are empty.
    let page =
        |page, page_size| ListWorkersRequest { page, page_size, worker_name: "BOT".into(), ..Default::default() };
    let second = workers(&client, page(2, 2)).await.unwrap();
    assert_eq!((second.total, second.page, second.page_size, second.workers.len()), (3, 2, 2, 1));
    assert_eq!(second.workers[0].worker_name, "bot-c");
    assert_eq!(workers(&client, page(3, 2)).await.unwrap().workers.len(), 0);
    let session = id(&busy.session.name)[..8].to_uppercase();
    let by_session = ListWorkersRequest { worker_name: session, ..Default::default() };
    assert!(workers(&client, by_session).await.unwrap().workers.iter().any(|worker| worker.worker_name == "Bot-B"));
    for (request, field) in [(page(-1, 0), "page:"), (page(0, -1), "page_size:")] {
        let refused = workers(&client, request).await.unwrap_err();
        assert!(refused.code() == Code::InvalidArgument && refused.message().starts_with(field), "{refused}");
    }

    // Another instance sees nothing of it.
    let other = ListWorkersRequest { instance_name: "other/one".into(), ..Default::default() };
    let other = introspection(&client).list_workers(other).await.unwrap().into_inner();
    assert_eq!((other.total, other.workers.len()), (0, 0));
    let nowhere = ListWorkersRequest { instance_name: "moon".into(), ..Default::default() };
    assert_eq!(introspection(&client).list_workers(nowhere).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn every_key_of_a_filter_is_described() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let request = GetOperationFiltersRequest { instance_name: "main".into() };
    let filters = introspection(&client).get_operation_filters(request).await.unwrap().into_inner().filters;
    let find = |key: &str| filters.iter().find(|filter| filter.key == key).unwrap();
    assert_eq!(find("stage").values, ["UNKNOWN", "CACHE_CHECK", "QUEUED", "EXECUTING", "COMPLETED"]);
    assert_eq!((find("queued_time").r#type.as_str(), find("command").r#type.as_str()), ("datetime", "text"));
    assert_eq!(find("sort_order").comparators, ["="]);
    let mut signs = find("name").comparators.clone();
    signs.sort();
    assert_eq!(signs, ["!=", "<", "<=", "=", ">", ">="]);
    assert!(filters.iter().all(|filter| !filter.name.is_empty() && !filter.description.is_empty()));
    // What is described is accepted.
    for filter in filters.iter().filter(|filter| filter.key != "sort_order") {
        let value = match filter.key.as_str() {
            "stage" => "QUEUED",
            "platform" => "a:b",
            "action_digest" => "ab/1",
            "priority" => "1",
            key if key.ends_with("_time") => "2026-01-31T12:00",
            _ => "x",
        };
        for sign in &filter.comparators {
            let request = berth_proto::longrunning::ListOperationsRequest {
                name: "main".into(),
                filter: format!("{} {sign} {value} & sort_order = {}", filter.key, filter.key),
                ..Default::default()
            };
            client.operations().list_operations(request).await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_operation_knows_its_place_in_the_queue() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let stats = async |name: &str| {
        let request = OperationStatsRequest { instance_name: "main".into(), operation_name: name.into() };
        introspection(&client).get_operation_stats(request).await.map(|answer| answer.into_inner().queue_position)
    };
    let (first, _first) = client.begin(&Job::new("a")).await;
    let (second, _second) = client.begin(&Job { priority: 3, ..Job::new("b") }).await;
    let (third, _third) = client.begin(&Job { priority: -1, ..Job::new("c") }).await;
    for (name, place) in [(&first.name, "~2"), (&second.name, "~3"), (&third.name, "~1")] {
        assert_eq!(stats(name).await.unwrap(), place);
        assert_eq!(stats(id(name)).await.unwrap(), place, "without its instance");
    }
    client.bot("bot", 1).take().await;
    assert_eq!((stats(&third.name).await.unwrap().as_str(), stats(&first.name).await.unwrap().as_str()), ("~0", "~1"));
    let streams = futures::future::join_all((0..300).map(|n| {
        let (client, job) = (client.clone(), Job { priority: -2, ..Job::new(format!("many-{n}")) });
        async move { client.begin(&job).await.1 }
    }));
    let _streams: Vec<Streaming<_>> = streams.await;
    assert_eq!(stats(&first.name).await.unwrap(), "300+");
    for name in [format!("other/one/{}", id(&first.name)), "nonsense".into(), format!("main/{}", uuid::Uuid::nil())] {
        assert_eq!(stats(&name).await.unwrap_err().code(), Code::NotFound, "{name}");
    }
}

#[tokio::test]
async fn a_history_tells_attempts_progress_and_the_end() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let (first, stream) = client.begin(&Job::new("a")).await;
    let (handle, _other) = client.begin(&Job::new("a")).await;
    let mut bot = client.bot("bot-1", 1);
    bot.take().await;
    bot.finish_all(|lease| complete(lease, None, Code::Unavailable as i32));
    let cancel = CancelOperationRequest { name: handle.name.clone() };
    bot.update(MOMENT).await.unwrap();
    client.operations().cancel_operation(cancel).await.unwrap();
    bot.take().await;
    let stamp = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    bot.finish_all(|lease| {
        let execution_metadata = Some(ExecutedActionMetadata {
            worker: "bot-1".into(),
            execution_start_timestamp: stamp(now),
            execution_completed_timestamp: stamp(now + 1_000),
            ..Default::default()
        });
        complete(lease, Some(ActionResult { execution_metadata, ..ActionResult::default() }), 0);
    });
    bot.update(MOMENT).await.unwrap();
    last(stream).await;

    let told = history(&client, &first.name).await;
    let kinds: Vec<_> = told.iter().map(|(kind, _)| *kind).collect();
    use JobEventType::{Assignment, Completion, Creation, NewOperation, OperationCancellation, ProgressUpdate, Retry};
    let count = |kind| kinds.iter().filter(|other| **other == kind).count();
    let counts =
        [Creation, NewOperation, Assignment, Retry, OperationCancellation, ProgressUpdate, Completion].map(count);
    assert_eq!(counts, [1, 2, 2, 1, 1, 2, 1], "{told:?}");
    assert_eq!((kinds[0], *kinds.last().unwrap()), (Creation, Completion));
    let payload = |kind| &told.iter().find(|(other, _)| *other == kind).unwrap().1;
    assert_eq!(payload(Creation), &Value::Null);
    assert_eq!(payload(NewOperation), &json!({ "operation_name": id(&first.name), "total_operation_count": 1 }));
    assert_eq!(
        payload(Assignment),
        &json!({ "worker_name": "bot-1", "assignment_strategy": "capacity", "time_in_queue": 0 })
    );
    let retry = payload(Retry);
    assert_eq!(
        (&retry["attempt_number"], &retry["max_attempts"], &retry["status_code"]),
        (&json!(2), &json!(5), &json!(14))
    );
    let given_up = payload(OperationCancellation);
    assert_eq!(
        (&given_up["operation_name"], &given_up["cancelled_operation_count"]),
        (&json!(id(&handle.name)), &json!(1))
    );
    assert_eq!(
        payload(ProgressUpdate),
        &json!({ "timestamp_name": "execution_start_timestamp", "worker_name": "bot-1" })
    );
    let end = payload(Completion);
    assert_eq!((&end["worker_name"], &end["status"]), (&json!("bot-1"), &json!(0)));
    assert!(end["duration"].as_f64().is_some_and(|seconds| seconds >= 0.0));

    // A job that is cancelled while it waits, and one that runs.
    let (waiting, _stream) = client.begin(&Job::new("w")).await;
    client.operations().cancel_operation(CancelOperationRequest { name: waiting.name.clone() }).await.unwrap();
    let told = history(&client, &waiting.name).await;
    assert_eq!(told.last().unwrap(), &(JobEventType::Cancellation, json!({ "worker_name": null })));
    let (running, _stream) = client.begin(&Job::new("r")).await;
    bot.take().await;
    assert_eq!(history(&client, id(&running.name)).await.last().unwrap().0, Assignment);
    client.operations().cancel_operation(CancelOperationRequest { name: running.name.clone() }).await.unwrap();
    let told = history(&client, &running.name).await;
    assert_eq!(told.last().unwrap(), &(JobEventType::Cancellation, json!({ "worker_name": "bot-1" })));
    let other = GetJobHistoryRequest { instance_name: "other/one".into(), operation_name: id(&running.name).into() };
    assert_eq!(introspection(&client).get_job_history(other).await.unwrap_err().code(), Code::NotFound);
}

/// Runs a job for a build tool.
async fn invoke(
    client: &Client,
    salt: &str,
    invocation: &str,
    mnemonic: &str,
) -> Streaming<berth_proto::longrunning::Operation> {
    let metadata = RequestMetadata {
        tool_details: Some(ToolDetails { tool_name: "bazel".into(), tool_version: "7".into() }),
        tool_invocation_id: invocation.into(),
        action_mnemonic: mnemonic.into(),
        action_id: salt.into(),
        ..RequestMetadata::default()
    };
    let mut request = Request::new(client.prepare(&Job::new(salt)).await);
    let header = MetadataValue::from_bytes(&metadata.encode_to_vec());
    request.metadata_mut().insert_bin("build.bazel.remote.execution.v2.requestmetadata-bin", header);
    let mut stream = client.execution().execute(request).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();
    stream
}

#[tokio::test]
async fn what_build_tools_say_is_listed_and_summed_up() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let mut streams = Vec::new();
    for (salt, invocation, mnemonic) in
        [("1", "inv-a", "CppCompile"), ("2", "inv-a", "CppLink"), ("3", "inv-b", "Javac"), ("4", "inv-a", "CppCompile")]
    {
        streams.push(invoke(&client, salt, invocation, mnemonic).await);
    }
    let mut bot = client.bot("bot", 1);
    bot.take().await;
    bot.finish_all(succeed);
    bot.update(MOMENT).await.unwrap();
    last(streams.remove(0)).await;
    bot.take().await;

    let values = async |request: ListRequestMetadataRequest| -> Result<ListRequestMetadataResponse, Status> {
        let request = ListRequestMetadataRequest { instance_name: "main".into(), ..request };
        introspection(&client).list_request_metadata(request).await.map(tonic::Response::into_inner)
    };
    let of = |field: &str| ListRequestMetadataRequest { field: field.into(), ..Default::default() };
    assert_eq!(values(of("action_mnemonic")).await.unwrap().values, ["CppCompile", "CppLink", "Javac"]);
    let part = ListRequestMetadataRequest { pattern: "cpp".into(), page_size: 1, page: 2, ..of("action_mnemonic") };
    let part = values(part).await.unwrap();
    assert_eq!((part.values, part.total, part.page, part.page_size), (vec!["CppLink".to_owned()], 2, 2, 1));
    assert_eq!(values(of("tool_invocation_id")).await.unwrap().values, ["inv-a", "inv-b"]);
    assert_eq!(values(of("target_id")).await.unwrap().total, 0);
    let refused = values(of("action_id")).await.unwrap_err();
    assert!(refused.code() == Code::InvalidArgument && refused.message().contains("configuration_id"), "{refused}");
    let negative = ListRequestMetadataRequest { page: -1, ..of("tool_name") };
    assert_eq!(values(negative).await.unwrap_err().code(), Code::InvalidArgument);

    let summary = async |instance: &str, field: &str, value: &str| -> RequestMetadataSummary {
        let (instance_name, field, value) = (instance.into(), field.into(), value.into());
        let request = GetRequestMetadataSummaryRequest { instance_name, field, value };
        introspection(&client).get_request_metadata_summary(request).await.unwrap().into_inner()
    };
    let counts = |summary: &RequestMetadataSummary| {
        let (queued, executing) = (summary.queued_operation_count, summary.executing_operation_count);
        (queued, executing, summary.completed_operation_count, summary.total_operation_count)
    };
    let invocation = summary("main", "tool_invocation_id", "inv-a").await;
    assert_eq!(counts(&invocation), (1, 1, 1, 3));
    assert_eq!(invocation.request_metadata.len(), 2, "each once, whatever action it was for");
    let (first, end) = (invocation.first_in_queue.unwrap(), invocation.last_completed.unwrap());
    let micros = |t: prost_types::Timestamp| t.seconds * 1_000_000 + i64::from(t.nanos) / 1_000;
    let took = invocation.total_duration.unwrap();
    assert_eq!(micros(end) - micros(first), took.seconds * 1_000_000 + i64::from(took.nanos) / 1_000);
    assert_eq!(counts(&summary("main", "tool_name", "bazel").await), (2, 1, 1, 4));
    let nothing = summary("main", "tool_name", "buck").await;
    assert_eq!((counts(&nothing), nothing.first_in_queue), ((0, 0, 0, 0), None));
    assert_eq!(counts(&summary("other/one", "tool_name", "bazel").await), (0, 0, 0, 0));
}
