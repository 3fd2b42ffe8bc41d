//! What was acknowledged is there after a kill.

use berth_e2e::{Job, LONG, Plan, Site, complete, last, response, salt, stage, stdout};
use berth_proto::reapi::execution_stage::Value;
use tonic::Code;

#[tokio::test]
async fn an_operation_and_its_lease_go_on_after_a_kill() {
    let site = Site::started(Plan::default()).await;
    let (queued, mut stream) = site.client().await.begin(&Job::new("a")).await;
    let mut bot = site.bot("bot", 1).await;
    let lease = bot.take().await;
    site.kill().await;
    let cut = loop {
        match stream.message().await {
            Ok(Some(operation)) => assert!(!operation.done),
            ended => break ended,
        }
    };
    assert_ne!(cut.expect_err("a cut is no end").code(), Code::NotFound);

    site.start().await;
    let client = site.client().await;
    let mut stream = client.wait(&queued.name).await.expect("it is still there");
    let first = stream.message().await.expect("the stream lives").expect("a stream begins with the state");
    assert_eq!(stage(&first), Value::Executing);
    // The bot goes on with its session and its lease; the server takes its report.
    bot.reconnect(site.channel().await);
    bot.finish().await;
    let done = last(stream).await;
    assert_eq!(stdout(&done), lease.id);

    // Finished operations and results are found, too.
    site.kill().await;
    site.start().await;
    let client = site.client().await;
    assert_eq!(client.get(&queued.name).await.expect("it is still there"), done);
    assert_eq!(last(client.wait(&queued.name).await.expect("it is still there")).await, done);
    let again = client.run(&Job::new("a")).await;
    assert!(response(&again).cached_result);
    assert_eq!(stdout(&again), lease.id);
}

#[tokio::test]
async fn a_bot_that_was_restarted_too_gets_the_job_again_as_a_new_attempt() {
    let site = Site::started(Plan::default()).await;
    let (queued, _stream) = site.client().await.begin(&Job::new("a")).await;
    let mut bot = site.bot("bot", 1).await;
    let first = bot.take().await;
    let mut late = bot.clone();
    site.kill().await;
    site.start().await;
    bot.reconnect(site.channel().await);
    bot.forget();
    let second = bot.take().await;
    assert_ne!(first.id, second.id);
    // The older life reports late: it has no session any more, and changes nothing.
    late.reconnect(site.channel().await);
    late.session.leases.iter_mut().for_each(|lease| complete(lease, None, Code::Internal as i32));
    let refused = late.update(LONG).await.expect_err("its session was replaced");
    // What bots know as "your session is gone".
    assert_eq!(refused.code(), Code::DataLoss);
    bot.finish().await;
    let done = last(site.client().await.wait(&queued.name).await.expect("it is still there")).await;
    assert_eq!(stdout(&done), second.id);
}

#[tokio::test]
async fn queued_jobs_keep_their_order_over_a_kill() {
    let site = Site::started(Plan::default()).await;
    let client = site.client().await;
    let mut expected = Vec::new();
    for number in 0..30 {
        let (priority, salt) = ([5, -3, 0][number % 3], format!("{number:02}"));
        let (operation, _) = client.begin(&Job { priority, ..Job::new(&*salt) }).await;
        assert_eq!(stage(&operation), Value::Queued);
        expected.push((priority, salt));
    }
    site.kill().await;
    site.start().await;
    // By priority, then by age. The sort is stable, and the list is by age.
    expected.sort_by_key(|(priority, _)| *priority);
    let mut bot = site.bot("bot", 1).await;
    let mut order = Vec::new();
    for _ in &expected {
        order.push(salt(&bot.take().await));
        bot.finish().await;
    }
    assert_eq!(order, expected.into_iter().map(|(_, salt)| salt).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_lease_that_a_bot_holds_is_not_given_to_another_after_a_kill() {
    let site = Site::started(Plan::default()).await;
    let client = site.client().await;
    let (operation, _stream) = client.begin(&Job::new("held")).await;
    let mut holder = site.bot("holder", 1).await;
    let lease = holder.take().await;
    site.kill().await;
    site.start().await;
    // Another bot is first to ask, and finds nothing until there is something else.
    let mut other = site.bot("other", 1).await;
    other.open(std::time::Duration::from_secs(1)).await.expect("a session is opened");
    assert!(other.session.leases.is_empty());
    let client = site.client().await;
    client.begin(&Job::new("free")).await;
    assert_eq!(salt(&other.take().await), "free");
    holder.reconnect(site.channel().await);
    holder.finish().await;
    let done = last(client.wait(&operation.name).await.expect("it is still there")).await;
    assert_eq!(stdout(&done), lease.id);
}
