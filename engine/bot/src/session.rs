//! Keeps a session with the server alive and leases moving: one update at a time, held by the server while there is
//! nothing to say, abandoned as soon as there is.
//!
//! What replies mean is in `leases`; what is done about a lease is in `job`.

use std::sync::Arc;
use std::time::Duration;

use berth_proto::bots::bots_client::BotsClient;
use berth_proto::bots::{
    BotSession, BotStatus, CreateBotSessionRequest, Device, Lease, UpdateBotSessionRequest, Worker, device, worker,
};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::cache::{FileCache, lock_folder};
use crate::cas::CasClient;
use crate::config::{BotConfig, connect};
use crate::error::{Error, Failure};
use crate::job::{Report, Workshop, blocking};
use crate::leases::{Absorbed, Leases, Sent, Start};
use crate::retry::Backoff;
use crate::scratch;
use crate::shutdown::{ExitReason, Phase, Shutdown};

/// An update with news is answered at once. Only if it is not, newer news may overtake it.
const NEWS_GRACE: Duration = Duration::from_millis(250);
/// A reply without content that comes sooner than this was not held: the server leaves the pace to us.
const HELD_MIN: Duration = Duration::from_millis(400);
/// How long `CreateBotSession` may take; some servers hold it like an update.
const CREATE_MAX: Duration = Duration::from_secs(15);
/// How long a bot that was told to drop its work tries to hand it back.
const KILL_MAX: Duration = Duration::from_secs(5);
/// Between updates of a full bot, where the server does not hold them.
const FULL_PACE: Duration = Duration::from_secs(5);
/// Likewise with a free slot.
const FREE_PACE: Duration = Duration::from_millis(500);

/// Runs a bot to its end.
pub(crate) async fn serve(config: BotConfig, cache: Arc<FileCache>, shutdown: Shutdown) -> Result<ExitReason, Error> {
    config.check()?;
    let folder = config.work_dir.clone();
    let (_lock, work_dir) = blocking(move || {
        let lock = lock_folder(&folder)?;
        scratch::sweep(&folder)?;
        let work_dir = folder.canonicalize().map_err(|source| Error::Folder { path: folder, source })?;
        Ok::<_, Error>((lock, work_dir))
    })
    .await?;
    let polls = connect(&config.server)?;
    // A connection of its own even to the same address: a poll must not queue behind a large blob.
    let blobs = connect(config.cas.as_ref().unwrap_or(&config.server))?;
    let workshop = Arc::new(Workshop {
        bot_id: config.bot_id.clone(),
        work_dir,
        cas: CasClient::new(blobs, config.cas_instance.as_ref().unwrap_or(&config.instance), config.give_up),
        cache,
        slots: Semaphore::new(config.slots),
    });
    let (report, finished) = mpsc::channel(config.slots.saturating_mul(2));
    let bot = Bot {
        client: BotsClient::new(polls).max_decoding_message_size(64 << 20),
        workshop,
        leases: Leases::default(),
        session: BotSession::default(),
        report,
        finished,
        phase: shutdown.subscribe(),
        kill_at: None,
        told: Told::default(),
        config,
    };
    bot.run().await
}

/// A job that has ended.
#[derive(Debug)]
struct Finished {
    id: String,
    serial: u64,
    report: Report,
}

/// What this session's server knows beside the leases.
#[derive(Debug, Default)]
struct Told {
    /// An update has been answered at all.
    anything: bool,
    /// An update that said BOT_TERMINATING has been answered.
    draining: bool,
}

struct Bot {
    config: BotConfig,
    client: BotsClient<Channel>,
    workshop: Arc<Workshop>,
    leases: Leases,
    /// The server's part of the session: its name, and what it wants echoed. Replaced by each reply.
    session: BotSession,
    /// Bounded; a job whose report has to wait for room holds nothing up but itself.
    report: mpsc::Sender<Finished>,
    finished: mpsc::Receiver<Finished>,
    phase: watch::Receiver<Phase>,
    /// Set once when killing: then we leave, heard or not.
    kill_at: Option<Instant>,
    told: Told,
}

/// How a call to the server ended.
enum Outcome {
    Answered(BotSession),
    Failed(Status),
    /// There is something newer to say.
    Overtaken,
}

impl Bot {
    async fn run(mut self) -> Result<ExitReason, Error> {
        let mut known = false;
        let mut backoff = Backoff::new();
        loop {
            if let Some(reason) = self.open(known).await? {
                return Ok(reason);
            }
            known = true;
            if let Some(reason) = self.keep().await {
                return Ok(reason);
            }
            if self.told.anything {
                backoff = Backoff::new();
            } else {
                // A server that opens sessions and then disowns them must not be asked in a tight loop.
                self.pause(backoff.next_pause(), false).await;
            }
        }
    }

