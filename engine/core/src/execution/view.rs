//! What others may see: jobs, operations and sessions as plain values.

use std::{collections::BTreeMap, sync::Arc};

use super::{Book, job::JobState};
use crate::{
    Affinity, BotStatus, Digest, InstanceName, JobClass, JobId, LaneKey, LeaseId, OperationId, OperationRow, Outcome,
    PropertySet, SessionId, Stage, Timestamp,
    queue::{JobIx, SessionIx},
};

/// An operation and the job that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationView {
    /// The handle.
    pub operation: OperationId,
    /// Its job.
    pub job: JobId,
    /// Instance name of the request.
    pub instance: InstanceName,
    /// Digest of the Action.
    pub action: Digest,
    /// What a client of this handle sees.
    pub stage: Stage,
    /// When the job was accepted.
    pub queued_at: Timestamp,
    /// When its newest attempt was offered to a bot, if it is with one or that attempt ended it.
    pub started_at: Option<Timestamp>,
    /// When it ended for this handle.
    pub completed_at: Option<Timestamp>,
}

/// A job as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    /// The job's id.
    pub job: JobId,
    /// Instance name of the request.
    pub instance: InstanceName,
    /// Digest of the Action.
    pub action: Digest,
    /// What a bot must offer.
    pub requirements: PropertySet,
    /// The policy's word for this kind of job.
    pub label: Arc<str>,
    /// Lane within the instance.
    pub lane: LaneKey,
    /// Order within the lane.
    pub rank: i64,
    /// Keys of bots that are preferred.
    pub affinities: Vec<Arc<Affinity>>,
    /// When it was accepted.
    pub queued_at: Timestamp,
    /// How many attempts failed and counted.
    pub attempts_used: u32,
    /// How it stands.
    pub stage: Stage,
    /// Its live lease.
    pub lease: Option<LeaseView>,
    /// The handles, oldest first.
    pub operations: Vec<OperationRow>,
}

/// A live lease as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseView {
    /// Job and attempt.
    pub lease: LeaseId,
    /// Which session has it.
    pub session: SessionId,
    /// The bot's own id.
    pub bot_id: Arc<str>,
    /// When it was offered.
    pub offered_at: Timestamp,
    /// When the bot was first heard to work on it.
    pub started_at: Option<Timestamp>,
}

/// A bot's session as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// The session's id.
    pub session: SessionId,
    /// Instance that the bot serves.
    pub instance: InstanceName,
    /// The bot's own id.
    pub bot_id: Arc<str>,
    /// Its health.
    pub status: BotStatus,
    /// What it can serve.
    pub capabilities: Vec<PropertySet>,
    /// How many leases it works on at a time.
    pub slots: u32,
    /// Its live leases.
    pub leases: Vec<LeaseId>,
    /// Leases that it may still be working on though they are over.
    pub ghosts: Vec<LeaseId>,
    /// Whether it asks for work right now.
    pub asking: bool,
    /// Whether an operator drained it.
    pub drained: bool,
    /// Until when a policy took it out of service.
    pub quarantined: Option<Timestamp>,
    /// When the session began.
    pub opened_at: Timestamp,
    /// Affinity keys of the jobs that it served last, the newest first.
    pub keys: Vec<Arc<str>>,
    /// When it was last heard of, if no call is held now.
    pub contact: Timestamp,
    /// Whether a call of it is held: it is heard of now.
    pub held: bool,
}

/// Counts for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Jobs that wait, loaded or not.
    pub queued: usize,
    /// Jobs that a restart has not loaded yet.
    pub loading: usize,
    /// Jobs that are with a bot.
    pub executing: usize,
    /// Finished jobs that are still remembered.
    pub recent: usize,
    /// Open sessions.
    pub sessions: usize,
    /// Requirement classes.
    pub requirement_classes: usize,
    /// Capability classes.
    pub capability_classes: usize,
    /// Lanes.
    pub lanes: usize,
}

/// Jobs of one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelCounts {
    /// The policy's word for them.
    pub label: Arc<str>,
    /// Those that stand in the queue.
    pub queued: usize,
    /// Those that are with a bot.
    pub executing: usize,
}

/// What bots there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BotCounts {
    /// Open sessions by what the bots say of themselves.
    pub by_status: Vec<(BotStatus, usize)>,
    /// Leases that all of them may have at a time.
    pub slots: usize,
    /// How many more they could have now.
    pub free: usize,
}

