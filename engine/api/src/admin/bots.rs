//! `berth.admin.v1.Bots`.

use std::sync::Arc;

use berth_core::{BotStatus, PropertySet, SessionView};
use berth_proto::admin::{
    Bot, DrainBotRequest, DrainBotResponse, KickBotRequest, KickBotResponse, ListBotsRequest, ListBotsResponse,
    ReleaseBotRequest, ReleaseBotResponse, bots_server,
};
use tonic::{Request, Response, Status};

use super::{check_peer, show};
use crate::{
    convert,
    error::Error,
    instances::{Instance, Instances, shown},
    names,
};

/// The service.
pub(crate) struct AdminBots {
    pub(crate) instances: Instances,
}

#[tonic::async_trait]
impl bots_server::Bots for AdminBots {
    async fn list_bots(&self, request: Request<ListBotsRequest>) -> Result<Response<ListBotsResponse>, Status> {
        check_peer(&request)?;
        let only = match request.get_ref().instance.as_str() {
            "" => None,
            name => Some(&self.instances.get_home("instance", name)?.name),
        };
        let mut sessions = Vec::new();
        for engine in self.instances.engines() {
            let open = engine.read_promptly(|book| book.sessions()).await.map_err(Error::from)?;
            sessions.extend(open.into_iter().filter(|session| only.is_none_or(|name| *name == session.instance)));
        }
        sessions.sort_by(|a, b| (&a.instance, &a.bot_id).cmp(&(&b.instance, &b.bot_id)));
        Ok(Response::new(ListBotsResponse { bots: sessions.iter().map(bot).collect() }))
    }

    async fn drain_bot(&self, request: Request<DrainBotRequest>) -> Result<Response<DrainBotResponse>, Status> {
        check_peer(&request)?;
        Ok(Response::new(self.drain(&request.into_inner()).await?))
    }

    async fn release_bot(&self, request: Request<ReleaseBotRequest>) -> Result<Response<ReleaseBotResponse>, Status> {
        check_peer(&request)?;
        let request = request.into_inner();
        let instance = self.instances.get_home("instance", &request.instance)?;
        let released = instance.engine.release(instance.name.clone(), request.bot_id.as_str().into()).await;
        released.map_err(Error::from)?;
        Ok(Response::new(ReleaseBotResponse {}))
    }

    async fn kick_bot(&self, request: Request<KickBotRequest>) -> Result<Response<KickBotResponse>, Status> {
        check_peer(&request)?;
        Ok(Response::new(self.kick(&request.into_inner()).await?))
    }
}

impl AdminBots {
    async fn kick(&self, request: &KickBotRequest) -> Result<KickBotResponse, Error> {
        let instance = self.instances.get("instance", &request.instance)?;
        let session = self.session(instance, request.bot_id.as_str().into()).await?;
        let session = session
            .ok_or_else(|| Error::UnknownName { what: "an open session of bot", name: shown(&request.bot_id) })?;
        let leases = u32::try_from(session.leases.len()).unwrap_or(u32::MAX);
        instance.engine.kick(session.session).await?;
        Ok(KickBotResponse { leases })
    }

    /// The session of a bot, if it has one.
    async fn session(&self, instance: &Instance, bot_id: Arc<str>) -> Result<Option<SessionView>, Error> {
        let name = instance.name.clone();
        let look = move |book: &berth_core::Book| {
            let is_its = |session: &SessionView| session.instance == name && session.bot_id == bot_id;
            book.sessions().into_iter().find(is_its)
        };
        Ok(instance.engine.read_promptly(look).await?)
    }

    async fn drain(&self, request: &DrainBotRequest) -> Result<DrainBotResponse, Error> {
        let instance = self.instances.get_home("instance", &request.instance)?;
        let bot_id: Arc<str> = request.bot_id.as_str().into();
        let leases = self.session(instance, bot_id.clone()).await?.map(|session| session.leases.len());
        // A drain outlasts sessions, so a bot that is away may be drained. Its end may name a bot that is gone for good.
        instance.engine.drain(instance.name.clone(), bot_id, !request.undo).await?;
        if leases.is_none() {
            tracing::info!(bot_id = shown(&request.bot_id), "a bot without an open session is drained or undrained");
        }
        Ok(DrainBotResponse { leases: u32::try_from(leases.unwrap_or(0)).unwrap_or(u32::MAX) })
    }
}

fn bot(session: &SessionView) -> Bot {
    let offered = session.capabilities.iter().flat_map(PropertySet::iter).cloned().collect();
    Bot {
        session: names::session(&session.instance.0, session.session),
        bot_id: session.bot_id.to_string(),
        instance: session.instance.to_string(),
        status: status(session.status).into(),
        drained: session.drained,
        slots: session.slots,
        leases: session.leases.iter().map(ToString::to_string).collect(),
        ghosts: u32::try_from(session.ghosts.len()).unwrap_or(u32::MAX),
        asking: session.asking,
        properties: show::properties(&offered),
        opened_at: Some(convert::timestamp(session.opened_at)),
        last_contact: Some(convert::timestamp(session.contact)),
        quarantined_until: session.quarantined.map(convert::timestamp),
        keys: session.keys.iter().map(ToString::to_string).collect(),
    }
}

fn status(status: BotStatus) -> &'static str {
    match status {
        BotStatus::Ok => "OK",
        BotStatus::Unhealthy => "UNHEALTHY",
        BotStatus::HostRebooting => "HOST_REBOOTING",
        BotStatus::Terminating => "BOT_TERMINATING",
        BotStatus::Initializing => "INITIALIZING",
    }
}
