//! What a bot is told: the leases as we see them. One that is missing is not the bot's any more.

use berth_core::LeaseId;
use berth_proto::{
    any::TYPE_URL_PREFIX,
    bots::{BotSession, Lease, LeaseState},
    reapi::Action,
};
use berth_runtime::Delivery;
use prost::Name;
use prost_types::Any;

use crate::{convert, error::Error, instances::Instance, names};

/// Answers with the bot's own message, changed where we know better. Until the answer is whole the delivery stays
/// open: whatever goes wrong before takes its offers back.
pub(super) async fn reply(
    instance: &Instance,
    mut session: BotSession,
    delivery: Delivery,
) -> Result<BotSession, Error> {
    let answer = delivery.answer();
    let mut brought = std::mem::take(&mut session.leases);
    for lease in &answer.leases {
        let listed = brought.iter().position(|brought| names::parse_lease(&brought.id) == Some(*lease));
        session.leases.push(match listed.map(|at| brought.swap_remove(at)) {
            // As the bot wrote it: it knows the payload, and bots compare ids as text.
            Some(listed) => Lease { state: LeaseState::Active as i32, ..listed },
            None => new_lease(instance, *lease).await?,
        });
    }
    session.name = names::session(&instance.name.0, answer.session);
    session.expire_time = Some(convert::timestamp(answer.expires));
    session.version = answer.version.to_string();
    delivery.delivered();
    Ok(session)
}

/// Sent as active from the start: bots expect it so, and nothing is gained by a further round.
async fn new_lease(instance: &Instance, id: LeaseId) -> Result<Lease, Error> {
    let body = instance.engine.history().body(id.job).await?.ok_or(Error::Broken("the body of a leased job"))?;
    let type_url = format!("{TYPE_URL_PREFIX}{}", Action::full_name());
    Ok(Lease {
        id: names::lease(&instance.name.0, id),
        payload: Some(Any { type_url, value: body.action.to_vec() }),
        state: LeaseState::Active as i32,
        ..Lease::default()
    })
}