impl Book {
    /// Jobs by label, in its order. Walks lines and sessions: not for the hot path.
    pub fn label_counts(&self) -> Vec<LabelCounts> {
        let mut labels: BTreeMap<Arc<str>, (usize, usize)> = BTreeMap::new();
        for (label, queued) in self.queue.queued_by_line() {
            labels.entry(label.clone()).or_default().0 += queued;
        }
        for job in self.sessions.iter().flat_map(|(_, session)| &session.jobs) {
            let (_, label) = self.queue.requirements(self.job(*job).line);
            labels.entry(label.clone()).or_default().1 += 1;
        }
        let counts = |(label, (queued, executing))| LabelCounts { label, queued, executing };
        labels.into_iter().map(counts).collect()
    }

    /// Open sessions in sums. Walks them.
    pub fn bot_counts(&self) -> BotCounts {
        let mut counts = BotCounts::default();
        for (_, session) in &self.sessions {
            match counts.by_status.iter_mut().find(|(status, _)| *status == session.status) {
                Some((_, count)) => *count += 1,
                None => counts.by_status.push((session.status, 1)),
            }
            counts.slots += session.slots as usize;
            counts.free += session.free() as usize;
        }
        counts
    }

    /// The operation, if core still knows it; else it may be in the store.
    pub fn operation(&self, operation: OperationId) -> Option<OperationView> {
        let index = self.job_of(operation)?;
        let (job, details) = (self.job(index), self.jobs.details(index));
        let row = self.known_handle(index, operation)?;
        Some(OperationView {
            operation,
            job: job.id,
            instance: self.instance_of(index).clone(),
            action: details.action,
            stage: stage(job.state, row.cancelled.is_some()),
            queued_at: details.queued_at,
            started_at: match job.state {
                JobState::Leased(_) | JobState::Completed { .. } => self.began(index),
                JobState::Queued | JobState::Deciding { .. } | JobState::Delayed { .. } => None,
            },
            completed_at: row.cancelled.or(match job.state {
                JobState::Completed { at, .. } => Some(at),
                JobState::Queued | JobState::Leased(_) | JobState::Deciding { .. } | JobState::Delayed { .. } => None,
            }),
        })
    }

    /// The handles of a job, oldest first; empty if the job is not known.
    pub fn operations_of(&self, job: JobId) -> Vec<OperationId> {
        let index = self.job_ix(job);
        index.map(|index| self.handles(index).map(|row| row.operation).collect()).unwrap_or_default()
    }

    /// Number of the job's newest offer, 0 before the first; `None` if the job is not known.
    pub fn newest_attempt(&self, job: JobId) -> Option<u32> {
        self.job_ix(job).map(|index| self.job(index).offers)
    }

    /// When a job was accepted, if core still knows it.
    pub fn queued_at(&self, job: JobId) -> Option<Timestamp> {
        self.job_ix(job).map(|index| self.jobs.details(index).queued_at)
    }

    /// How a job stands, if core still knows it.
    pub fn job_stage(&self, job: JobId) -> Option<Stage> {
        self.job_ix(job).map(|index| stage(self.job(index).state, false))
    }

    /// Digest of the Action and time of acceptance of the job behind a lease, if the session holds that lease.
    pub fn leased_job(&self, lease: LeaseId, session: SessionId) -> Option<(InstanceName, Digest, Timestamp)> {
        let index = self.job_ix(lease.job)?;
        let (job, details) = (self.job(index), self.jobs.details(index));
        let JobState::Leased(held) = job.state else { return None };
        let is_held = job.offers == lease.attempt && self.session(held.session).id == session;
        is_held.then(|| (self.instance_of(index).clone(), details.action, details.queued_at))
    }

    /// Whether a policy was asked about an attempt of the job: then a result may be stored though it is not over.
    pub fn has_setbacks(&self, job: JobId) -> bool {
        self.job_ix(job).is_some_and(|index| self.setbacks_of(index).is_some())
    }

    /// Bots with an open session that may take such jobs. Walks sessions: not for the hot path.
    pub fn bots_for(&self, class: &JobClass) -> usize {
        self.sessions.iter().filter(|(_, session)| self.queue.would_serve(session.class, class)).count()
    }

    /// The job, if core still knows it.
    pub fn job_view(&self, job: JobId) -> Option<JobView> {
        self.job_ix(job).map(|index| self.view_of(index))
    }

    /// Jobs that are not over, in no particular order, at most `limit`.
    pub fn jobs(&self, limit: usize) -> Vec<JobView> {
        let live = self.jobs.iter().filter(|(_, job)| !matches!(job.state, JobState::Completed { .. }));
        live.take(limit).map(|(index, _)| self.view_of(index)).collect()
    }

