//! Puts clients and bots to work and waits for the last job.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use tokio::{sync::watch, task::JoinSet};
use tonic::transport::{Channel, Endpoint};

use super::{
    bot::bot,
    client::{client, client_and_bot},
    corpus::Corpus,
    plan::Plan,
    run::{Measured, Run},
};

/// What the server at the other end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bench) enum Drive {
    /// A scheduler: clients and bots.
    Jobs,
    /// The bare server: the same calls, without meaning.
    Bare,
}

/// Runs the plan against a server. On as many threads as this process has cores: one, if it is pinned.
pub(in crate::bench) fn drive(
    address: SocketAddr,
    server_pid: Option<u32>,
    what: Drive,
    plan: &Plan,
) -> anyhow::Result<Measured> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut builder = match cores {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.enable_all().build()?;
    let corpus = Corpus::new(plan, rand::random());
    let measured = runtime.block_on(run(address, what, Run::new(plan.clone(), corpus, server_pid)));
    // Calls that nobody waits for any more must not hold the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    measured
}

async fn run(address: SocketAddr, what: Drive, run: Run) -> anyhow::Result<Measured> {
    let channels = connect(address, run.plan.connections.max(1)).await?;
    let run = Arc::new(run);
    let channel = |number: usize| channels[number % channels.len()].clone();
    let (stop, stopped) = watch::channel(false);
    let (mut clients, mut bots) = (JoinSet::new(), JoinSet::new());
    match what {
        Drive::Jobs => {
            run.corpus.upload(channel(0), &run.plan.instance).await?;
            // Bots after clients on the connections: with one of each they do not share one.
            for number in 0..run.plan.bots {
                bots.spawn(bot(run.clone(), channel(run.plan.clients + number), number, stopped.clone()));
            }
            for number in 0..run.plan.clients {
                clients.spawn(client(run.clone(), channel(number)));
            }
        }
        Drive::Bare => {
            for number in 0..run.plan.clients {
                clients.spawn(client_and_bot(run.clone(), channel(number), number));
            }
        }
    }
    loop {
        tokio::select! {
            Some(ended) = bots.join_next() => ended.context("a bot's task")?.context("a bot stopped")?,
            ended = clients.join_next() => match ended {
                Some(ended) => ended.context("a client's task")?.context("a client stopped")?,
                None => break,
            },
        }
    }
    stop.send_replace(true);
    while let Some(ended) = bots.join_next().await {
        ended.context("a bot's task")?.context("a bot stopped")?;
    }
    run.measured()
}

async fn connect(address: SocketAddr, connections: usize) -> anyhow::Result<Vec<Channel>> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
    let mut channels = Vec::with_capacity(connections);
    for _ in 0..connections {
        channels.push(endpoint.connect().await.with_context(|| format!("no server answers on {address}"))?);
    }
    Ok(channels)
}
