//! `google.longrunning.Operations`.

use std::time::Duration;

use berth_proto::{
    longrunning::{
        CancelOperationRequest, DeleteOperationRequest, GetOperationRequest, ListOperationsRequest,
        WaitOperationRequest,
    },
    reapi::execution_stage::Value,
};
use berth_runtime::sweep::{Retention, sweep};
use tonic::Code;

use crate::house::{Client, House, Job, LONG, last, response, stage, succeed};

async fn list(client: &Client, filter: &str, page_size: i32, page_token: &str) -> (Vec<String>, String) {
    let request = ListOperationsRequest {
        name: "main".into(),
        filter: filter.into(),
        page_size,
        page_token: page_token.into(),
        ..ListOperationsRequest::default()
    };
    let answer = client.operations().list_operations(request).await.unwrap().into_inner();
    (answer.operations.into_iter().map(|operation| operation.name).collect(), answer.next_page_token)
}

#[tokio::test]
async fn operations_are_listed_oldest_first_page_by_page() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let mut names = Vec::new();
    for index in 0..5 {
        names.push(client.begin(&Job::new(index.to_string())).await.0.name);
    }
    // A second handle on the first job.
    let handle = client.begin(&Job::new("0")).await.0.name;
    let (mut first, token) = list(&client, "", 4, "").await;
    let (rest, end) = list(&client, "", 4, &token).await;
    assert_eq!((first.len(), rest.len(), end.as_str()), (4, 2, ""));
    assert!(first[..2].contains(&handle) && first[..2].contains(&names[0]));
    first.retain(|name| *name != handle);
    assert_eq!([first, rest].concat(), names);

    assert_eq!(list(&client, "stage=COMPLETED", 0, "").await.0.len(), 0);
    let id = names[2].rsplit_once('/').unwrap().1;
    assert_eq!(list(&client, &format!("name={id}"), 0, "").await.0, [names[2].clone()]);
    let bad = ListOperationsRequest { name: "main".into(), page_token: "x".into(), ..Default::default() };
    assert_eq!(client.operations().list_operations(bad).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_job_ends_when_its_last_handle_is_cancelled() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let (first, first_stream) = client.begin(&Job::new("a")).await;
    let (second, mut second_stream) = client.begin(&Job::new("a")).await;
    let cancel = |name: &str| CancelOperationRequest { name: name.into() };
    client.operations().cancel_operation(cancel(&first.name)).await.unwrap();
    let status = response(&last(first_stream).await).status.expect("a cancelled operation says so");
    assert_eq!(status.code, Code::Cancelled as i32);
    let still = client.operations().get_operation(GetOperationRequest { name: second.name.clone() }).await.unwrap();
    assert_eq!(stage(still.get_ref()), Value::Queued);

    client.operations().cancel_operation(cancel(&second.name)).await.unwrap();
    assert!(second_stream.message().await.unwrap().unwrap().done);
    // Cancelling what is over is no error; what never was is.
    client.operations().cancel_operation(cancel(&second.name)).await.unwrap();
    let unknown = cancel("main/00000000-0000-0000-0000-000000000001");
    assert_eq!(client.operations().cancel_operation(unknown).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn only_what_is_finished_can_be_deleted() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let (first, stream) = client.begin(&Job::new("a")).await;
    let delete = DeleteOperationRequest { name: first.name.clone() };
    let refused = client.operations().delete_operation(delete.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let mut bot = client.bot("bot", 1);
    bot.take().await;
    bot.finish_all(succeed);
    bot.update(Duration::from_millis(200)).await.unwrap();
    last(stream).await;
    assert_eq!(list(&client, "stage=COMPLETED", 0, "").await.0, std::slice::from_ref(&first.name));
    client.operations().delete_operation(delete).await.unwrap();
    let gone = client.operations().get_operation(GetOperationRequest { name: first.name }).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
}

#[tokio::test]
async fn a_wait_ends_with_the_operation_or_with_its_time() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let (first, _stream) = client.begin(&Job::new("a")).await;
    let wait = |millis: i32| WaitOperationRequest {
        name: first.name.clone(),
        timeout: Some(prost_types::Duration { seconds: 0, nanos: millis * 1_000_000 }),
    };
    let early = client.operations().wait_operation(wait(50)).await.unwrap().into_inner();
    assert!(!early.done);
    let (mut operations, request) = (client.operations(), WaitOperationRequest { timeout: None, ..wait(0) });
    let waiting = tokio::spawn(async move { operations.wait_operation(request).await });
    let mut bot = client.bot("bot", 1);
    bot.take().await;
    bot.finish_all(succeed);
    bot.update(Duration::from_millis(200)).await.unwrap();
    assert!(waiting.await.unwrap().unwrap().into_inner().done);
}

#[tokio::test]
async fn finished_jobs_are_pruned_when_their_time_is_over() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let (first, stream) = client.begin(&Job::new("a")).await;
    let mut bot = client.bot("bot", 1);
    bot.take().await;
    bot.finish_all(succeed);
    bot.update(LONG).await.unwrap();
    last(stream).await;
    let operation = first.name.rsplit_once('/').unwrap().1.parse().unwrap();
    let stored = async || server.engine.history().operation_row(operation).await.unwrap().is_some();

    assert_eq!(sweep(&server.engine, Retention::default()).await.unwrap(), 0);
    assert!(stored().await);
    let at_once = Retention { finished: Duration::ZERO, ..Retention::default() };
    assert_eq!(sweep(&server.engine, at_once).await.unwrap(), 1);
    assert!(!stored().await);
    assert_eq!(server.engine.tally().pruned(), 1);
}
