//! Policies that are asked in the middle of a job's life, and before there is one, as clients and operators see it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use berth_core::{AttemptAction, AttemptReason, Property, Settings, UnmatchedVerdict, Verdict};
use berth_proto::admin::{GetJobRequest, ListBotsRequest, ReleaseBotRequest};
use berth_runtime::{
    builtin::BuiltinPolicy,
    policy::{
        Asks, ExecutionProperties, ExecutionQuestion, PlaceQuestion, Placement, Policy, PolicyError, WorkerProperties,
        WorkerQuestion,
        hooks::{AttemptQuestion, CreateAmendments, CreateQuestion, QueueAmendments, QueueQuestion, UnmatchedQuestion},
    },
};
use tonic::Code;

use crate::house::{House, Job, LONG, complete, last, response, succeed};

/// What a policy was asked after an attempt: reason, code, message, bot, tenant.
type Heard = (AttemptReason, i32, String, String, String);

/// The built-in rule, with answers to the other questions.
struct Asked {
    asks: Asks,
    verdict: Verdict,
    heard: Mutex<Vec<Heard>>,
}

impl Asked {
    fn new(asks: Asks, action: AttemptAction, quarantine: Duration) -> Arc<Self> {
        Arc::new(Self { asks, verdict: Verdict { action, quarantine }, heard: Mutex::default() })
    }

    fn after_attempt(action: AttemptAction, quarantine: Duration) -> Arc<Self> {
        Self::new(Asks { attempt: true, ..Asks::default() }, action, quarantine)
    }

    fn before(asks: Asks) -> Arc<Self> {
        Self::new(asks, AttemptAction::Complete, Duration::ZERO)
    }
}

impl Policy for Asked {
    fn execution_properties(&self, question: &ExecutionQuestion<'_>) -> Result<Arc<ExecutionProperties>, PolicyError> {
        BuiltinPolicy.execution_properties(question)
    }

    fn worker_properties(&self, question: &WorkerQuestion<'_>) -> Result<WorkerProperties, PolicyError> {
        BuiltinPolicy.worker_properties(question)
    }

