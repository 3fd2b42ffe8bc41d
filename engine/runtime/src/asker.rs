//! Asks policies what core wants to know, off the driver's loop, and hands the answers back as events.
//!
//! Core does not wait for ever: its own deadline decides without us. So an answer may come too late, and core drops it;
//! a question that waited too long for its turn is not even asked, unless its answer is good for later jobs, too. What a
//! question and an answer are is in `berth_core::Question`; who answers is the [`Policy`] port.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use berth_core::{
    AttemptAction, AttemptAsked, Decided, Event, LeaseId, MatchAsked, Matched, PlaceAsked, Question, UnmatchedAsked,
    UnmatchedDecided, Verdict,
};
use berth_proto::{
    reapi::{ActionResult, RequestMetadata},
    rpc, store as pb,
};
use bytes::Bytes;
use prost::Message;
use tokio::sync::{Semaphore, mpsc};

use crate::{
    clock::Clock,
    cohorts::Cohorts,
    driver::{Command, Token},
    history::History,
    partition::{Attachment, Input},
    policy::{
        Policy,
        hooks::{AttemptQuestion, MatchQuestion, Requester, UnmatchedQuestion},
    },
    replace, resources,
};

/// Questions that are asked at a time.
const CALLS_MAX: usize = 64;

/// After this time core has decided itself.
const USEFUL: Duration = Duration::from_secs(1);

/// As much of a report's message as a policy is told, and of a policy's text as a client is told.
const TEXT_BYTES_MAX: usize = 1_024;

/// A question and when it left core.
pub(crate) type Asked = (Instant, Question);

/// What asking takes.
#[derive(Clone)]
pub(crate) struct Asker {
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) cohorts: Arc<Cohorts>,
    pub(crate) history: History,
    pub(crate) clock: Clock,
    /// Weak: questions alone do not keep the driver alive.
    pub(crate) prompt: mpsc::WeakSender<Command>,
}

impl Asker {
    /// Runs until the driver ends.
    pub(crate) async fn run(self, mut questions: mpsc::UnboundedReceiver<Asked>) {
        let permits = Arc::new(Semaphore::new(CALLS_MAX));
        while let Some((since, question)) = questions.recv().await {
            let Ok(permit) = permits.clone().acquire_owned().await else { return };
            let lasts = matches!(question, Question::Match(_));
            if since.elapsed() > USEFUL && !lasts {
                continue;
            }
            let asker = self.clone();
            tokio::spawn(async move {
                let answer = match question {
                    Question::Attempt(asked) => Some(asker.attempt(*asked).await),
                    Question::Match(asked) => Some((asker.matches(*asked).await, Attachment::default())),
                    Question::Unmatched(asked) => Some((asker.unmatched(*asked).await, Attachment::default())),
                    Question::Place(asked) => asker.place(asked).await.map(|event| (event, Attachment::default())),
                };
                if let Some((event, attachment)) = answer {
                    asker.send(event, attachment).await;
                }
                drop(permit);
            });
        }
    }

    async fn attempt(&self, asked: AttemptAsked) -> (Event, Attachment) {
        let (lease, revision, code) = (asked.lease, asked.revision, asked.failed.code);
        let (body, result) = futures::join!(self.history.body(lease.job), self.history.result(lease.job));
        let (verdict, stored): (_, Arc<pb::JobResult>) = match (body, result) {
            (Ok(body), Ok(result)) => {
                let (body, result) = (body.unwrap_or_default(), result.unwrap_or_default());
                let (policy, stored) = (self.policy.clone(), result.clone());
                let call = move || ask_after_attempt(&*policy, &asked, &body, &stored);
                // A panic of the policy is a fault as any other.
                (tokio::task::spawn_blocking(call).await.ok().flatten(), result)
            }
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(job = %lease.job, %error, "a policy is not asked: the rows of the job cannot be read");
                Default::default()
            }
        };
        let attachment = attachment(lease, code, verdict.as_ref(), &stored);
        (Event::Decided(Box::new(Decided { job: lease.job, revision, verdict })), attachment)
    }

    async fn unmatched(&self, asked: UnmatchedAsked) -> Event {
        let (class, revision) = (asked.class.clone(), asked.revision);
        let policy = self.policy.clone();
        let call = move || {
            policy.unmatched(&UnmatchedQuestion {
                instance: &asked.class.instance.0,
                label: &asked.class.label,
                requirements: &asked.class.requirements,
                jobs: asked.jobs,
                oldest: asked.oldest,
            })
        };
        let verdict = tokio::task::spawn_blocking(call).await.ok().flatten();
        Event::Unmatched(Box::new(UnmatchedDecided { class, revision, verdict }))
    }

    /// `None`: nobody could say; core asks again.
    async fn place(&self, asked: Vec<PlaceAsked>) -> Option<Event> {
        match replace::ask(&self.policy, &self.cohorts, &self.history, &self.clock, asked).await {
            Ok(place) => Some(Event::Place(Box::new(place))),
            Err(error) => {
                tracing::warn!(%error, "places are not asked for again: the rows of the jobs cannot be read");
                None
            }
        }
    }

    async fn matches(&self, asked: MatchAsked) -> Event {
        let policy = self.policy.clone();
        let question = asked.clone();
        let call = move || {
            // What is offered is judged, not by whose bots.
            let offers: Vec<_> = question.offers.into_iter().map(|(_, offered)| offered).collect();
            policy.matches(&MatchQuestion {
                instance: &question.instance.0,
                needs: &question.needs,
                offers: &offers,
                pairs: &question.pairs,
            })
        };
        let fit = tokio::task::spawn_blocking(call).await.ok().flatten();
        let scores = fit.filter(|fit| fit.lasting).map(|fit| fit.scores);
        Event::Matched(Box::new(Matched { asked, scores }))
    }

    async fn send(&self, event: Event, attachment: Attachment) {
        if let Some(prompt) = self.prompt.upgrade() {
            // The driver may have ended: a restart asks again.
            let _ = prompt.send(Command::Input(Input::Event { event, attachment, token: Token::default() })).await;
        }
    }
}

