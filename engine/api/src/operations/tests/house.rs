//! An engine on a simulated disk, with operations in every state, made as rows.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use berth_core::{
    BotStatus, Digest, InstanceName, JobId, JobRow, JobRowState, LaneKey, LeaseId, LeaseRow, OperationId, OperationRow,
    Outcome, SessionId, SessionRow, Settings, Timestamp,
};
use berth_proto::{
    longrunning::{ListOperationsRequest, ListOperationsResponse},
    reapi::{RequestMetadata, ToolDetails},
    store as pb,
};
use berth_runtime::{
    Committer, Engine, Options,
    builtin::BuiltinPolicy,
    clock::Clock,
    codec,
    memory::{Disk, MemoryStore},
    recover::Limits,
    store::{Batch, Commit, PartitionId, Store, Table},
};
use prost::Message;

use crate::{
    config::Config,
    error::Error,
    instances::{Instance, Instances},
    operations::list::list,
};

/// What the test knows of an operation.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) id: u128,
    pub(super) instance: &'static str,
    pub(super) state: State,
    pub(super) queued: u64,
    pub(super) action: u8,
    /// Picks its words.
    pub(super) word: usize,
    pub(super) priority: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Queued,
    Executing { started: u64 },
    Finished { started: Option<u64>, at: u64 },
}

/// Times are in this second, long ago.
pub(super) const BASE: u64 = 1_700_000_000_000_000;

pub(super) const WORDS: [&str; 6] = ["", "a", "a b", "a\"b", "b/c:d", "zzz"];

impl Known {
    pub(super) fn word(&self) -> &'static str {
        WORDS[self.word % WORDS.len()]
    }

    pub(super) fn digest(&self) -> Digest {
        Digest { hash: [self.action; 32], size_bytes: 8 + u64::from(self.action % 3) }
    }

    pub(super) fn platform(&self) -> Vec<(String, String)> {
        (0..self.word % 3).map(|number| (format!("k{number}"), self.word().to_owned())).collect()
    }

    fn row(&self) -> JobRow {
        let (state, started_at) = match self.state {
            State::Queued => (JobRowState::Queued, None),
            State::Executing { .. } => (JobRowState::Leased, None),
            State::Finished { started, at } => {
                let state = JobRowState::Completed { at: Timestamp(at), outcome: Outcome::QueueTimeout };
                (state, started.map(Timestamp))
            }
        };
        JobRow {
            job: JobId(self.id),
            instance: InstanceName::from(self.instance),
            action: self.digest(),
            do_not_cache: true,
            requirements: Default::default(),
            preferred: None,
            label: "".into(),
            lane: LaneKey::default(),
            weight: 1,
            rank: 0,
            limits: Vec::new(),
            affinities: Vec::new(),
            age: self.queued,
            queued_at: Timestamp(self.queued),
            queue_timeout: None,
            execution_timeout: None,
            offers: u32::from(matches!(self.state, State::Executing { .. })),
            attempts_used: 0,
            operations: vec![OperationRow { operation: OperationId(self.id), cancelled: None, deleted: false }],
            again: None,
            setbacks: None,
            past: Vec::new(),
            started_at,
            state,
        }
    }

    fn put(&self, batch: &mut Batch) {
        let row = self.row();
        let key = codec::id_key(self.id);
        let table = if matches!(self.state, State::Finished { .. }) { Table::FinishedJobs } else { Table::Jobs };
        batch.put(table, &key, |out| codec::encode_job(&row, out));
        if let State::Executing { started } = self.state {
            let session = SessionId(self.id);
            let lease = LeaseRow {
                lease: LeaseId { job: row.job, attempt: 1 },
                session,
                offered_at: Timestamp(started),
                started_at: None,
            };
            batch.put(Table::Leases, &key, |out| codec::encode_lease(&lease, out));
            let session = SessionRow {
                session,
                instance: row.instance.clone(),
                bot_id: format!("bot-{}", self.id).into(),
                identity: "".into(),
                capabilities: vec![Default::default()],
                slots: 1,
                hold_when_full: false,
                status: BotStatus::Ok,
                score: 0,
                opened_at: Timestamp(started),
            };
            batch.put(Table::Sessions, &key, |out| codec::encode_session(&session, out));
        }
        let word = || self.word().to_owned();
        let metadata = RequestMetadata {
            tool_details: Some(ToolDetails { tool_name: word(), tool_version: format!("v{}", self.word % 4) }),
            tool_invocation_id: word(),
            correlated_invocations_id: WORDS[(self.word + 1) % WORDS.len()].to_owned(),
            action_mnemonic: word(),
            target_id: word(),
            configuration_id: word(),
            ..Default::default()
        };
        let half = (row.job.0 >> 64) as u64;
        let operation = pb::Operation {
            job: Some(pb::Id { high: half, low: row.job.0 as u64 }),
            instance: self.instance.to_owned(),
            request_metadata: metadata.encode_to_vec().into(),
            priority: self.priority,
            client: Some(pb::ClientIdentity { workflow: word(), actor: format!("u{}", self.word), subject: word() }),
        };
        batch.put(Table::Operations, &key, |out| operation.encode(out).unwrap());
        let property = |(name, value)| pb::Property { name, value };
        let body = pb::JobBody {
            command_line: format!("cc {}", self.word()),
            platform: self.platform().into_iter().map(property).collect(),
            ..Default::default()
        };
        batch.put(Table::Bodies, &key, |out| body.encode(out).unwrap());
    }
}

