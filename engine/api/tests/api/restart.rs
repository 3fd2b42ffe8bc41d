//! What was acknowledged outlives the server.

use std::time::Duration;

use berth_proto::reapi::{WaitExecutionRequest, execution_stage::Value};
use berth_runtime::recover::Limits;
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
async fn a_queue_is_worked_off_in_its_order_after_a_restart_that_serves_before_it_knows_all_of_it() {
    let mut house = House::new();
    let server = house.start().await;
    let client = server.connect().await;
    let mut names = Vec::new();
    for job in ["a", "b", "c", "d", "e"] {
        names.push(client.begin(&Job::new(job)).await.0.name);
    }
    server.stop().await;
    drop(client);

    house.heads = Limits { jobs: 1, lines: 8 };
    let server = house.start().await;
    let client = server.connect().await;
    let mut bot = client.bot("bot", 1);
    // The same actions again, while it is not known yet that they are there.
    let again = client.prepare(&Job::new("e")).await;
    let (mut again, ()) = tokio::join!(async { client.execute(again).await.unwrap() }, async {
        for name in &names {
            let lease = bot.take().await;
            let operation = name.rsplit('/').next().unwrap().replace('-', "");
            assert!(lease.id.contains(&operation), "{} is not of {name}", lease.id);
            bot.finish_all(succeed);
            bot.update(Duration::from_millis(300)).await.unwrap();
        }
    });
    while again.message().await.unwrap().is_some_and(|operation| !operation.done) {}
    for name in names {
        let stream = client.execution().wait_execution(WaitExecutionRequest { name }).await.unwrap().into_inner();
        assert_eq!(response(&last(stream).await).result.unwrap().stdout_raw, "done\n");
    }
    server.stop().await;
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

#[tokio::test]
async fn health_tells_of_a_shutdown_before_it_comes() {
    use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

    let server = House::new().start().await;
    let mut client = HealthClient::new(server.connect().await.channel);
    for service in ["", "build.bazel.remote.execution.v2.Execution", "google.devtools.remoteworkers.v1test2.Bots"] {
        let ask = || HealthCheckRequest { service: service.into() };
        server.health.start_serving().await;
        assert_eq!(client.check(ask()).await.unwrap().get_ref().status(), ServingStatus::Serving, "{service}");
        server.health.stop_serving().await;
        assert_eq!(client.check(ask()).await.unwrap().get_ref().status(), ServingStatus::NotServing, "{service}");
    }
}

#[tokio::test]
async fn reflection_lists_what_is_served() {
    use tonic_reflection::pb::v1alpha::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };

    let server = House::new().start().await;
    let mut client = ServerReflectionClient::new(server.connect().await.channel);
    let ask = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..Default::default()
    };
    let answers = client.server_reflection_info(tokio_stream::once(ask)).await.unwrap();
    let answer = answers.into_inner().message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    for name in ["build.bazel.remote.execution.v2.Execution", "berth.admin.v1.Jobs", "google.longrunning.Operations"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
}
