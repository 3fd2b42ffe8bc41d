//! `berth.admin.v1`.

use std::time::Duration;

use berth_proto::admin::{
    CancelJobRequest, DrainBotRequest, GetJobRequest, Job as Shown, ListBotsRequest, ListJobsRequest,
};
use tonic::{Code, Request, metadata::MetadataValue};

use crate::house::{Client, House, Job, LONG};

async fn get(client: &Client, job: &str) -> Shown {
    client.admin_jobs().get_job(GetJobRequest { job: job.into() }).await.unwrap().into_inner()
}

#[tokio::test]
async fn a_job_says_why_it_waits() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let job = Job { platform: vec![("OSFamily", "linux"), ("pool", "gpu")], ..Job::new("a") };
    let (first, _stream) = client.begin(&job).await;
    let shown = get(&client, &first.name).await;
    assert_eq!((shown.stage.as_str(), shown.command_line.as_str()), ("QUEUED", "cat in.txt"));
    assert_eq!(shown.waiting.unwrap().code, "NO_BOTS");

    let mut bot = client.bot("bot", 1);
    bot.open(Duration::from_millis(100)).await.unwrap();
    let waiting = get(&client, &first.name).await.waiting.unwrap();
    assert_eq!((waiting.code.as_str(), waiting.reason.as_str()), ("NO_BOT_OFFERS", "no bot offers pool=gpu"));
    assert_eq!(waiting.missing[0].name, "pool");

    // By its id and by the first digits of it.
    for name in [shown.job.as_str(), &shown.job[..8]] {
        assert_eq!(get(&client, name).await.job, shown.job);
    }
    let list = client.admin_jobs().list_jobs(ListJobsRequest::default()).await.unwrap().into_inner();
    assert_eq!((list.jobs.len(), list.incomplete_total), (1, 1));
    for (name, code) in
        [("xyz", Code::InvalidArgument), ("abc", Code::InvalidArgument), (&"0".repeat(32), Code::NotFound)]
    {
        let status = client.admin_jobs().get_job(GetJobRequest { job: name.into() }).await.unwrap_err();
        assert_eq!(status.code(), code, "{name}");
    }
}

#[tokio::test]
async fn an_operator_cancels_every_handle_of_a_job() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let (first, _stream) = client.begin(&Job::new("a")).await;
    let (_, _second) = client.begin(&Job::new("a")).await;
    let cancel = || CancelJobRequest { job: first.name.clone() };
    let cancelled = client.admin_jobs().cancel_job(cancel()).await.unwrap().into_inner();
    assert_eq!(cancelled.operations, 2);
    let shown = get(&client, &first.name).await;
    assert_eq!((shown.stage.as_str(), shown.outcome.as_str()), ("COMPLETED", "cancelled"));
    assert_eq!(client.admin_jobs().cancel_job(cancel()).await.unwrap().into_inner().operations, 0);
    let finished = ListJobsRequest { finished: true, ..ListJobsRequest::default() };
    let list = client.admin_jobs().list_jobs(finished).await.unwrap().into_inner();
    assert_eq!((list.jobs.len(), list.incomplete_total), (1, 0));
}

#[tokio::test]
async fn a_drained_bot_gets_nothing_until_the_drain_ends() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let mut bot = client.bot("bot", 1);
    bot.open(Duration::from_millis(100)).await.unwrap();
    let drain = |undo| DrainBotRequest { instance: "main".into(), bot_id: "bot".into(), undo };
    client.admin_bots().drain_bot(drain(false)).await.unwrap();
    let bots = client.admin_bots().list_bots(ListBotsRequest::default()).await.unwrap().into_inner().bots;
    assert!(bots[0].drained && bots[0].properties[0].name == "OSFamily" && bots[0].status == "OK");
    let (first, _stream) = client.begin(&Job::new("a")).await;
    bot.update(Duration::from_millis(300)).await.unwrap();
    assert!(bot.session.leases.is_empty());
    assert_eq!(get(&client, &first.name).await.waiting.unwrap().code, "BOTS_TAKE_NO_WORK");
    client.admin_bots().drain_bot(drain(true)).await.unwrap();
    bot.update(LONG).await.unwrap();
    assert_eq!(bot.session.leases.len(), 1);
}

#[tokio::test]
async fn what_a_build_tool_says_of_itself_is_shown() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let metadata = berth_proto::reapi::RequestMetadata {
        tool_invocation_id: "invocation".into(),
        target_id: "//a:b".into(),
        action_mnemonic: "CppCompile".into(),
        ..Default::default()
    };
    let mut request = Request::new(client.prepare(&Job::new("a")).await);
    let header = MetadataValue::from_bytes(&prost::Message::encode_to_vec(&metadata));
    request.metadata_mut().insert_bin("build.bazel.remote.execution.v2.requestmetadata-bin", header);
    let mut stream = client.execution().execute(request).await.unwrap().into_inner();
    let shown = get(&client, &stream.message().await.unwrap().unwrap().name).await;
    assert_eq!(
        (shown.tool_invocation_id.as_str(), shown.target_id.as_str(), shown.action_mnemonic.as_str()),
        ("invocation", "//a:b", "CppCompile")
    );
}