    /// Opens a session; `known`: the server has accepted this bot before, and will again. `Some`: time to leave.
    async fn open(&mut self, known: bool) -> Result<Option<ExitReason>, Error> {
        let mut backoff = Backoff::new();
        let started = Instant::now();
        self.told = Told::default();
        self.leases.forget_told();
        loop {
            self.take_events();
            if let Some(reason) = self.reason_to_leave(true) {
                return Ok(Some(reason));
            }
            let (session, sent) = self.describe(BotSession::default());
            let request = CreateBotSessionRequest { parent: self.config.instance.clone(), bot_session: Some(session) };
            let mut client = self.client.clone();
            let call = async move { client.create_bot_session(with_deadline(request, CREATE_MAX)).await };
            // Not overtaken by finished jobs: each session that is opened and left behind is a burden on the server.
            match self.call(call, CREATE_MAX, false).await {
                Outcome::Answered(reply) => {
                    tracing::info!(session = %reply.name, leases = reply.leases.len(), "session opened");
                    self.absorb(reply, &sent);
                    return Ok(None);
                }
                Outcome::Failed(status) if !known && is_refusal(status.code()) => {
                    return Err(Error::Refused { code: status.code(), message: status.message().to_owned() });
                }
                Outcome::Failed(status) => {
                    tracing::warn!(code = ?status.code(), message = status.message(), "no session; trying again");
                    if started.elapsed() >= self.config.give_up && !self.leases.is_empty() {
                        tracing::warn!(leases = self.leases.len(), "work is given up: the server does not answer");
                        self.leases.abandon();
                    }
                    self.pause(backoff.next_pause(), false).await;
                }
                Outcome::Overtaken => {}
            }
        }
    }

    /// Updates the session until it is lost (`None`) or it is time to leave.
    async fn keep(&mut self) -> Option<ExitReason> {
        let mut backoff = Backoff::new();
        let mut trouble_since = None;
        let mut idle = Duration::ZERO;
        loop {
            self.take_events();
            if let Some(reason) = self.reason_to_leave(trouble_since.is_some()) {
                return Some(reason);
            }
            let (session, sent) = self.describe(self.session.clone());
            let draining = self.is_draining();
            let has_news = sent.has_news || draining != self.told.draining;
            // A drained bot waits for nothing but to be heard.
            let poll = if draining && self.leases.is_empty() { Duration::from_secs(2) } else { self.config.poll };
            let request =
                UpdateBotSessionRequest { name: session.name.clone(), bot_session: Some(session), update_mask: None };
            let mut client = self.client.clone();
            let call = async move { client.update_bot_session(with_deadline(request, poll)).await };
            let asked = Instant::now();
            match self.call(call, poll, !has_news).await {
                Outcome::Answered(reply) => {
                    (trouble_since, backoff) = (None, Backoff::new());
                    self.told = Told { anything: true, draining };
                    let changed = self.absorb(reply, &sent);
                    if changed || has_news || asked.elapsed() >= HELD_MIN {
                        idle = Duration::ZERO;
                        continue;
                    }
                    let full = self.leases.len() >= self.config.slots;
                    let bound = if full { FULL_PACE } else { FREE_PACE };
                    idle = (idle * 2).clamp(Duration::from_millis(20), bound);
                    self.pause(idle, true).await;
                }
                Outcome::Failed(status) if is_session_lost(status.code()) => {
                    tracing::warn!(code = ?status.code(), message = status.message(), "session lost");
                    if !self.told.anything {
                        // The new session did not like what we brought from the old one.
                        self.leases.abandon();
                    }
                    return None;
                }
                Outcome::Failed(status) => {
                    let since = *trouble_since.get_or_insert_with(Instant::now);
                    tracing::warn!(code = ?status.code(), message = status.message(), "update failed; trying again");
                    if since.elapsed() >= self.config.give_up {
                        tracing::warn!(leases = self.leases.len(), "work is given up: the server does not answer");
                        self.leases.abandon();
                        return None;
                    }
                    self.pause(backoff.next_pause(), false).await;
                }
                Outcome::Overtaken => {}
            }
        }
    }

    /// Awaits a call. News may cut it short, at once if `may_overtake`, or else after a grace.
    async fn call(
        &mut self,
        call: impl Future<Output = Result<tonic::Response<BotSession>, Status>>,
        deadline: Duration,
        may_overtake: bool,
    ) -> Outcome {
        tokio::pin!(call);
        // The server answers before the deadline that it was told; this is for one that does not.
        let late = Instant::now() + deadline + Duration::from_secs(2);
        let mut overtake_at = None;
        loop {
            let until = [self.kill_at, overtake_at, Some(late)].into_iter().flatten().min().expect("one is given");
            tokio::select! {
                biased;
                reply = &mut call => return match reply {
                    Ok(reply) => Outcome::Answered(reply.into_inner()),
                    Err(status) => Outcome::Failed(status),
                },
                news = self.event() => {
                    if news && may_overtake {
                        return Outcome::Overtaken;
                    }
                    if news && overtake_at.is_none() {
                        overtake_at = Some(Instant::now() + NEWS_GRACE);
                    }
                }
                () = sleep_until(until) => {
                    return if until == late {
                        Outcome::Failed(Status::deadline_exceeded("no answer"))
                    } else {
                        Outcome::Overtaken
                    };
                }
            }
        }
    }

