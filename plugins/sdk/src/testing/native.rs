//! A policy on this machine as something that answers cases.

use std::any::Any;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};

use berth_policy_cases as cases;
use cases::{Answerer, Fault, Function, Reply, Surroundings};

use super::{Exports, convert, convert_hooks, host};

/// A policy on this machine.
pub struct Native<Policy>(PhantomData<Policy>);

impl<Policy> Native<Policy> {
    /// The policy. What it finds around it belongs to the thread.
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<Policy> Default for Native<Policy> {
    fn default() -> Self {
        Self::new()
    }
}

/// Asks a policy what a file of cases says.
///
/// # Panics
///
/// If the file cannot be read, has no cases, or an answer is another; the message says what is different.
pub fn run_cases<Policy: Exports>(text: &str) {
    let cases = match cases::read(text) {
        Ok(cases) => cases,
        Err(error) => panic!("{error}"),
    };
    assert!(!cases.is_empty(), "there are no cases");
    let outcomes = cases::run(&cases, &mut Native::<Policy>::new());
    let failed: Vec<String> =
        outcomes.iter().filter(|outcome| outcome.result.is_err()).map(ToString::to_string).collect();
    assert!(failed.is_empty(), "{} of {} cases failed:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

/// Calls a policy's function as Berth would: a panic is a fault.
fn call<Policy, Answer>(
    function: Function,
    exported: Option<Policy>,
    ask: impl FnOnce(Policy) -> Answer,
) -> Result<Answer, Fault> {
    let exported = exported.ok_or(Fault::NotExported(function))?;
    host::begin(function);
    let before = host::kv();
    let answer = catch_unwind(AssertUnwindSafe(|| ask(exported)));
    host::end(answer.is_err().then_some(before));
    answer.map_err(|panic| Fault::Faulted(message(&*panic)))
}

/// What a panic says.
pub(super) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic").to_owned()
}

impl<Policy: Exports> Answerer for Native<Policy> {
    fn surround(&mut self, surroundings: &Surroundings) -> Result<(), Fault> {
        host::surround(surroundings);
        Ok(())
    }

    fn execution_properties(&mut self, question: &cases::ExecutionQuestion) -> Reply<cases::ExecutionAnswer> {
        let question = convert::execution_question(question);
        let answer = call(Function::ExecutionProperties, Policy::execution_properties(), |ask| ask(question))?;
        Ok(answer.map(convert::execution_answer).map_err(convert::refusal))
    }

    fn worker_properties(&mut self, question: &cases::WorkerQuestion) -> Reply<cases::WorkerAnswer> {
        let question = convert::worker_question(question);
        let answer = call(Function::WorkerProperties, Policy::worker_properties(), |ask| ask(question))?;
        Ok(answer.map(convert::worker_answer).map_err(convert::refusal))
    }

    fn matches(&mut self, question: &cases::MatchesQuestion) -> Reply<cases::MatchesAnswer> {
        let pairs = convert::pairs(question);
        let scores = call(Function::Matches, Policy::matches(), |ask| ask(pairs))?;
        Ok(Ok(cases::MatchesAnswer { scores: counted(scores, question.pairs.len())? }))
    }

    fn nobody(&mut self, question: &cases::NobodyQuestion) -> Reply<cases::NobodyAnswer> {
        let question = convert::nobody_question(question);
        let verdict = call(Function::Nobody, Policy::nobody(), |ask| ask(question))?;
        Ok(Ok(convert::nobody_answer(verdict)))
    }

    fn place(&mut self, question: &cases::PlaceQuestion) -> Reply<cases::PlaceAnswer> {
        let jobs = convert::jobs(&question.jobs);
        let texts = jobs.strings.clone();
        let places = call(Function::Place, Policy::place(), |ask| ask(jobs))?;
        let places = convert::places(places, texts, question.jobs.len()).map_err(Fault::Faulted)?;
        Ok(Ok(cases::PlaceAnswer { places }))
    }

    fn choose(&mut self, question: &cases::ChooseQuestion) -> Reply<cases::ChooseAnswer> {
        let worker = convert::worker(&question.worker);
        let lanes = convert::lanes(&question.lanes);
        let index = call(Function::Choose, Policy::choose(), |ask| ask(worker, lanes, question.truncated))?;
        let Some(index) = index else { return Ok(Ok(cases::ChooseAnswer { lane: None })) };
        let lane = question.lanes.get(index as usize);
        let lane = lane.ok_or_else(|| Fault::Faulted(format!("there is no lane {index}")))?;
        Ok(Ok(cases::ChooseAnswer { lane: Some(lane.name.clone()) }))
    }

    fn before_create_job(&mut self, question: &cases::CreateJobQuestion) -> Reply<cases::CreateJobAnswer> {
        let question = convert_hooks::create_job_question(question);
        let answer = call(Function::BeforeCreateJob, Policy::before_create_job(), |ask| ask(question))?;
        Ok(answer.map(convert_hooks::create_job_answer).map_err(convert::refusal))
    }

    fn before_queue_job(&mut self, question: &cases::QueueJobQuestion) -> Reply<cases::QueueJobAnswer> {
        let question = convert_hooks::queue_job_question(question);
        let answer = call(Function::BeforeQueueJob, Policy::before_queue_job(), |ask| ask(question))?;
        Ok(answer.map(convert_hooks::queue_job_answer).map_err(convert::refusal))
    }

    fn after_attempt(&mut self, question: &cases::AfterAttemptQuestion) -> Reply<cases::AfterAttemptAnswer> {
        let question = convert_hooks::after_attempt_question(question);
        let verdict = call(Function::AfterAttempt, Policy::after_attempt(), |ask| ask(question))?;
        Ok(Ok(convert_hooks::after_attempt_answer(verdict)))
    }

    fn before_prune(&mut self, question: &cases::BeforePruneQuestion) -> Reply<cases::BeforePruneAnswer> {
        let jobs = question.jobs.iter().map(convert_hooks::finished_job).collect();
        let keep_ms = call(Function::BeforePrune, Policy::before_prune(), |ask| ask(jobs))?;
        Ok(Ok(cases::BeforePruneAnswer { keep_ms: counted(keep_ms, question.jobs.len())? }))
    }

    fn on_events(&mut self, question: &cases::EventsQuestion) -> Reply<cases::EventsAnswer> {
        let events = question.events.iter().map(convert_hooks::event).collect();
        let before = host::kv();
        let error = call(Function::OnEvents, Policy::on_events(), |ask| ask(events))?.err();
        if error.is_some() {
            host::end(Some(before));
        }
        let kv = host::kv().into_iter().map(|(key, value)| (key, cases::Bytes(value))).collect();
        Ok(Ok(cases::EventsAnswer { error, kv }))
    }
}

/// One entry for each that was asked about.
fn counted<Entry>(entries: Vec<Entry>, expected: usize) -> Result<Vec<Entry>, Fault> {
    if entries.len() == expected {
        return Ok(entries);
    }
    Err(Fault::Faulted(format!("{} entries for {expected} questions", entries.len())))
}
