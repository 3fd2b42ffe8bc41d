//! A generation that is asked beside the one in force, on live traffic: what would it have answered?
//!
//! Off the hot path: the question and the answer that counted are put into a bounded queue, and a thread of its own asks
//! the candidate and compares. What does not fit into the queue is dropped and counted.

mod differences;

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use berth_runtime::policy::hooks::{MatchQuestion, UnmatchedQuestion};
use berth_runtime::policy::{ExecutionQuestion, Policy, WorkerQuestion};
use sha2::{Digest, Sha256};

use self::differences::{Differences, places};
use crate::generation::Generation;
use crate::instance::cut;
use crate::load::hex;
use crate::owned::{OwnedPlace, OwnedPrune, Question};
use crate::shown::Shown;
use crate::stats::Function;
use crate::times::Times;

/// Samples that wait. Beyond that they are dropped: the candidate must not cost what the one in force does.
const WAITING_MAX: usize = 256;
const TEXT_BYTES_MAX: usize = 8 << 10;

/// A question that the candidate answered in another way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What was asked.
    pub function: Function,
    /// The fields in which the answers differ, such as `places.*.rank`.
    pub place: String,
    /// The beginning of the SHA-256 of the question as text: equal questions have equal ones.
    pub question_digest: String,
    /// The question as JSON, as a case would ask it; cut if it is long.
    pub question: String,
    /// What the generation in force answered: JSON with `answer` or `refusal`, or null. Cut if it is long.
    pub active: String,
    /// What the candidate answered, in the same form.
    pub candidate: String,
}

/// How often answers differed in the same fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differing {
    /// What was asked.
    pub function: Function,
    /// The fields.
    pub place: String,
    /// How often.
    pub count: u64,
}

/// What came of it so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Questions that the candidate was asked; a batch is one.
    pub asked: u64,
    /// Questions that both answered in the same way.
    pub same: u64,
    /// Questions that it answered in another way.
    pub different: u64,
    /// Faults of the candidate's plugins while it was asked.
    pub faults: u64,
    /// Questions that were dropped because it did not keep up.
    pub dropped: u64,
    /// Half of its answers took no longer than this.
    pub p50: Duration,
}

/// A running observation. It ends when it is dropped.
pub struct Observation {
    candidate: Arc<Generation>,
    samples: SyncSender<Sample>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    asked: AtomicU64,
    same: AtomicU64,
    different: AtomicU64,
    dropped: AtomicU64,
    times: Times,
    differences: Mutex<Differences>,
    /// Samples that were taken from the queue and are done with.
    done: AtomicU64,
    /// Samples that were put into it.
    sent: AtomicU64,
}

/// What was asked, and how to ask somebody else.
pub(crate) struct Sample {
    pub(crate) question: Question,
    pub(crate) active: Box<dyn Answered>,
}

/// Any answer: compared as it is, and shown as people read it.
pub(crate) trait Answered: Debug + Shown + Send {}

impl<T: Debug + Shown + Send> Answered for T {}

impl Observation {
    /// Starts asking the candidate.
    pub(crate) fn start(candidate: Generation) -> std::io::Result<Self> {
        let (samples, waiting) = sync_channel(WAITING_MAX);
        let (candidate, shared) = (Arc::new(candidate), Arc::new(Shared::default()));
        let (asked, of_thread) = (Arc::clone(&candidate), Arc::clone(&shared));
        thread::Builder::new().name("plugin-observe".to_owned()).spawn(move || run(&asked, &waiting, &of_thread))?;
        Ok(Self { candidate, samples, shared })
    }

    /// Who is observed.
    pub fn candidate(&self) -> &Arc<Generation> {
        &self.candidate
    }

    /// The summary.
    pub fn summary(&self) -> Observed {
        let shared = &self.shared;
        let candidate = self.candidate.stats();
        Observed {
            asked: shared.asked.load(Relaxed),
            same: shared.same.load(Relaxed),
            different: shared.different.load(Relaxed),
            faults: candidate.iter().map(|plugin| plugin.faults_all()).sum(),
            dropped: shared.dropped.load(Relaxed),
            p50: shared.times.snapshot().p50,
        }
    }

