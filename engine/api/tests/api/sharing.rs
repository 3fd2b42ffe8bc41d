//! Instances that share bots, bots of all instances, and what holds for one instance alone.

use std::time::Duration;

use berth_api::Own;
use berth_core::Pools;
use tonic::Code;

use crate::house::{Bot, Client, House, Job, LONG, MAIN, OTHER, Server, UNNAMED, last, response, succeed};

async fn begin(client: &Client, instance: &str, salt: &str) -> tonic::Streaming<berth_proto::longrunning::Operation> {
    let mut request = client.prepare(&Job::new(salt)).await;
    request.instance_name = instance.into();
    let mut stream = client.execute(request).await.unwrap();
    assert!(!stream.message().await.unwrap().unwrap().done);
    stream
}

fn bot_of(client: &Client, parent: &str, bot_id: &str) -> Bot {
    let mut bot = client.bot(bot_id, 1);
    bot.parent = parent.into();
    bot
}

/// Runs what the bot is given, and answers which action that was.
async fn run_one(bot: &mut Bot) -> String {
    let lease = bot.take().await;
    bot.finish_all(succeed);
    bot.update(LONG).await.unwrap();
    let action: berth_proto::reapi::Action = berth_proto::any::unpack(lease.payload.as_ref().unwrap()).unwrap();
    String::from_utf8(action.salt.to_vec()).unwrap()
}

async fn sharing(pools: &[&[&str]], bots_for_all: bool) -> (Server, Client) {
    let mut house = House::new();
    house.settings.pools = Pools::new(pools.iter().map(|pool| pool.iter().map(|name| (*name).into()).collect()));
    house.bots_for_all = bots_for_all;
    let server = house.start().await;
    let client = server.connect().await;
    (server, client)
}

#[tokio::test]
async fn bots_of_a_pool_serve_each_others_instances_and_no_other() {
    let (server, client) = sharing(&[&[MAIN, OTHER]], false).await;
    let unnamed = begin(&client, UNNAMED, "unnamed").await;
    let main = begin(&client, MAIN, "main").await;
    let other = begin(&client, OTHER, "other").await;
    let mut bot = bot_of(&client, OTHER, "of-other");
    assert_eq!([run_one(&mut bot).await, run_one(&mut bot).await], ["main", "other"]);
    assert!(last(main).await.name.starts_with("main/"));
    assert!(last(other).await.name.starts_with("other/one/"));
    let waiting = server.engine.read(|book| book.counts()).await.unwrap();
    assert_eq!((waiting.queued, waiting.executing), (1, 0), "a job of an instance beside the pool waits");
    let mut own = bot_of(&client, UNNAMED, "of-none");
    assert_eq!(run_one(&mut own).await, "unnamed");
    assert!(last(unnamed).await.name.starts_with('/'));
}

#[tokio::test]
async fn a_bot_of_all_instances_is_let_in_where_the_operator_says_so() {
    let (_server, client) = sharing(&[], false).await;
    let refused = bot_of(&client, "*", "everywhere").open(LONG).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);

    let (_server, client) = sharing(&[], true).await;
    let mut bot = bot_of(&client, "*", "everywhere");
    for instance in [MAIN, OTHER, UNNAMED] {
        let stream = begin(&client, instance, &format!("of {instance:?}")).await;
        assert_eq!(run_one(&mut bot).await, format!("of {instance:?}"));
        assert!(last(stream).await.name.starts_with(&format!("{instance}/")));
    }
    assert!(bot.session.name.starts_with("*/"), "{}", bot.session.name);
    let mut request = client.prepare(&Job::new("x")).await;
    request.instance_name = "*".into();
    assert_eq!(
        client.execute(request).await.unwrap_err().code(),
        Code::InvalidArgument,
        "no client is of all instances"
    );
}

/// Results are kept apart by instance: they belong where the action came from, not where the bot is at home.
#[tokio::test]
async fn a_result_is_cached_where_its_job_belongs() {
    let (_server, client) = sharing(&[&[MAIN, OTHER]], false).await;
    let stream = begin(&client, MAIN, "cached").await;
    let mut bot = bot_of(&client, OTHER, "of-other");
    run_one(&mut bot).await;
    last(stream).await;
    let again = |instance: &'static str| {
        let client = client.clone();
        async move {
            let mut request = client.prepare(&Job::new("cached")).await;
            request.instance_name = instance.into();
            client.execute(request).await.unwrap().message().await.unwrap().unwrap()
        }
    };
    let hit = again(MAIN).await;
    assert!(hit.done && response(&hit).cached_result);
    assert!(!again(OTHER).await.done, "the other instance has no such result");
}

#[tokio::test]
async fn an_instance_may_have_numbers_of_its_own() {
    let mut house = House::new();
    house.config.action_browser_url = Some("http://browser".into());
    let own = Own {
        execution_timeout_max: Some(Duration::from_secs(60)),
        queue_timeout: Some(Duration::from_millis(1)),
        action_browser_url: Some("http://other".into()),
    };
    house.config.own.insert(OTHER.into(), own);
    let server = house.start().await;
    let client = server.connect().await;

    let slow = Job { timeout_seconds: Some(61), ..Job::new("slow") };
    let mut request = client.prepare(&slow).await;
    let main = client.execute(request.clone()).await.unwrap();
    request.instance_name = OTHER.into();
    let refused = client.execute(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("limit of 60 s"), "{}", refused.message());

    // Nobody serves either; only the one gives up.
    let ended = response(&last(begin(&client, OTHER, "patience").await).await);
    assert_eq!(ended.status.unwrap().code, Code::Unavailable as i32);
    assert!(ended.message.starts_with("http://other/action/"), "{}", ended.message);
    let mut bot = client.bot("bot", 1);
    run_one(&mut bot).await;
    let done = response(&last(main).await);
    assert!(done.message.starts_with("http://browser/action/") && done.message.ends_with('/'), "{}", done.message);
}
