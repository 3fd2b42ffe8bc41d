//! Start and stop: what an operator sees when it does not work, and when it does.

use std::net::TcpListener;

use berth_e2e::{Job, Output, Plan, Site, last, stdout};
use tonic::Code;

/// The server did not start, said why in one line that names `words`, and did not claim to be ready.
fn assert_refused(output: &Output, words: &[&str]) {
    assert!(output.code > 0, "{output:?}");
    assert!(!output.stderr.contains("ready on"), "{output:?}");
    let line = output.stderr.lines().find(|line| line.starts_with("berth: "));
    let line = line.unwrap_or_else(|| panic!("no message: {output:?}"));
    for word in words {
        assert!(output.stderr.contains(word), "no {word:?} in {line:?}");
    }
    assert!(!output.stderr.contains("panicked"), "{output:?}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_its_flag() {
    let site = Site::new(Plan::default());
    let taken = TcpListener::bind(site.grpc()).expect("the port is free");
    assert_refused(&site.run(&site.serve_arguments()).await, &[&site.grpc(), "--grpc", "in use"]);
    drop(taken);
    let taken = TcpListener::bind(site.http()).expect("the port is free");
    assert_refused(&site.run(&site.serve_arguments()).await, &[&site.http(), "--http", "in use"]);
    drop(taken);
    site.start().await;
}

#[tokio::test]
async fn a_bad_configuration_is_told_by_key_and_value() {
    let site = Site::new(Plan { config: "[scheduler]\nattempts_max = 0\n", ..Plan::default() });
    assert_refused(&site.run(&site.serve_arguments()).await, &["scheduler.attempts_max", "0", "from 1"]);
    let site = Site::new(Plan { config: "[store]\nsink = true\n", ..Plan::default() });
    assert_refused(&site.run(&site.serve_arguments()).await, &["sink", "sync"]);
    let site = Site::new(Plan::default());
    let arguments = [site.serve_arguments(), vec!["--config".into(), "/nowhere/berth.toml".into()]].concat();
    assert_refused(&site.run(&arguments).await, &["/nowhere/berth.toml"]);
}

#[tokio::test]
async fn a_data_folder_that_another_berth_uses_is_refused() {
    let site = Site::started(Plan::default()).await;
    let other = Site::new(Plan::default());
    let mut arguments = other.serve_arguments();
    let data = arguments.iter().position(|argument| argument == "--data").expect("it is named") + 1;
    arguments[data] = site.data().display().to_string();
    assert_refused(&other.run(&arguments).await, &["another process", &arguments[data]]);
    // The first one did not notice.
    let client = site.client().await;
    client.begin(&Job::new("a")).await;
}

#[tokio::test]
async fn a_data_folder_that_is_a_file_is_refused() {
    let site = Site::new(Plan::default());
    std::fs::remove_dir(site.data()).expect("it is empty");
    std::fs::write(site.data(), "not a folder").expect("the site is ours");
    assert_refused(&site.run(&site.serve_arguments()).await, &[&site.data().display().to_string()]);
}

#[tokio::test]
async fn a_server_that_is_asked_to_stop_ends_its_streams_unavailable_and_exits_with_zero() {
    let site = Site::started(Plan::default()).await;
    let client = site.client().await;
    let (queued, mut queued_stream) = client.begin(&Job::new("queued")).await;
    let mut bot = site.bot("bot", 1).await;
    let lease = bot.take().await;
    let (_, mut waiting) = client.begin(&Job::new("waiting")).await;
    let held = tokio::spawn(async move {
        let error = bot.update(berth_e2e::LONG).await.map(|()| bot.session.leases.len());
        (error, bot)
    });
    let ended = tokio::spawn(async move {
        loop {
            match queued_stream.message().await {
                Ok(Some(operation)) => assert!(!operation.done),
                Ok(None) => panic!("the stream ends as if all were well"),
                Err(status) => return status,
            }
        }
    });
    let exit = site.terminate().await;
    assert_eq!(exit.code(), Some(0), "{}", site.log());
    assert_eq!(ended.await.expect("no panic").code(), Code::Unavailable);
    assert_eq!(waiting.message().await.expect_err("the stream is cut").code(), Code::Unavailable);
    // The bot's call ends as well: with what it has, or with an error that makes it come back.
    let (_, mut bot) = held.await.expect("no panic");

    site.start().await;
    bot.reconnect(site.channel().await);
    bot.session.leases = vec![lease];
    bot.finish().await;
    let stream = site.client().await.wait(&queued.name).await.expect("it is still there");
    assert!(stdout(&last(stream).await).ends_with("-1"), "the lease stood over the restart");
}
