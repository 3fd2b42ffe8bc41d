//! What was acknowledged outlives the server.

use std::time::Duration;

use berth_proto::reapi::{WaitExecutionRequest, execution_stage::Value};
use tonic::Code;

use crate::house::{House, Job, last, response, stage, succeed};

#[tokio::test]
async fn an_operation_is_taken_up_again_after_a_restart() {
    let house = House::new();
    let server = house.start().await;
    let client = server.connect().await;
    let (queued, _stream) = client.begin(&Job::new("queued")).await;
    let mut bot = client.bot("bot", 1);
    bot.take().await;
    server.stop().await;
    drop(client);

    let server = house.start().await;
    let client = server.connect().await;
    let wait = WaitExecutionRequest { name: queued.name.clone() };
    let mut stream = client.execution().wait_execution(wait.clone()).await.unwrap().into_inner();
    assert_eq!(stage(&stream.message().await.unwrap().unwrap()), Value::Executing);
    // The bot goes on with its session, and with its lease.
    let mut same = client.bot("bot", 1);
    same.session = bot.session.clone();
    same.finish_all(succeed);
    same.update(Duration::from_millis(300)).await.unwrap();
    let done = last(stream).await;
    assert_eq!(response(&done).result.unwrap().stdout_raw, "done\n");
    server.stop().await;

    let server = house.start().await;
    let client = server.connect().await;
    let stream = client.execution().wait_execution(wait).await.unwrap().into_inner();
    assert_eq!(last(stream).await, done);
}

#[tokio::test]
async fn a_stream_that_the_shutdown_cuts_ends_unavailable() {
    let house = House::new();
    let server = house.start().await;
    let client = server.connect().await;
    let (_, mut stream) = client.begin(&Job::new("a")).await;
    server.stop_engine().await;
    assert_eq!(stream.message().await.unwrap_err().code(), Code::Unavailable);
    let request = client.prepare(&Job::new("b")).await;
    assert_eq!(client.execute(request).await.unwrap_err().code(), Code::Unavailable);
}
