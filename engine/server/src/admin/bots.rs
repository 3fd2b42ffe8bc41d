//! `berth bots`.

use std::process::ExitCode;

use berth_proto::admin::{
    Bot, DrainBotRequest, KickBotRequest, ListBotsRequest, ReleaseBotRequest, bots_client::BotsClient,
};
use serde_json::{Value, json};

use super::{ago, answer, ask, pairs, rfc3339, table};
use crate::cli::{BotsArgs, BotsCommand};

pub(crate) fn run(args: BotsArgs) -> anyhow::Result<ExitCode> {
    let as_json = args.remote.json;
    ask(&args.remote.server, async |channel| {
        let mut client = BotsClient::new(channel).max_decoding_message_size(256 << 20);
        match args.command {
            BotsCommand::List { instance } => {
                let bots = answer(client.list_bots(ListBotsRequest { instance }).await)?.bots;
                if as_json {
                    outln!("{}", json!({ "bots": bots.iter().map(to_json).collect::<Vec<_>>() }));
                } else if bots.is_empty() {
                    outln!("no bot has an open session; start one with `berth bot --server {}`", args.remote.server);
                } else {
                    let header = ["BOT", "INSTANCE", "STATUS", "BUSY", "HEARD OF", "OFFERS"];
                    table::print(&header, bots.iter().map(row).collect());
                }
            }
            BotsCommand::Drain { bot_id, instance, undo } => {
                let request = DrainBotRequest { instance, bot_id: bot_id.clone(), undo };
                let leases = answer(client.drain_bot(request).await)?.leases;
                if as_json {
                    outln!("{}", json!({ "bot_id": bot_id, "drained": !undo, "leases": leases }));
                } else if undo {
                    outln!("{bot_id} takes work again");
                } else {
                    outln!("{bot_id} gets no new work; {leases} leases still run");
                }
            }
            BotsCommand::Kick { bot_id, instance } => {
                let request = KickBotRequest { instance, bot_id: bot_id.clone() };
                let leases = answer(client.kick_bot(request).await)?.leases;
                if as_json {
                    outln!("{}", json!({ "bot_id": bot_id, "leases": leases }));
                } else {
                    outln!("the session of {bot_id} is over; {leases} jobs of it wait again");
                }
            }
            BotsCommand::Release { bot_id, instance } => {
                let request = ReleaseBotRequest { instance, bot_id: bot_id.clone() };
                answer(client.release_bot(request).await)?;
                if as_json {
                    outln!("{}", json!({ "bot_id": bot_id, "quarantined": false }));
                } else {
                    outln!("{bot_id} is in no quarantine");
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn row(bot: &Bot) -> Vec<String> {
    let mut status = bot.status.clone();
    if bot.drained {
        status.push_str(", drained");
    }
    if let Some(until) = &bot.quarantined_until {
        status.push_str(&format!(", quarantined until {until}"));
    }
    let heard = if bot.asking { "asks now".to_owned() } else { format!("{} ago", ago(bot.last_contact.as_ref())) };
    vec![
        bot.bot_id.clone(),
        bot.instance.clone(),
        status,
        format!("{}/{}", bot.leases.len() + bot.ghosts as usize, bot.slots),
        heard,
        pairs(&bot.properties),
    ]
}

fn to_json(bot: &Bot) -> Value {
    json!({
        "session": bot.session,
        "bot_id": bot.bot_id,
        "instance": bot.instance,
        "status": bot.status,
        "drained": bot.drained,
        "slots": bot.slots,
        "leases": bot.leases,
        "ghosts": bot.ghosts,
        "asking": bot.asking,
        "properties": bot.properties.iter().map(|p| json!({ "name": p.name, "value": p.value })).collect::<Vec<_>>(),
        "opened_at": rfc3339(bot.opened_at.as_ref()),
        "last_contact": rfc3339(bot.last_contact.as_ref()),
        "quarantined_until": rfc3339(bot.quarantined_until.as_ref()),
        "keys": bot.keys,
    })
}