    /// Waits, and takes in what happens meanwhile; with `for_news`, only until there is something to tell.
    async fn pause(&mut self, length: Duration, for_news: bool) {
        let until = Instant::now() + length;
        loop {
            let phase = *self.phase.borrow();
            tokio::select! {
                biased;
                () = sleep_until(until) => return,
                news = self.event() => {
                    let shutdown = *self.phase.borrow() != phase;
                    if (news && for_news) || shutdown {
                        return;
                    }
                }
            }
        }
    }

    /// The next thing that happens on our side; whether the server should hear of it. May be dropped and called again.
    async fn event(&mut self) -> bool {
        tokio::select! {
            finished = self.finished.recv() => {
                let Finished { id, serial, report } = finished.expect("we hold a sender ourselves");
                self.leases.finish(&id, serial, report)
            }
            // An error says that nobody is left who could tell us to stop; then this branch is out.
            Ok(()) = self.phase.changed() => {
                self.enter_phase();
                true
            }
        }
    }

    /// All events that are there already, so that one update tells of all.
    fn take_events(&mut self) {
        while let Ok(Finished { id, serial, report }) = self.finished.try_recv() {
            self.leases.finish(&id, serial, report);
        }
        self.enter_phase();
    }

    fn enter_phase(&mut self) {
        if *self.phase.borrow_and_update() == Phase::Killing && self.kill_at.is_none() {
            self.kill_at = Some(Instant::now() + KILL_MAX);
            self.leases.kill_all();
        }
    }

    fn is_draining(&self) -> bool {
        *self.phase.borrow() != Phase::Running
    }

    /// `unheard`: the server does not know us or cannot be reached, so that there is no point in a last word.
    fn reason_to_leave(&self, unheard: bool) -> Option<ExitReason> {
        let reason = match *self.phase.borrow() {
            Phase::Running => return None,
            Phase::Draining => ExitReason::Drained,
            Phase::Killing => ExitReason::Killed,
        };
        let done = self.leases.is_empty() && (self.told.draining || unheard);
        let late = self.kill_at.is_some_and(|at| at <= Instant::now());
        (done || late).then_some(reason)
    }

    /// Our side of the session, on top of what the server wants echoed.
    fn describe(&self, session: BotSession) -> (BotSession, Sent) {
        let (leases, sent) = self.leases.report();
        let property = |(key, value): &(String, String)| device::Property { key: key.clone(), value: value.clone() };
        let config = |key: &str, value: String| worker::Config { key: key.into(), value };
        let worker = Worker {
            devices: vec![Device {
                handle: self.config.bot_id.clone(),
                properties: self.config.properties.iter().map(property).collect(),
            }],
            properties: Vec::new(),
            configs: vec![
                config("capacity", self.config.slots.to_string()),
                // So that we learn of a cancel at once; servers that do not know it answer a full bot at once.
                config("hold-when-full", "true".into()),
            ],
        };
        let status = if self.is_draining() { BotStatus::BotTerminating } else { BotStatus::Ok };
        let session = BotSession {
            bot_id: self.config.bot_id.clone(),
            status: status.into(),
            worker: Some(worker),
            leases,
            ..session
        };
        (session, sent)
    }

    fn absorb(&mut self, mut reply: BotSession, sent: &Sent) -> bool {
        let leases: Vec<Lease> = std::mem::take(&mut reply.leases);
        // The rest is ours and would only be carried along.
        reply.worker = None;
        self.session = reply;
        let Absorbed { start, changed } = self.leases.absorb(leases, sent, self.is_draining());
        start.into_iter().for_each(|start| self.start(start));
        changed
    }

    fn start(&self, Start { id, serial, payload, killed }: Start) {
        tracing::info!(lease = %id, "lease taken");
        let (workshop, report) = (Arc::clone(&self.workshop), self.report.clone());
        tokio::spawn(async move {
            let work = tokio::spawn(workshop.work(payload, killed));
            let outcome = work.await.unwrap_or_else(|error| {
                tracing::error!(lease = %id, %error, "a job panicked");
                Failure::Internal("a bug ended the work".into()).into()
            });
            tracing::info!(
                lease = %id,
                code = outcome.status.code,
                message = outcome.status.message,
                exit_code = outcome.result.as_ref().map(|result| result.exit_code),
                "lease done"
            );
            // Fails only when the bot is gone already.
            let _ = report.send(Finished { id, serial, report: outcome }).await;
        });
    }
}

fn with_deadline<T>(message: T, deadline: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(deadline);
    request
}

/// The server does not have this session (any more), or not as we see it: a new one clears that up.
fn is_session_lost(code: Code) -> bool {
    matches!(
        code,
        Code::NotFound
            | Code::InvalidArgument
            | Code::DataLoss
            | Code::FailedPrecondition
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::Unimplemented
    )
}

/// What a server answers to a bot that it will not want later either.
fn is_refusal(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidArgument
            | Code::NotFound
            | Code::FailedPrecondition
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::Unimplemented
    )
}
