//! Questions and answers of `create-job`, `queue-job`, `after-attempt` and `before-prune`: the life of a job.

use serde::{Deserialize, Serialize};

use crate::common::{Record, Requester};
use crate::property::{Property, sort, sort_set};

/// What `before-create-job` is asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CreateJobQuestion {
    /// Who asks.
    pub requester: Requester,
    /// The digest of the action.
    pub action_digest: String,
    /// The command's arguments.
    pub arguments: Vec<String>,
    /// The command's environment.
    pub environment: Vec<Property>,
    /// The platform.
    pub platform: Vec<Property>,
    /// The priority from REAPI's execution policy.
    pub priority: i32,
    /// The action's timeout.
    pub timeout_ms: Option<u64>,
    /// Whether the result must not be cached.
    pub do_not_cache: bool,
    /// The size of the files of the input tree.
    pub input_bytes: u64,
}

/// What it answers: what is to be different.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CreateJobAnswer {
    /// Another platform.
    pub platform: Option<Vec<Property>>,
    /// Another priority.
    pub priority: Option<i32>,
    /// Another timeout.
    pub timeout_ms: Option<u64>,
    /// How long it may wait for a bot.
    pub queue_timeout_ms: Option<u64>,
}

/// What `before-queue-job` is asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct QueueJobQuestion {
    /// Who asks.
    pub requester: Requester,
    /// The digest of the action.
    pub action_digest: String,
    /// The label from `execution-properties`.
    pub label: String,
    /// What the job requires: a set.
    pub requirements: Vec<Property>,
    /// The lane in which it would stand.
    pub lane: String,
    /// Its rank there.
    pub rank: i64,
    /// Open sessions that could serve it.
    pub bots: u32,
}

/// What it answers: what is to be different.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct QueueJobAnswer {
    /// Another rank.
    pub rank: Option<i64>,
    /// How long it may wait for a bot.
    pub queue_timeout_ms: Option<u64>,
}

/// Why an attempt ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The bot reported an error instead of a result.
    #[default]
    Reported,
    /// The bot was not heard of any more, or said goodbye.
    BotLost,
    /// It took longer than it may.
    Timeout,
    /// It ran, and the command failed or was killed.
    CommandFailed,
}

/// What `after-attempt` is asked. What is not said is that of a job's first attempt, of three, on a bot without a past.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AfterAttemptQuestion {
    /// Who asked for the job.
    pub requester: Requester,
    /// The job.
    pub job: String,
    /// The digest of the action.
    pub action_digest: String,
    /// The label from `execution-properties`.
    pub label: String,
    /// What the job requires: a set.
    pub requirements: Vec<Property>,
    /// Why the attempt ended.
    pub reason: Reason,
    /// `google.rpc.Code` of the bot's report.
    pub code: u32,
    /// The message of the report.
    pub message: String,
    /// The exit code, if the command ran.
    pub exit_code: Option<i32>,
    /// The number of this attempt.
    pub attempt: u32,
    /// Attempts that counted so far.
    pub counted: u32,
    /// As many as may count.
    pub counted_max: u32,
    /// How long the attempt took.
    pub took_ms: u64,
    /// The most memory that it was seen to use.
    pub peak_memory_bytes: u64,
    /// The bot.
    pub bot_id: String,
    /// Of the bot's last 16 attempts, how many failed.
    pub bot_failures: u32,
    /// Of those, how many jobs there were.
    pub bot_attempts: u32,
    /// How many different bots have failed this job.
    pub failed_bots: u32,
}

impl Default for AfterAttemptQuestion {
    fn default() -> Self {
        Self {
            requester: Requester::default(),
            job: String::new(),
            action_digest: String::new(),
            label: String::new(),
            requirements: Vec::new(),
            reason: Reason::Reported,
            code: 0,
            message: String::new(),
            exit_code: None,
            attempt: 1,
            counted: 1,
            counted_max: 3,
            took_ms: 0,
            peak_memory_bytes: 0,
            bot_id: String::new(),
            bot_failures: 1,
            bot_attempts: 1,
            failed_bots: 1,
        }
    }
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AfterAttemptAnswer {
    /// What to do with the job.
    pub action: Action,
    /// The bot gets no work for as many milliseconds.
    #[serde(default)]
    pub quarantine_bot_ms: u64,
}

/// What to do with the job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Another attempt.
    Retry(Retry),
    /// The job fails, with this text beside the report.
    Fail(String),
    /// The job ends as the bot reported it.
    Complete,
}

/// Another attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Retry {
    /// After how many milliseconds; 0: at once.
    pub after_ms: u64,
    /// Not on a bot that failed it, as long as there is another.
    pub elsewhere: bool,
    /// What a bot must offer from now on: a set; none: as before.
    pub requirements: Option<Vec<Property>>,
    /// Whether this attempt counts; it does if nothing is said.
    pub counts: bool,
}

impl Default for Retry {
    fn default() -> Self {
        Self { after_ms: 0, elsewhere: false, requirements: None, counts: true }
    }
}

/// What `before-prune` is asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct BeforePruneQuestion {
    /// Finished jobs whose time is over.
    pub jobs: Vec<FinishedJob>,
}

/// A finished job whose time is over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct FinishedJob {
    /// Who asked for it.
    pub requester: Requester,
    /// The job.
    pub job: String,
    /// The digest of the action.
    pub action_digest: String,
    /// `google.rpc.Code` of its end.
    pub code: u32,
    /// How long ago it ended.
    pub ended_ms: u64,
}

/// What it answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct BeforePruneAnswer {
    /// How much longer each is kept; 0: delete it.
    pub keep_ms: Vec<u64>,
}

impl Record for CreateJobQuestion {
    fn tidy(&mut self) {
        sort(&mut self.platform);
    }
}

impl Record for CreateJobAnswer {
    fn tidy(&mut self) {
        self.platform.iter_mut().for_each(|platform| sort(platform));
    }
}

impl Record for QueueJobQuestion {
    fn tidy(&mut self) {
        sort_set(&mut self.requirements);
    }
}

impl Record for QueueJobAnswer {}

impl Record for AfterAttemptQuestion {
    fn tidy(&mut self) {
        sort_set(&mut self.requirements);
    }
}

impl Record for AfterAttemptAnswer {
    fn tidy(&mut self) {
        if let Action::Retry(retry) = &mut self.action {
            retry.requirements.iter_mut().for_each(sort_set);
        }
    }
}

impl Record for BeforePruneQuestion {}
impl Record for BeforePruneAnswer {}
