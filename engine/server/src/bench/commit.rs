//! A bare commit of the rows that a job makes: the store's share of the yardstick of `e2e`. The rows are made before the
//! clock starts, by the same rules and in groups as large as those of the run; then they are committed, nothing else.

use std::{path::Path, time::Duration};

use anyhow::Context;
use berth_core::{
    Book, BotStatus, Digest, Event, InstanceName, LaneKey, LeaseId, LeaseReport, OpenSession, OperationId, PollId,
    Property, ReportedState, SessionId, Settings, Submit, Timestamp, UpdateSession,
};
use berth_proto::store as pb;
use berth_runtime::{
    partition::{Attachment, Input, Partition},
    store::{Batch, Commit, PartitionId, Store},
};
use berth_store::{RocksOptions, RocksStore};
use bytes::Bytes;
use prost::Message;

use super::{load::action_result, measure};

const PARTITION: PartitionId = PartitionId(0);

/// What it cost.
pub(super) struct Bare {
    /// CPU time of all threads of the store, system time included.
    pub(super) cpu_us_per_job: f64,
    /// If one commit followed the other.
    pub(super) jobs_per_s: f64,
    pub(super) bytes_per_job: f64,
}

/// Commits the rows of so many jobs, `group` jobs' worth of them at a time. To be called on the server's core.
pub(super) fn run(folder: &Path, jobs: u64, group: u64) -> anyhow::Result<Bare> {
    let store = RocksStore::open(folder.join("commit-store"), &RocksOptions::default())?;
    let fence = store.acquire(PARTITION)?;
    let mut fleet = Fleet::new(store.next_sequence(PARTITION)?, group);
    store.commit(&[Commit { fence, batch: fleet.open() }]).pop().context("one commit, one answer")??;
    // The queue of the first steps is not full yet.
    let groups = jobs.div_ceil(group).max(1);
    let mut commits: Vec<Commit> = (0..groups + 4).map(|_| Commit { fence, batch: fleet.step() }).collect();
    anyhow::ensure!(fleet.busy(), "every bot has a job");
    let measured = commits.split_off(4);
    for commit in commits {
        store.commit(&[commit]).pop().context("one commit, one answer")??;
    }
    let bytes: usize = measured.iter().map(|commit| commit.batch.size_bytes()).sum();
    let (cpu, start) = (measure::process_cpu(), std::time::Instant::now());
    for commit in measured {
        store.commit(&[commit]).pop().context("one commit, one answer")??;
    }
    let (cpu, took) = (measure::process_cpu().saturating_sub(cpu), start.elapsed());
    let jobs = (groups * group) as f64;
    Ok(Bare {
        cpu_us_per_job: cpu.as_secs_f64() * 1e6 / jobs,
        jobs_per_s: jobs / took.as_secs_f64(),
        bytes_per_job: bytes as f64 / jobs,
    })
}

/// Twice as many bots as a group has jobs: one half begins its jobs, the other ends them.
struct Fleet {
    partition: Partition,
    group: u64,
    now: u64,
    job: u64,
    poll: u64,
    instance: InstanceName,
    result: Bytes,
}

impl Fleet {
    fn new(next_sequence: u64, group: u64) -> Self {
        let result =
            pb::JobResult { action_result: action_result("bench").encode_to_vec().into(), ..Default::default() };
        Self {
            partition: Partition::new(Book::new(Settings::default()), next_sequence),
            group,
            now: 1,
            job: 0,
            poll: 0,
            instance: InstanceName::from("main"),
            result: result.encode_to_vec().into(),
        }
    }

    /// All bots come and wait.
    fn open(&mut self) -> Batch {
        let opens: Vec<_> = (0..2 * self.group).map(|bot| input(self.hello(bot), Attachment::default())).collect();
        self.partition.step(Timestamp(self.now), opens).batch
    }

    fn busy(&self) -> bool {
        let sessions = self.partition.book().sessions();
        sessions.len() as u64 == 2 * self.group && sessions.iter().all(|session| session.leases.len() == 1)
    }