    /// The last differences, the newest at the end.
    pub fn differences(&self) -> Vec<Difference> {
        self.shared.differences().kept()
    }

    /// In which fields answers differed, the most frequent first.
    pub fn differing(&self) -> Vec<Differing> {
        self.shared.differences().kinds()
    }

    /// Whether every sample that was taken so far has been asked. For tests and for a last look.
    pub fn is_idle(&self) -> bool {
        self.shared.done.load(Relaxed) == self.shared.sent.load(Relaxed)
    }

    pub(crate) fn take(&self, sample: impl FnOnce() -> Sample) {
        let shared = &self.shared;
        let waiting = shared.sent.fetch_add(1, Relaxed).saturating_sub(shared.done.load(Relaxed));
        // Not even copied if there is no room. And nobody listens any more only if that thread panicked, which loses
        // samples and nothing else.
        let taken = waiting < WAITING_MAX as u64 && self.samples.try_send(sample()).is_ok();
        if !taken {
            shared.dropped.fetch_add(1, Relaxed);
            shared.done.fetch_add(1, Relaxed);
        }
    }
}

impl Debug for Observation {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Observation").field("summary", &self.summary()).finish()
    }
}

impl Shared {
    fn differences(&self) -> MutexGuard<'_, Differences> {
        // Nothing panics under this lock.
        self.differences.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until nobody can send any more.
fn run(candidate: &Generation, waiting: &Receiver<Sample>, shared: &Shared) {
    for Sample { question, active } in waiting {
        let started = Instant::now();
        let (function, answer) = ask(candidate, &question);
        shared.times.add(started.elapsed());
        shared.asked.fetch_add(1, Relaxed);
        if format!("{answer:?}") == format!("{active:?}") {
            shared.same.fetch_add(1, Relaxed);
        } else {
            shared.different.fetch_add(1, Relaxed);
            let (active, candidate) = (active.shown(), answer.shown());
            let question = question.shown().to_json().to_string();
            let short = |text: String| cut(&text, TEXT_BYTES_MAX).to_owned();
            let difference = Difference {
                function,
                place: places(&active, &candidate),
                question_digest: hex(&Sha256::digest(question.as_bytes())[..8]),
                question: short(question),
                active: short(active.to_string()),
                candidate: short(candidate.to_string()),
            };
            shared.differences().add(difference);
        }
        shared.done.fetch_add(1, Relaxed);
    }
}

/// The candidate's answer.
fn ask(candidate: &Generation, question: &Question) -> (Function, Box<dyn Answered>) {
    match question {
        Question::Execution { instance, platform } => {
            let answer = candidate.execution_properties(&ExecutionQuestion { instance, platform });
            (Function::ExecutionProperties, Box::new(answer))
        }
        Question::Worker { instance, bot_id, properties } => {
            let answer = candidate.worker_properties(&WorkerQuestion { instance, bot_id, properties });
            (Function::WorkerProperties, Box::new(answer))
        }
        Question::Place(jobs) => {
            let jobs: Vec<_> = jobs.iter().map(OwnedPlace::lend).collect();
            (Function::Place, Box::new(candidate.place(&jobs)))
        }
        Question::Create(question) => {
            (Function::BeforeCreateJob, Box::new(candidate.before_create_job(&question.lend())))
        }
        Question::Queue(question) => (Function::BeforeQueueJob, Box::new(candidate.before_queue_job(&question.lend()))),
        Question::Attempt(question) => (Function::AfterAttempt, Box::new(candidate.after_attempt(&question.lend()))),
        Question::Unmatched { instance, label, requirements, jobs, oldest } => {
            let question = UnmatchedQuestion { instance, label, requirements, jobs: *jobs, oldest: *oldest };
            (Function::Nobody, Box::new(candidate.unmatched(&question)))
        }
        Question::Matches { instance, needs, offers, pairs } => {
            let question = MatchQuestion { instance, needs, offers, pairs };
            (Function::Matches, Box::new(candidate.matches(&question)))
        }
        Question::Prune(jobs) => {
            let jobs: Vec<_> = jobs.iter().map(OwnedPrune::lend).collect();
            (Function::BeforePrune, Box::new(candidate.before_prune(&jobs)))
        }
    }
}
