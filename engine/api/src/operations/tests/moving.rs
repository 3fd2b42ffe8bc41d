//! Pages are turned while operations begin, run and end: each that was there is met once.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use berth_core::{
    BotStatus, Digest, LeaseReport, OpenSession, OperationId, ReportedState, SessionId, Submit, Timestamp,
    UpdateSession,
};
use berth_proto::store as pb;
use berth_runtime::Engine;

use super::house::{ids, page, started};
use crate::instances::Instance;

const OPERATIONS: u128 = 40;

fn submit(operation: u128) -> Submit {
    Submit {
        operation: OperationId(operation),
        instance: "main".into(),
        action: Digest { hash: [operation as u8; 32], size_bytes: 1 },
        do_not_cache: true,
        skip_cache_lookup: false,
        lookup_began: Timestamp(0),
        requirements: Default::default(),
        preferred: None,
        label: "".into(),
        lane: Default::default(),
        weight: 1,
        rank: 0,
        limits: Vec::new(),
        affinities: Vec::new(),
        again: Default::default(),
        queue_timeout: None,
        execution_timeout: None,
    }
}

/// A bot with one slot that takes a job and, at the next call, ends it.
struct Bot {
    engine: Engine,
    session: SessionId,
    reports: Vec<LeaseReport>,
    open: bool,
}

impl Bot {
    async fn step(&mut self) {
        let (session, bot_id) = (self.session, Arc::from(format!("bot-{}", self.session.0)));
        let delivery = if self.open {
            let reports = std::mem::take(&mut self.reports);
            let results = reports.iter().map(|report| (report.lease, pb::JobResult::default())).collect();
            let update = |poll| UpdateSession {
                session,
                bot_id,
                identity: "".into(),
                status: BotStatus::Ok,
                worker: None,
                leases: reports,
                poll,
                hold_until: None,
            };
            self.engine.update_session(update, results).await.unwrap()
        } else {
            self.open = true;
            let open = |poll| OpenSession {
                session,
                instance: "main".into(),
                bot_id,
                identity: "".into(),
                capabilities: vec![Default::default()],
                slots: 2,
                hold_when_full: false,
                status: BotStatus::Ok,
                score: 0,
                poll,
                hold_until: None,
            };
            self.engine.open_session(open).await.unwrap()
        };
        let answer = delivery.answer().clone();
        delivery.delivered();
        let state = ReportedState::Completed { code: 0, cacheable: false };
        self.reports = answer.leases.iter().map(|lease| LeaseReport { lease: *lease, state }).collect();
    }
}

async fn submit_some(engine: &Engine, ids: std::ops::Range<u128>) {
    for id in ids {
        engine.submit(submit(id), Arc::default()).await.unwrap();
    }
}

/// Between two pages: some begin, some end, some are given up, and new ones come.
async fn disturb(instance: &Instance, bot: &mut Bot, round: u128) {
    bot.step().await;
    let engine = &instance.engine;
    engine.cancel(OperationId(1 + round * 7 % OPERATIONS)).await.unwrap();
    // Not for ever: a page of one would never get to the end.
    if round < 20 {
        submit_some(engine, 1_000 + round..1_001 + round).await;
    }
}

async fn each_is_met_once(filter: &str, size: i32, time: Duration) {
    let instance = started(&[]);
    submit_some(&instance.engine, 1..OPERATIONS + 1).await;
    let mut bot = Bot { engine: instance.engine.clone(), session: SessionId(9), reports: Vec::new(), open: false };
    for round in 0..4 {
        disturb(&instance, &mut bot, round).await;
    }
    let (mut met, mut token) = (BTreeMap::<u128, u32>::new(), String::new());
    for round in 4.. {
        let page = page(&instance, filter, size, &token, time).await.unwrap();
        ids(&page).into_iter().for_each(|id| *met.entry(id).or_default() += 1);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
        disturb(&instance, &mut bot, round).await;
    }
    for id in 1..=OPERATIONS {
        assert_eq!(met.get(&id), Some(&1), "{filter} by {size}: operation {id}");
    }
    assert!(met.values().all(|times| *times == 1), "{filter} by {size}: {met:?}");
}

#[tokio::test]
async fn each_operation_is_met_once_in_every_order() {
    for key in
        ["queued_time", "name", "action_digest", "invocation_id", "tool_name", "stage", "completed_time", "start_time"]
    {
        for direction in ["asc", "desc"] {
            for time in [Duration::from_secs(60), Duration::ZERO] {
                for size in [1, 3, 7] {
                    each_is_met_once(&format!("sort_order={key}({direction})"), size, time).await;
                }
            }
        }
    }
}