    /// A group of jobs is submitted, one is begun, one is completed.
    fn step(&mut self) -> Batch {
        self.now += 1_000;
        let mut inputs = Vec::with_capacity(3 * self.group as usize);
        for view in self.partition.book().sessions() {
            let Some(lease) = view.leases.first() else { continue };
            self.poll += 1;
            let begun = self.partition.book().lease_row(lease.job).is_some_and(|row| row.started_at.is_some());
            inputs.push(update(view.session, *lease, begun, PollId(self.poll), &self.result));
        }
        for _ in 0..self.group {
            inputs.push(self.submit());
        }
        self.partition.step(Timestamp(self.now), inputs).batch
    }

    fn submit(&mut self) -> Input<()> {
        self.job += 1;
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&self.job.to_be_bytes());
        let requirements = [Property::new("OSFamily", "linux")].into_iter().collect();
        let submit = Submit {
            // In the order of time and then at random, as the server draws them.
            operation: OperationId(
                u128::from(self.now) << 64 | u128::from(self.job.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            ),
            instance: self.instance.clone(),
            action: Digest { hash, size_bytes: 190 },
            do_not_cache: true,
            skip_cache_lookup: true,
            lookup_began: Timestamp(self.now),
            requirements,
            label: "linux".into(),
            lane: LaneKey::default(),
            weight: 1,
            rank: 0,
            limits: Vec::new(),
            affinities: Vec::new(),
            again: Default::default(),
            queue_timeout: None,
            execution_timeout: Some(Duration::from_secs(7_200)),
            preferred: None,
        };
        let digest = |size_bytes| Some(pb::Digest { hash: hash.to_vec().into(), size_bytes });
        let metadata = Bytes::from_static(&[b'm'; 110]);
        let body = pb::JobBody {
            action: vec![b'a'; 190].into(),
            command_line: "/bin/true --bench".into(),
            platform: vec![pb::Property { name: "OSFamily".into(), value: "linux".into() }],
            command_digest: digest(20),
            input_root: digest(0),
            request_metadata: metadata.clone(),
            ..pb::JobBody::default()
        };
        let attachment =
            Attachment { body: body.encode_to_vec().into(), request_metadata: metadata, ..Attachment::default() };
        input(Event::Submit(Box::new(submit)), attachment)
    }

    fn hello(&mut self, bot: u64) -> Event {
        self.poll += 1;
        Event::OpenSession(Box::new(OpenSession {
            session: SessionId(u128::from(bot) << 64 | 1),
            instance: self.instance.clone(),
            // A second session of a bot ends its first.
            bot_id: bot_id(SessionId(u128::from(bot) << 64 | 1)),
            identity: "".into(),
            capabilities: vec![[Property::new("OSFamily", "linux")].into_iter().collect()],
            slots: 1,
            hold_when_full: false,
            status: BotStatus::Ok,
            poll: PollId(self.poll),
            hold_until: Some(Timestamp(1 << 50)),
            score: 0,
        }))
    }
}

fn update(session: SessionId, lease: LeaseId, begun: bool, poll: PollId, result: &Bytes) -> Input<()> {
    let (state, results) = if begun {
        (ReportedState::Completed { code: 0, cacheable: false }, vec![(lease, result.clone())])
    } else {
        (ReportedState::Active, Vec::new())
    };
    let event = Event::UpdateSession(Box::new(UpdateSession {
        session,
        bot_id: bot_id(session),
        identity: "".into(),
        status: BotStatus::Ok,
        worker: None,
        leases: vec![LeaseReport { lease, state }],
        poll,
        hold_until: Some(Timestamp(1 << 50)),
    }));
    input(event, Attachment { results, ..Attachment::default() })
}

fn bot_id(session: SessionId) -> std::sync::Arc<str> {
    session.to_string().into()
}

fn input(event: Event, attachment: Attachment) -> Input<()> {
    Input::Event { event, attachment, token: () }
}
