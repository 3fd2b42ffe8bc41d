//! Questions that start inside the core, and what a job carries with it when attempts of it failed.
//!
//! A question leaves as an effect, with a revision; the answer comes back as an event and counts only if the revision
//! is still the open one. Who answers is `berth-runtime`'s affair; what an answer does is in `execution/decide.rs` and
//! `execution/unmatched.rs`.

use std::{sync::Arc, time::Duration};

use crate::{AttemptReason, Digest, InstanceName, JobId, LeaseId, PlaceAsked, PropertySet, Timestamp, Verdict};

/// Different bots that a job remembers to have failed it; the oldest is forgotten first.
pub(crate) const FAILED_ON_MAX: usize = 32;

/// Which questions of an instance somebody answers. Not durable: told anew after a restart, and when policies change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asking {
    /// After an attempt that failed.
    pub attempts: bool,
    /// What becomes of jobs that nobody can serve.
    pub unmatched: bool,
    /// Which classes of bots may serve which classes of jobs: the number of the set of policies that says so. Another
    /// number means other answers. `None`: containment decides.
    pub matching: Option<u64>,
    /// Which lane a bot serves: asked by way of [`Chooser`](crate::Chooser).
    pub choosing: bool,
}

/// A question for a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// An attempt failed: what now? Answered by [`Event::Decided`](crate::Event::Decided).
    Attempt(Box<AttemptAsked>),
    /// How well do classes of jobs and of bots fit? Answered by [`Event::Matched`](crate::Event::Matched).
    Match(Box<MatchAsked>),
    /// Nobody can serve jobs of a class: answered by [`Event::Unmatched`](crate::Event::Unmatched).
    Unmatched(Box<UnmatchedAsked>),
    /// Where do these jobs stand from now on, at most [`PLACES_MAX`](crate::PLACES_MAX)? Answered by
    /// [`Event::Place`](crate::Event::Place). Asked again after a minute as long as nobody answers.
    Place(Vec<PlaceAsked>),
}

/// An attempt that failed, as far as core knows it. The rest is in the job's body and in its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptAsked {
    /// The job, and the number of the attempt.
    pub lease: LeaseId,
    /// To be given back with the answer.
    pub revision: u32,
    /// Instance name of the request.
    pub instance: InstanceName,
    /// Digest of the Action.
    pub action: Digest,
    /// The policy's word for this kind of job.
    pub label: Arc<str>,
    /// What the job needs.
    pub requirements: PropertySet,
    /// What is known of the attempt.
    pub failed: FailedAttempt,
    /// Attempts that counted, this one included.
    pub counted: u32,
    /// As many may count.
    pub counted_max: u32,
    /// Different bots that failed the job, this one included; no more than are remembered.
    pub failed_bots: u32,
}

/// Jobs of one class that no open session can serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnmatchedAsked {
    /// Which class.
    pub class: JobClass,
    /// To be given back with the answer.
    pub revision: u64,
    /// How many wait.
    pub jobs: u32,
    /// How long the oldest of them has waited.
    pub oldest: Duration,
}

/// Pairs of classes, as indexes into two lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchAsked {
    /// Instance name of both.
    pub instance: InstanceName,
    /// As it was in [`Asking::matching`].
    pub edition: u64,
    /// Label and requirements.
    pub needs: Vec<(Arc<str>, PropertySet)>,
    /// The bots' own instance, which may be another of the pool, and their capability sets.
    pub offers: Vec<(InstanceName, Vec<PropertySet>)>,
    /// Which need with which offer; at most [`PAIRS_MAX`](crate::PAIRS_MAX).
    pub pairs: Vec<(u32, u32)>,
}

/// What makes jobs equal for matching.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobClass {
    /// Instance name of the request.
    pub instance: InstanceName,
    /// What a bot must offer.
    pub requirements: PropertySet,
    /// The policy's word for this kind of job.
    pub label: Arc<str>,
}

/// What a job carries with it once a policy was asked about an attempt of it. Most jobs never have this.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setbacks {
    /// Attempts that failed, counted or not.
    pub failures: u32,
    /// Number of the newest question: an answer to an older one changes nothing.
    pub revision: u32,
    /// Ids of the bots that failed it, each once, the newest last.
    pub failed_on: Vec<Arc<str>>,
    /// Whether it keeps away from those, as long as another may take it.
    pub elsewhere: bool,
    /// The question that is open: only while the job is being decided.
    pub question: Option<FailedAttempt>,
}

/// How an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedAttempt {
    /// Why it ended.
    pub reason: AttemptReason,
    /// `google.rpc.Code` of the report, or of what stands for it.
    pub code: i32,
    /// Whose attempt it was.
    pub bot_id: Arc<str>,
    /// How long it took.
    pub took: Duration,
    /// Failed ones of the bot's last 16 attempts, this one included.
    pub bot_failures: u32,
    /// Of how many.
    pub bot_attempts: u32,
    /// When it ended.
    pub at: Timestamp,
}

/// What becomes of jobs that nobody can serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnmatchedVerdict {
    /// They wait, and the question is asked again after this time.
    Wait(Duration),
    /// They end; their clients get FAILED_PRECONDITION with this text.
    Refuse(Arc<str>),
}

/// The answer to [`Question::Attempt`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Which job.
    pub job: JobId,
    /// As the question had it.
    pub revision: u32,
    /// `None`: nobody could say, and the built-in rule decides.
    pub verdict: Option<Verdict>,
}

/// The answer to [`Question::Unmatched`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnmatchedDecided {
    /// Which class.
    pub class: JobClass,
    /// As the question had it.
    pub revision: u64,
    /// `None`: nobody could say; the jobs wait, and it is asked again after a minute.
    pub verdict: Option<UnmatchedVerdict>,
}

/// The answer to [`Question::Match`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    /// What was asked.
    pub asked: MatchAsked,
    /// For each pair how well it fits: 0 not at all, the larger the better. `None`: nobody could say, and it is asked
    /// again after some seconds.
    pub scores: Option<Vec<u32>>,
}

impl Setbacks {
    /// One more attempt failed, and is asked about.
    pub(crate) fn note(&mut self, failed: FailedAttempt) {
        self.failures += 1;
        self.revision += 1;
        self.failed_on.retain(|bot| *bot != failed.bot_id);
        self.failed_on.push(failed.bot_id.clone());
        if self.failed_on.len() > FAILED_ON_MAX {
            self.failed_on.remove(0);
        }
        self.question = Some(failed);
    }
}
