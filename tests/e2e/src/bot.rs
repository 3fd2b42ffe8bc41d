//! A bot that executes nothing: it speaks the protocol, and a test decides what becomes of its leases.

use std::time::Duration;

use berth_proto::{
    any,
    bots::{
        BotSession, BotStatus, CreateBotSessionRequest, Device, Lease, LeaseState, UpdateBotSessionRequest, Worker,
        bots_client::BotsClient, device, worker,
    },
    reapi::{Action, ActionResult},
    rpc,
};
use tonic::{Request, Status, transport::Channel};

use crate::{
    client::INSTANCE,
    wait::{LONG, within},
};

/// A bot's side of its session. Outlives the server.
#[derive(Clone, Debug)]
pub struct Bot {
    client: BotsClient<Channel>,
    /// As it will be sent next.
    pub session: BotSession,
}

impl Bot {
    /// A bot that offers `OSFamily=linux`, and that wants to be held even when all its slots are taken.
    pub fn new(channel: Channel, bot_id: &str, slots: u32) -> Self {
        let config = |key: &str, value: String| worker::Config { key: key.into(), value };
        let property = device::Property { key: "OSFamily".into(), value: "linux".into() };
        let device = Device { handle: bot_id.into(), properties: vec![property] };
        let configs = vec![config("capacity", slots.to_string()), config("hold-when-full", "true".into())];
        let session = BotSession {
            bot_id: bot_id.into(),
            status: BotStatus::Ok as i32,
            worker: Some(Worker { devices: vec![device], configs, ..Worker::default() }),
            ..BotSession::default()
        };
        Self { client: BotsClient::new(channel), session }
    }

    /// Goes on over another connection, with the session and the leases that it has.
    pub fn reconnect(&mut self, channel: Channel) {
        self.client = BotsClient::new(channel);
    }

    /// Forgets its session and its leases, as a bot does that was killed.
    pub fn forget(&mut self) {
        self.session.name.clear();
        self.session.leases.clear();
    }

    /// Opens a session.
    pub async fn open(&mut self, deadline: Duration) -> Result<(), Status> {
        let session = Some(self.session.clone());
        let mut request = Request::new(CreateBotSessionRequest { parent: INSTANCE.into(), bot_session: session });
        request.set_timeout(deadline);
        self.session = self.client.create_bot_session(request).await?.into_inner();
        Ok(())
    }

    /// Reports, and asks for work; the answer is the new state of the session.
    pub async fn update(&mut self, deadline: Duration) -> Result<(), Status> {
        let mut request = Request::new(UpdateBotSessionRequest {
            name: self.session.name.clone(),
            bot_session: Some(self.session.clone()),
            update_mask: None,
        });
        request.set_timeout(deadline);
        self.session = self.client.update_bot_session(request).await?.into_inner();
        Ok(())
    }

    /// Waits until it holds a lease; says hello first if it has not.
    ///
    /// # Panics
    /// If the server refuses, or gives it nothing.
    pub async fn take(&mut self) -> Lease {
        let take = async {
            if self.session.name.is_empty() {
                self.open(LONG).await.expect("a session is opened");
            }
            while self.session.leases.is_empty() {
                self.update(LONG).await.expect("an update is answered");
            }
            self.session.leases[0].clone()
        };
        within("a lease", take).await
    }

    /// Reports every lease as done, each with a result that names it, and waits until the server has heard it.
    ///
    /// # Panics
    /// If the server refuses.
    pub async fn finish(&mut self) {
        self.session.leases.iter_mut().for_each(succeed);
        // A deadline that gives the answer soon, even if there is no work.
        self.update(Duration::from_secs(1)).await.expect("a report is answered");
    }

    /// Finishes whatever it gets, at once, for ever; calls for each lease that it gets.
    ///
    /// # Panics
    /// If the server refuses.
    pub async fn serve(mut self, mut each: impl FnMut(&Lease)) {
        self.open(LONG).await.expect("a session is opened");
        loop {
            // Each was reported in the update before, so each that is in an answer is new.
            self.session.leases.iter_mut().for_each(|lease| {
                each(lease);
                succeed(lease);
            });
            self.update(LONG).await.expect("an update is answered");
        }
    }
}

/// The salt of the action in a lease.
///
/// # Panics
/// If it carries none.
pub fn salt(lease: &Lease) -> String {
    let payload = lease.payload.as_ref().expect("a lease has a payload");
    let action: Action = any::unpack(payload).expect("it is an Action");
    String::from_utf8(action.salt.to_vec()).expect("tests salt with text")
}

/// The action ran; what it wrote is the id of the lease, so that no two runs have the same result.
pub fn succeed(lease: &mut Lease) {
    let stdout_raw = lease.id.clone().into_bytes().into();
    complete(lease, Some(ActionResult { stdout_raw, ..ActionResult::default() }), 0);
}

/// The lease is over: with a result, or with the code of a failure.
pub fn complete(lease: &mut Lease, result: Option<ActionResult>, code: i32) {
    lease.state = LeaseState::Completed as i32;
    lease.result = result.map(|result| any::pack(&result));
    lease.status = Some(rpc::Status { code, message: "as the bot says".into(), details: Vec::new() });
}
