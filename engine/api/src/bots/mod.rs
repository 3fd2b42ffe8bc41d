//! `google.devtools.remoteworkers.v1test2.Bots`: bots open a session, ask for work and report.
//!
//! A call of a bot is held until there is work for it or its deadline is near. `worker` reads what a bot can do,
//! `report` what it says of its leases, `progress` how far it is with them, `complete` deals with results, `reply` writes what it is told.

mod complete;
mod progress;
mod reply;
mod report;
mod worker;

use std::sync::Arc;

use berth_core::{BotStatus, OpenSession, SessionId, Timestamp, UpdateSession, WorkerChange};
use berth_proto::bots::{
    self as wire, BotSession, CreateBotSessionRequest, PostBotEventTempRequest, UpdateBotSessionRequest, bots_server,
};
use berth_runtime::{
    cas::Cas,
    policy::{Policy, PolicyError},
};
use tonic::{Extensions, Request, Response, Status, metadata::MetadataMap};

pub(crate) use self::worker::Workers;
use crate::{
    deadline,
    error::Error,
    instances::{Instance, Instances, shown},
    names,
    phases::Phases,
};

/// The longest `bot_id`: it is stored with each session.
const BOT_ID_BYTES_MAX: usize = 512;

/// The service.
pub(crate) struct Bots {
    pub(crate) instances: Instances,
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) cas: Arc<dyn Cas>,
    pub(crate) phases: Arc<Phases>,
}

#[tonic::async_trait]
impl bots_server::Bots for Bots {
    async fn create_bot_session(
        &self,
        request: Request<CreateBotSessionRequest>,
    ) -> Result<Response<BotSession>, Status> {
        let (headers, extensions, request) = request.into_parts();
        let session = request.bot_session.ok_or_else(|| Error::field("bot_session", "is not set"))?;
        let instance = self.instances.get_home("parent", &request.parent)?;
        Ok(Response::new(self.create(instance, &headers, &extensions, session).await?))
    }

    async fn update_bot_session(
        &self,
        request: Request<UpdateBotSessionRequest>,
    ) -> Result<Response<BotSession>, Status> {
        let (headers, extensions, request) = request.into_parts();
        let session = request.bot_session.ok_or_else(|| Error::field("bot_session", "is not set"))?;
        if !session.name.is_empty() && session.name != request.name {
            return Err(Error::field("bot_session.name", "must be the name of the request, or empty").into());
        }
        let no_session = || Error::NoSession(shown(&request.name));
        let (instance, id) = names::parse_session(&request.name).ok_or_else(no_session)?;
        let instance = self.instances.find_home(instance).ok_or_else(no_session)?;
        Ok(Response::new(self.update(instance, id, &headers, &extensions, session).await?))
    }

    async fn post_bot_event_temp(&self, _: Request<PostBotEventTempRequest>) -> Result<Response<()>, Status> {
        Err(Error::Unimplemented("PostBotEventTemp").into())
    }
}

impl Bots {
    async fn create(
        &self,
        instance: &Instance,
        headers: &MetadataMap,
        extensions: &Extensions,
        mut session: BotSession,
    ) -> Result<BotSession, Error> {
        let (status, bot_id) = (parse_status(session.status)?, parse_bot_id(&session.bot_id)?);
        let worker = session.worker.get_or_insert_default();
        let change = worker::ask_policy(&*self.policy, instance, &bot_id, worker)?;
        let id = SessionId(names::draw(instance.engine.now()));
        instance.workers.remember(&instance.engine, id, worker.clone()).await?;
        let hold_until = Some(hold_until(instance, headers));
        let open = |poll| OpenSession {
            session: id,
            instance: instance.name.clone(),
            bot_id,
            identity: identity(extensions),
            capabilities: change.capabilities,
            slots: change.slots,
            hold_when_full: change.hold_when_full,
            status,
            score: change.score,
            poll,
            hold_until,
        };
        // Leases that it brings from an older session are not its own any more: it is told so by their absence.
        let delivery = instance.engine.open_session(open).await?;
        session.leases.clear();
        reply::reply(instance, session, delivery).await
    }

    async fn update(
        &self,
        instance: &Instance,
        id: SessionId,
        headers: &MetadataMap,
        extensions: &Extensions,
        mut session: BotSession,
    ) -> Result<BotSession, Error> {
        // Taken first: what we do before the call is held counts as well.
        let hold_until = Some(hold_until(instance, headers));
        let (status, bot_id) = (parse_status(session.status)?, parse_bot_id(&session.bot_id)?);
        let worker = self.worker_change(instance, id, &bot_id, session.worker.as_ref()).await?;
        progress::note(instance, id, progress::parse(headers, &session.leases)).await?;
        let reports = report::parse(&mut session.leases);
        let (leases, results) = self.complete(instance, id, reports).await?;
        let update = |poll| UpdateSession {
            session: id,
            bot_id,
            identity: identity(extensions),
            status,
            worker,
            leases,
            poll,
            hold_until,
        };
        let delivery = instance.engine.update_session(update, results).await?;
        reply::reply(instance, session, delivery).await
    }
}

impl Bots {
    /// What the bot can do, if it says something new.
    async fn worker_change(
        &self,
        instance: &Instance,
        id: SessionId,
        bot_id: &str,
        worker: Option<&wire::Worker>,
    ) -> Result<Option<WorkerChange>, Error> {
        let Some(worker) = worker.filter(|worker| !instance.workers.is_known(id, worker)) else { return Ok(None) };
        match worker::ask_policy(&*self.policy, instance, bot_id, worker) {
            Ok(change) => {
                instance.workers.remember(&instance.engine, id, worker.clone()).await?;
                Ok(Some(change))
            }
            // A report must not wait for a policy, and a session must not end for want of one: it stays as it was,
            // and the next update asks again.
            Err(Error::Policy(fault @ PolicyError::Fault { .. })) => {
                tracing::warn!(session = %id, bot_id, error = %fault, "a bot's properties are not judged");
                Ok(None)
            }
            Err(refused) => Err(refused),
        }
    }
}

fn hold_until(instance: &Instance, headers: &MetadataMap) -> Timestamp {
    instance.engine.now().after(deadline::hold(headers))
}

/// Who the peer authenticated as. Nobody does yet; then all are the same.
fn identity(_: &Extensions) -> Arc<str> {
    "".into()
}

fn parse_bot_id(bot_id: &str) -> Result<Arc<str>, Error> {
    if bot_id.is_empty() || bot_id.len() > BOT_ID_BYTES_MAX {
        return Err(Error::field("bot_session.bot_id", format!("must have 1 to {BOT_ID_BYTES_MAX} bytes")));
    }
    Ok(bot_id.into())
}

fn parse_status(status: i32) -> Result<BotStatus, Error> {
    match wire::BotStatus::try_from(status) {
        Ok(wire::BotStatus::Ok) => Ok(BotStatus::Ok),
        Ok(wire::BotStatus::Unhealthy) => Ok(BotStatus::Unhealthy),
        Ok(wire::BotStatus::HostRebooting) => Ok(BotStatus::HostRebooting),
        Ok(wire::BotStatus::BotTerminating) => Ok(BotStatus::Terminating),
        // A bot that does not say that it is well is not given work.
        Ok(wire::BotStatus::Initializing | wire::BotStatus::Unspecified) => Ok(BotStatus::Initializing),
        Err(_) => Err(Error::field("bot_session.status", format!("{status} is not a BotStatus"))),
    }
}
