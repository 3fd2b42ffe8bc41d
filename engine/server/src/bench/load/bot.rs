//! A simulated bot: takes leases, says ACTIVE in one update and COMPLETED in the next, runs nothing.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::Context;
use berth_proto::{
    any,
    bots::{
        BotSession, BotStatus, CreateBotSessionRequest, Device, Lease, LeaseState, UpdateBotSessionRequest, Worker,
        bots_client::BotsClient, device, worker,
    },
    reapi::Action,
    rpc,
};
use prost::Name;
use prost_types::Any;
use tokio::sync::watch;
use tonic::{Code, Request, Status, transport::Channel};

use super::{corpus::action_result, run::Run};

/// How long a call may be held.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

const GOODBYE: Duration = Duration::from_secs(5);

/// Works until it is told to stop, then ends its session.
pub(super) async fn bot(
    run: Arc<Run>,
    channel: Channel,
    number: usize,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let mut bots = BotsClient::new(channel);
    let mut session = introduction(&run, number);
    // Leases that the server knows to be active.
    let mut active = BTreeSet::new();
    loop {
        let held = ask(&mut bots, &run, &session);
        let answer = tokio::select! {
            answer = held => answer?,
            // An error: the run is over in another way.
            _ = stop.changed() => break,
        };
        let Some(answer) = answer else { continue };
        session.name = answer.name;
        session.version = answer.version;
        session.leases = answer.leases;
        active = advance(&run, &session.bot_id, &mut session.leases, &active);
    }
    session.status = BotStatus::BotTerminating as i32;
    if !session.name.is_empty() {
        // It is only a courtesy: the session would expire.
        let _ = tokio::time::timeout(GOODBYE, ask(&mut bots, &run, &session)).await;
    }
    Ok(())
}

/// Create, or update where there is a session. `None`: nothing came until the deadline.
async fn ask(bots: &mut BotsClient<Channel>, run: &Run, session: &BotSession) -> anyhow::Result<Option<BotSession>> {
    let session = session.clone();
    let answer = if session.name.is_empty() {
        let parent = run.plan.instance.clone();
        bots.create_bot_session(timed(CreateBotSessionRequest { parent, bot_session: Some(session) })).await
    } else {
        let name = session.name.clone();
        let request = UpdateBotSessionRequest { name, bot_session: Some(session), update_mask: None };
        bots.update_bot_session(timed(request)).await
    };
    match answer {
        Ok(answer) => Ok(Some(answer.into_inner())),
        Err(status) if is_deadline(&status) => Ok(None),
        Err(status) => Err(status).context("a bot's call"),
    }
}

fn timed<M>(message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    request
}

/// Our own transport calls it CANCELLED when the deadline ends a call here.
fn is_deadline(status: &Status) -> bool {
    status.code() == Code::DeadlineExceeded
        || (status.code() == Code::Cancelled && status.message().contains("Timeout"))
}

/// Each lease goes one step further; answers which of them are reported as active now.
fn advance(run: &Run, bot_id: &str, leases: &mut [Lease], active: &BTreeSet<String>) -> BTreeSet<String> {
    let mut now_active = BTreeSet::new();
    for lease in leases {
        let known = std::mem::take(lease);
        *lease = if known.state == LeaseState::Cancelled as i32 {
            known
        } else if active.contains(&known.id) {
            completed(known, bot_id)
        } else {
            if let Some(job) = run.corpus.job_of(&known) {
                run.leased(job);
            }
            now_active.insert(known.id.clone());
            self::active(known)
        };
    }
    now_active
}

pub(super) fn active(lease: Lease) -> Lease {
    Lease { state: LeaseState::Active as i32, ..lease }
}

pub(super) fn completed(lease: Lease, bot_id: &str) -> Lease {
    Lease {
        state: LeaseState::Completed as i32,
        status: Some(rpc::Status::default()),
        result: Some(any::pack(&action_result(bot_id))),
        ..lease
    }
}

/// A lease as a server would have sent it.
pub(super) fn lease_like(run: &Run, job: u64) -> Lease {
    let type_url = format!("{}{}", any::TYPE_URL_PREFIX, Action::full_name());
    Lease {
        id: format!("{}/leases/{:032x}-1", run.plan.instance, job),
        payload: Some(Any { type_url, value: run.corpus.actions[job as usize].1.to_vec() }),
        state: LeaseState::Active as i32,
        ..Lease::default()
    }
}

/// Who the bot is and what it offers.
pub(super) fn introduction(run: &Run, number: usize) -> BotSession {
    let property = |(key, value)| device::Property { key, value };
    let device = Device { handle: "bench".into(), properties: run.plan.offer().into_iter().map(property).collect() };
    let capacity = worker::Config { key: "capacity".into(), value: run.plan.slots.to_string() };
    BotSession {
        bot_id: format!("bench-{}-{number}", std::process::id()),
        status: BotStatus::Ok as i32,
        worker: Some(Worker { devices: vec![device], configs: vec![capacity], ..Worker::default() }),
        ..BotSession::default()
    }
}