/// An engine that begins with these operations: their orders are made at its start, as of an older store.
pub(super) fn started(known: &[Known]) -> Instance {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::open(&Disk::default()));
    let fence = store.acquire(PartitionId(0)).unwrap();
    let mut batch = Batch::default();
    known.iter().for_each(|known| known.put(&mut batch));
    store.commit(&[Commit { fence, batch }]).pop().unwrap().unwrap();
    let committer = Committer::start(store.clone(), Arc::new(|error| panic!("{error}"))).unwrap();
    let options = Options {
        cohorts: Arc::default(),
        settings: Settings::default(),
        clock: Clock::system(),
        observer: Arc::new(()),
        reserve_bytes: 0,
        heads: Limits::default(),
        policy: Arc::new(BuiltinPolicy),
    };
    let (engine, _driver) = Engine::start(store, committer, PartitionId(0), options).unwrap();
    instance(&engine)
}

fn instance(engine: &Engine) -> Instance {
    Instances::new([("main".to_owned(), engine.clone())]).find("main").unwrap().clone()
}

pub(super) async fn page(
    instance: &Instance,
    filter: &str,
    size: i32,
    token: &str,
    time: Duration,
) -> Result<ListOperationsResponse, Error> {
    let request = ListOperationsRequest {
        name: "main".into(),
        filter: filter.into(),
        page_size: size,
        page_token: token.into(),
        ..Default::default()
    };
    let config = Config { list_time_max: time, ..Config::default() };
    list(instance, &request, &config).await
}

pub(super) fn ids(page: &ListOperationsResponse) -> Vec<u128> {
    page.operations.iter().map(|operation| crate::names::parse_operation(&operation.name).unwrap().1.0).collect()
}

/// All pages; none twice.
pub(super) async fn all(instance: &Instance, filter: &str, size: i32, time: Duration) -> Vec<u128> {
    let (mut seen, mut token, mut tokens) = (Vec::new(), String::new(), BTreeSet::new());
    loop {
        let page = page(instance, filter, size, &token, time).await.unwrap();
        assert!(page.operations.len() <= size as usize);
        seen.extend(ids(&page));
        if page.next_page_token.is_empty() {
            return seen;
        }
        token = page.next_page_token;
        assert!(tokens.insert(token.clone()), "{filter}: a page goes on from where it began");
    }
}