    /// Jobs that are not over among the `places` places of the book from `from` on, and where to go on. For walks
    /// that must not hold the writer up: a job that stays is met once.
    pub fn jobs_from(&self, from: usize, places: usize) -> (Vec<JobView>, Option<usize>) {
        let end = self.jobs.places().min(from.saturating_add(places));
        let live = |index: &JobIx| !matches!(self.job(*index).state, JobState::Completed { .. });
        let jobs = (from..end).filter_map(|place| self.jobs.at(place)).filter(live);
        (jobs.map(|index| self.view_of(index)).collect(), (end < self.jobs.places()).then_some(end))
    }

    /// How many jobs of its instance wait and are as urgent as this one or more, by rank and then age, whatever lane they are
    /// in: among the `places` places of the book from `from` on, and where to go on. `None`: it does not wait.
    pub fn position_from(&self, job: JobId, from: usize, places: usize) -> Option<(usize, Option<usize>)> {
        let own = self.job_ix(job).filter(|index| self.job(*index).state.is_waiting())?;
        let (instance, place) = (self.instance_of(own), self.jobs.details(own).place);
        let end = self.jobs.places().min(from.saturating_add(places));
        let is_before = |index: &JobIx| {
            self.job(*index).state.is_waiting()
                && self.jobs.details(*index).place <= place
                && self.instance_of(*index) == instance
        };
        let count = (from..end).filter_map(|place| self.jobs.at(place)).filter(is_before).count();
        Some((count, (end < self.jobs.places()).then_some(end)))
    }

    /// The rules' numbers.
    pub fn settings(&self) -> &super::Settings {
        &self.settings
    }

    /// A session.
    pub fn session_view(&self, session: SessionId) -> Option<SessionView> {
        self.session_ix(session).map(|index| self.session_view_of(index.0 as usize))
    }

    /// All sessions, in no particular order.
    pub fn sessions(&self) -> Vec<SessionView> {
        self.sessions.iter().map(|(index, _)| self.session_view_of(index)).collect()
    }

    /// Counts for metrics. Costs nothing that grows.
    pub fn counts(&self) -> Counts {
        let executing = self.sessions.iter().map(|(_, session)| session.jobs.len()).sum();
        let (requirement_classes, capability_classes, lanes) = self.queue.sizes();
        let loading = self.loading().unwrap_or(0);
        Counts {
            queued: self.jobs.len() - executing - self.finished.len() + loading,
            loading,
            executing,
            recent: self.finished.len(),
            sessions: self.sessions.len(),
            requirement_classes,
            capability_classes,
            lanes,
        }
    }

    fn session_view_of(&self, index: usize) -> SessionView {
        let session = &self.sessions[index];
        let leases = session.jobs.iter().map(|job| self.job(*job));
        SessionView {
            session: session.id,
            instance: self.queue.instance_of(session.class).clone(),
            bot_id: session.bot_id().into(),
            status: session.status,
            capabilities: self.queue.offered(session.class).to_vec(),
            slots: session.slots,
            leases: leases.map(|job| LeaseId { job: job.id, attempt: job.offers }).collect(),
            ghosts: session.ghosts.clone(),
            asking: session.ticket.is_some(),
            drained: self.is_drained(session),
            quarantined: self.quarantined_until(session),
            opened_at: session.opened_at,
            keys: self.keys_of(SessionIx(index as u32)),
            contact: session.contact,
            held: session.poll.is_some(),
        }
    }

    fn view_of(&self, index: JobIx) -> JobView {
        let (job, details) = (self.job(index), self.jobs.details(index));
        let (requirements, label) = self.queue.requirements(job.line);
        let lease = match job.state {
            JobState::Leased(lease) => {
                let session = self.session(lease.session);
                Some(LeaseView {
                    lease: LeaseId { job: job.id, attempt: job.offers },
                    session: session.id,
                    bot_id: session.bot_id().into(),
                    offered_at: lease.offered_at,
                    started_at: details.started_at,
                })
            }
            JobState::Queued | JobState::Deciding { .. } | JobState::Delayed { .. } | JobState::Completed { .. } => {
                None
            }
        };
        JobView {
            job: job.id,
            instance: self.instance_of(index).clone(),
            action: details.action,
            requirements: requirements.clone(),
            label: label.clone(),
            lane: self.queue.lane_key(job.line).clone(),
            rank: details.place.0,
            affinities: self.affinities_of(index).to_vec(),
            queued_at: details.queued_at,
            attempts_used: details.attempts_used,
            stage: stage(job.state, false),
            lease,
            operations: self.handles(index).collect(),
        }
    }
}

fn stage(state: JobState, cancelled: bool) -> Stage {
    if cancelled {
        return Stage::Completed(Outcome::Cancelled);
    }
    match state {
        JobState::Queued | JobState::Deciding { .. } | JobState::Delayed { .. } => Stage::Queued,
        JobState::Leased(_) => Stage::Executing,
        JobState::Completed { outcome, .. } => Stage::Completed(outcome),
    }
}