fn ask_after_attempt(
    policy: &dyn Policy,
    asked: &AttemptAsked,
    body: &pb::JobBody,
    result: &pb::JobResult,
) -> Option<Verdict> {
    // What cannot be read is as what was not sent.
    let metadata = RequestMetadata::decode(body.request_metadata.clone()).unwrap_or_default();
    let status = rpc::Status::decode(result.status.clone()).unwrap_or_default();
    let action = ActionResult::decode(result.action_result.clone()).ok().filter(|_| !result.action_result.is_empty());
    policy.after_attempt(&AttemptQuestion {
        requester: requester(&asked.instance.0, body, &metadata),
        job: &asked.lease.job.to_string(),
        action_digest: &asked.action.to_string(),
        label: &asked.label,
        requirements: &asked.requirements,
        reason: asked.failed.reason,
        code: asked.failed.code,
        message: cut(&status.message),
        exit_code: action.as_ref().map(|action| action.exit_code),
        attempt: asked.lease.attempt,
        counted: asked.counted,
        counted_max: asked.counted_max,
        took: asked.failed.took,
        peak_memory_bytes: action.as_ref().map_or(0, resources::peak_memory_bytes),
        bot_id: &asked.failed.bot_id,
        bot_failures: asked.failed.bot_failures,
        bot_attempts: asked.failed.bot_attempts,
        failed_bots: asked.failed_bots,
    })
}

/// Who asked for the job.
pub(crate) fn requester<'a>(instance: &'a str, body: &'a pb::JobBody, metadata: &'a RequestMetadata) -> Requester<'a> {
    Requester {
        instance,
        tenant: &body.tenant,
        invocation: &metadata.tool_invocation_id,
        correlated_invocations: &metadata.correlated_invocations_id,
        tool: metadata.tool_details.as_ref().map_or("", |tool| &tool.tool_name),
        mnemonic: &metadata.action_mnemonic,
        target: &metadata.target_id,
    }
}

/// What clients are told if a policy ends the job: what the bot reported, and the policy's text beside it.
fn attachment(lease: LeaseId, code: i32, verdict: Option<&Verdict>, stored: &pb::JobResult) -> Attachment {
    let Some(Verdict { action: AttemptAction::Fail { message }, .. }) = verdict else { return Attachment::default() };
    let results = vec![(lease, told(stored, code, cut(message)))];
    Attachment { results, ..Attachment::default() }
}

fn told(stored: &pb::JobResult, code: i32, text: &str) -> Bytes {
    let mut result = stored.clone();
    if code == 0 {
        // The command failed, and the client sees how.
        result.message = text.to_owned();
    } else {
        let reported = rpc::Status::decode(stored.status.clone()).unwrap_or_default();
        let message =
            if reported.message.is_empty() { text.to_owned() } else { format!("{}; {text}", reported.message) };
        result.status = rpc::Status { code, message, ..reported }.encode_to_vec().into();
    }
    result.encode_to_vec().into()
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(result: &Bytes) -> (pb::JobResult, rpc::Status) {
        let result = pb::JobResult::decode(result.clone()).unwrap();
        let status = rpc::Status::decode(result.status.clone()).unwrap();
        (result, status)
    }

    #[test]
    fn a_policys_text_stands_beside_the_bots_message() {
        let status = rpc::Status { code: 13, message: "disk on fire".into(), details: Vec::new() };
        let stored = pb::JobResult { status: status.encode_to_vec().into(), ..pb::JobResult::default() };
        let (_, status) = read(&told(&stored, 13, "third bot in a row"));
        assert_eq!((status.code, &*status.message), (13, "disk on fire; third bot in a row"));
        let (_, status) = read(&told(&pb::JobResult::default(), 14, "enough"));
        assert_eq!((status.code, &*status.message), (14, "enough"));
    }

    #[test]
    fn a_result_keeps_what_the_command_said() {
        let stored = pb::JobResult { action_result: Bytes::from_static(b"x"), ..pb::JobResult::default() };
        let (result, status) = read(&told(&stored, 0, "poison"));
        assert_eq!((&*result.action_result, &*result.message, status.code), (&b"x"[..], "poison", 0));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut(&"é".repeat(1_000)).len(), 1_024);
        assert_eq!(cut("short"), "short");
    }
}
