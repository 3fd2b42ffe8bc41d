//! The functions of the contract: which there are, how their questions and answers are read, and who can answer them.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::common::{Record, Refusal};
use crate::events::{EventsAnswer, EventsQuestion};
use crate::hooks::{
    AfterAttemptAnswer, AfterAttemptQuestion, BeforePruneAnswer, BeforePruneQuestion, CreateJobAnswer,
    CreateJobQuestion, QueueJobAnswer, QueueJobQuestion,
};
use crate::matching::{
    ExecutionAnswer, ExecutionQuestion, MatchesAnswer, MatchesQuestion, NobodyAnswer, NobodyQuestion, WorkerAnswer,
    WorkerQuestion,
};
use crate::priority::{ChooseAnswer, ChooseQuestion, PlaceAnswer, PlaceQuestion};
use crate::surroundings::Surroundings;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The policy does not export the function.
    NotExported(Function),
    /// It trapped, ran into a limit, or gave an answer that breaks the contract: what happened.
    Faulted(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotExported(function) => write!(out, "the policy does not export {}", function.interface()),
            Self::Faulted(what) => write!(out, "a fault: {what}"),
        }
    }
}

impl std::error::Error for Fault {}

/// What a function returns: its answer, or that the policy says no, which only some functions can.
pub type Reply<Answer> = Result<Result<Answer, Refusal>, Fault>;

/// Everything that exists once a function.
macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident, $interface:literal, $text:literal,
       $method:ident($question:ty) -> $answer:ty;)+) => {
        /// A function of the contract that Berth asks policies.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Function {
            $($(#[$doc])* $name,)+
        }

        impl Function {
            /// All of them.
            pub const ALL: &[Function] = &[$(Self::$name),+];

            /// Its name in the contract.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            /// The interface that has it.
            pub fn interface(self) -> &'static str {
                match self { $(Self::$name => $interface),+ }
            }
        }

        /// A question, for any function.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Question {
            $($(#[$doc])* $name($question),)+
        }

        impl Question {
            /// Reads a question as people write it; what is not said has its default.
            pub fn read(function: Function, question: Value) -> Result<Self, serde_json::Error> {
                Ok(match function { $(Function::$name => Self::$name(read(question)?)),+ })
            }

            /// Which function it is for.
            pub fn function(&self) -> Function {
                match self { $(Self::$name(_) => Function::$name),+ }
            }

            /// The question as JSON, with everything in it.
            pub fn to_json(&self) -> Value {
                match self { $(Self::$name(question) => json(question)),+ }
            }
        }

        /// An answer, of any function.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Answer {
            $($(#[$doc])* $name($answer),)+
            /// The policy says no.
            Refused(Refusal),
        }

        impl Answer {
            /// Reads an answer as people write it; what is not said has its default.
            pub fn read(function: Function, answer: Value) -> Result<Self, serde_json::Error> {
                Ok(match function { $(Function::$name => Self::$name(read(answer)?)),+ })
            }

            /// The answer or the refusal as JSON, with everything in it.
            pub fn to_json(&self) -> Value {
                match self {
                    $(Self::$name(answer) => serde_json::json!({ "answer": json(answer) }),)+
                    Self::Refused(refusal) => serde_json::json!({ "refusal": json(refusal) }),
                }
            }
        }

        /// Something that answers like a policy: a policy on this machine, or a component in a host.
        pub trait Answerer {
            /// What the policy finds around it from now on. Nothing else of what it was asked before is left.
            fn surround(&mut self, surroundings: &Surroundings) -> Result<(), Fault>;

            $($(#[$doc])* fn $method(&mut self, question: &$question) -> Reply<$answer>;)+

            /// Asks any question.
            fn ask(&mut self, question: &Question) -> Result<Answer, Fault> {
                Ok(match question {
                    $(Question::$name(question) => match self.$method(question)? {
                        Ok(mut answer) => {
                            answer.tidy();
                            Answer::$name(answer)
                        }
                        Err(refusal) => Answer::Refused(refusal),
                    }),+
                })
            }
        }
    };
}

functions! {
    /// What does this platform require?
    ExecutionProperties, "properties", "execution-properties",
        execution_properties(ExecutionQuestion) -> ExecutionAnswer;
    /// What can this bot do?
    WorkerProperties, "properties", "worker-properties", worker_properties(WorkerQuestion) -> WorkerAnswer;
    /// How well do these pairs fit?
    Matches, "matching", "matches", matches(MatchesQuestion) -> MatchesAnswer;
    /// Nobody can serve this: wait, or refuse?
    Nobody, "unmatched", "nobody", nobody(NobodyQuestion) -> NobodyAnswer;
    /// Where do these jobs stand?
    Place, "priority", "place", place(PlaceQuestion) -> PlaceAnswer;
    /// Which lane?
    Choose, "choosing", "choose", choose(ChooseQuestion) -> ChooseAnswer;
    /// May this come in?
    BeforeCreateJob, "create-job", "before-create-job", before_create_job(CreateJobQuestion) -> CreateJobAnswer;
    /// May it be queued?
    BeforeQueueJob, "queue-job", "before-queue-job", before_queue_job(QueueJobQuestion) -> QueueJobAnswer;
    /// What now?
    AfterAttempt, "after-attempt", "after-attempt", after_attempt(AfterAttemptQuestion) -> AfterAttemptAnswer;
    /// How much longer is each kept?
    BeforePrune, "before-prune", "before-prune", before_prune(BeforePruneQuestion) -> BeforePruneAnswer;
    /// This happened.
    OnEvents, "events", "on-events", on_events(EventsQuestion) -> EventsAnswer;
}

impl Function {
    /// Whether it may say no.
    pub fn may_refuse(self) -> bool {
        use Function::{BeforeCreateJob, BeforeQueueJob, ExecutionProperties, WorkerProperties};
        matches!(self, ExecutionProperties | WorkerProperties | BeforeCreateJob | BeforeQueueJob)
    }
}

impl fmt::Display for Function {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl FromStr for Function {
    type Err = UnknownFunction;

    fn from_str(name: &str) -> Result<Self, UnknownFunction> {
        let found = Self::ALL.iter().find(|function| function.name() == name);
        found.copied().ok_or_else(|| UnknownFunction(name.to_owned()))
    }
}

/// There is no function of this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFunction(pub String);

impl fmt::Display for UnknownFunction {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Function::ALL.iter().map(|function| function.name()).collect();
        write!(out, "there is no function {:?}; there are {}", self.0, names.join(", "))
    }
}

impl std::error::Error for UnknownFunction {}

fn read<R: Record>(value: Value) -> Result<R, serde_json::Error> {
    let mut record: R = serde_json::from_value(value)?;
    record.tidy();
    Ok(record)
}

fn json(record: &impl serde::Serialize) -> Value {
    serde_json::to_value(record).expect("records have texts as keys")
}