    fn place(&self, questions: &[PlaceQuestion<'_>]) -> Vec<Placement> {
        BuiltinPolicy.place(questions)
    }

    fn asks(&self, _: &str) -> Asks {
        self.asks
    }

    fn before_create_job(&self, question: &CreateQuestion<'_>) -> Result<CreateAmendments, PolicyError> {
        if question.priority > 100 {
            return Err(PolicyError::Denied { reason: format!("{:?} may wait for ever", question.arguments) });
        }
        let platform = vec![("pool".to_owned(), "amended".to_owned())];
        Ok(CreateAmendments { platform: Some(platform), priority: Some(7), ..CreateAmendments::default() })
    }

    fn before_queue_job(&self, question: &QueueQuestion<'_>) -> Result<QueueAmendments, PolicyError> {
        if question.bots == 0 {
            return Err(PolicyError::FailedPrecondition { reason: format!("no bot for rank {}", question.rank) });
        }
        Ok(QueueAmendments { rank: Some(-3), ..QueueAmendments::default() })
    }

    fn after_attempt(&self, question: &AttemptQuestion<'_>) -> Option<Verdict> {
        let heard = (
            question.reason,
            question.code,
            question.message.to_owned(),
            question.bot_id.to_owned(),
            question.requester.tenant.to_owned(),
        );
        self.heard.lock().unwrap().push(heard);
        Some(self.verdict.clone())
    }

    fn unmatched(&self, question: &UnmatchedQuestion<'_>) -> Option<UnmatchedVerdict> {
        Some(UnmatchedVerdict::Refuse(format!("nobody offers {}", question.requirements).into()))
    }
}

#[tokio::test]
async fn a_policy_ends_a_job_with_its_own_words_beside_the_bots() {
    let policy = Asked::after_attempt(AttemptAction::Fail { message: "it kills bots".into() }, Duration::ZERO);
    let mut house = House::with(policy.clone());
    house.config.tenant_header = Some("x-tenant".into());
    let server = house.start().await;
    let client = server.connect().await;
    let mut request = tonic::Request::new(client.prepare(&Job::new("a")).await);
    request.metadata_mut().insert("x-tenant", "team-a".parse().unwrap());
    let stream = client.execution().execute(request).await.unwrap().into_inner();
    let mut bot = client.bot("bot", 1);
    bot.take().await;
    bot.finish_all(|lease| complete(lease, None, Code::Internal as i32));
    bot.update(Duration::from_millis(100)).await.unwrap();
    let status = response(&last(stream).await).status.unwrap();
    assert_eq!((status.code, &*status.message), (Code::Internal as i32, "as the bot says; it kills bots"));
    let heard = policy.heard.lock().unwrap().clone();
    let expected =
        (AttemptReason::Reported, Code::Internal as i32, "as the bot says".into(), "bot".into(), "team-a".into());
    assert_eq!(heard, [expected]);
}

#[tokio::test]
async fn a_job_is_tried_elsewhere_while_the_bot_is_in_quarantine_until_an_operator_ends_that() {
    let action = AttemptAction::Retry { after: Duration::ZERO, elsewhere: true, requirements: None, counts: false };
    let policy = Asked::after_attempt(action, Duration::from_secs(3_600));
    let house = House::with(policy);
    let server = house.start().await;
    let client = server.connect().await;
    let (first, stream) = client.begin(&Job::new("a")).await;
    let mut bad = client.bot("bad", 1);
    bad.take().await;
    bad.finish_all(|lease| complete(lease, None, Code::Unavailable as i32));
    bad.update(Duration::from_millis(100)).await.unwrap();
    // It asks again and gets nothing, though the job waits.
    bad.update(Duration::from_millis(100)).await.unwrap();
    assert!(bad.session.leases.is_empty());
    let bots = async || client.admin_bots().list_bots(ListBotsRequest::default()).await.unwrap().into_inner().bots;
    assert!(bots().await[0].quarantined_until.is_some());
    let job = client.admin_jobs().get_job(GetJobRequest { job: first.name.clone() }).await.unwrap().into_inner();
    assert_eq!((job.attempts_used, job.waiting.unwrap().code.as_str()), (0, "BOTS_TAKE_NO_WORK"));

    let mut good = client.bot("good", 1);
    good.take().await;
    good.finish_all(succeed);
    good.update(Duration::from_millis(100)).await.unwrap();
    assert!(response(&last(stream).await).result.is_some());

    let release = ReleaseBotRequest { instance: "main".into(), bot_id: "bad".into() };
    client.admin_bots().release_bot(release).await.unwrap();
    assert!(bots().await.iter().all(|bot| bot.quarantined_until.is_none()));
    let (_, _stream) = client.begin(&Job::new("b")).await;
    let mut bad = client.bot("bad", 1);
    bad.take().await;
}

#[tokio::test]
async fn a_job_that_no_bot_can_serve_is_refused_where_a_policy_says_so() {
    let asks = Asks { unmatched: true, ..Asks::default() };
    let settings = Settings { session_timeout: Duration::from_secs(1), ..Settings::default() };
    let mut house = House::with(Asked::before(asks));
    house.settings = settings;
    let server = house.start().await;
    let client = server.connect().await;
    let job = Job { platform: vec![("pool", "gpu")], ..Job::new("a") };
    let (_, stream) = client.begin(&job).await;
    let status = response(&last(stream).await).status.unwrap();
    assert_eq!((status.code, &*status.message), (Code::FailedPrecondition as i32, "nobody offers pool=gpu"));
}

#[tokio::test]
async fn a_request_is_refused_or_amended_before_it_is_a_job() {
    let house = House::with(Asked::before(Asks { create: true, ..Asks::default() }));
    let server = house.start().await;
    let client = server.connect().await;
    let request = client.prepare(&Job { priority: 101, ..Job::new("a") }).await;
    let status = client.execute(request).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.message().contains("cat"), "{status:?}");
    let (first, _stream) = client.begin(&Job { priority: 1, ..Job::new("b") }).await;
    let job = client.admin_jobs().get_job(GetJobRequest { job: first.name }).await.unwrap().into_inner();
    let needs: Vec<_> = job.requirements.iter().map(|p| Property::new(&*p.name, &*p.value)).collect();
    assert_eq!((needs, job.rank), (vec![Property::new("pool", "amended")], 7));
}

#[tokio::test]
async fn a_job_is_refused_or_amended_before_it_is_queued_but_not_if_it_joins_another() {
    let house = House::with(Asked::before(Asks { queue: true, ..Asks::default() }));
    let server = house.start().await;
    let client = server.connect().await;
    let request = client.prepare(&Job { priority: 5, ..Job::new("a") }).await;
    let status = client.execute(request).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "no bot for rank 5"));
    let mut bot = client.bot("bot", 1);
    bot.open(Duration::from_millis(100)).await.unwrap();
    let (first, stream) = client.begin(&Job { priority: 5, ..Job::new("a") }).await;
    let job = client.admin_jobs().get_job(GetJobRequest { job: first.name }).await.unwrap().into_inner();
    assert_eq!(job.rank, -3);
    // With a priority that would be amended were it a job of its own.
    let (_, second) = client.begin(&Job { priority: 5, ..Job::new("a") }).await;
    bot.update(LONG).await.unwrap();
    bot.finish_all(succeed);
    bot.update(Duration::from_millis(100)).await.unwrap();
    assert!(response(&last(stream).await).result.is_some());
    assert!(response(&last(second).await).result.is_some());
}
