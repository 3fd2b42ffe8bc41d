//! Bots of several natures. All outlive the server, and go on with their sessions and leases.

use std::{sync::Arc, time::Duration};

use berth_e2e::{Bot, Site, complete, succeed};
use berth_proto::bots::{Lease, LeaseState};
use rand::{RngExt, rngs::StdRng};
use tonic::{Code, Status};

use super::accounts::Accounts;

/// How a bot behaves.
#[derive(Clone, Copy)]
pub(super) struct Nature {
    slots: u32,
    /// How likely it is done with a lease when it gets round to reporting. 1: it answers at once.
    quick: f64,
    /// How likely an attempt fails.
    clumsy: f64,
    /// How likely it forgets everything, at each report.
    forgetful: f64,
}

pub(super) const NATURES: [Nature; 7] = [
    Nature { slots: 1, quick: 1.0, clumsy: 0.0, forgetful: 0.0 },
    Nature { slots: 1, quick: 1.0, clumsy: 0.0, forgetful: 0.0 },
    Nature { slots: 8, quick: 1.0, clumsy: 0.02, forgetful: 0.0 },
    Nature { slots: 1, quick: 0.3, clumsy: 0.0, forgetful: 0.0 },
    Nature { slots: 6, quick: 0.2, clumsy: 0.05, forgetful: 0.0 },
    Nature { slots: 4, quick: 0.5, clumsy: 0.0, forgetful: 0.02 },
    Nature { slots: 2, quick: 0.1, clumsy: 0.0, forgetful: 0.01 },
];

struct Life {
    number: u64,
    bot: Bot,
    nature: Nature,
    accounts: Arc<Accounts>,
    random: StdRng,
    /// Whether the last report may not have been heard.
    in_doubt: bool,
}

/// Works until it is aborted.
pub(super) async fn live(site: Arc<Site>, accounts: Arc<Accounts>, number: u64, nature: Nature, random: StdRng) {
    let bot = site.bot(&format!("bot-{number}"), nature.slots).await;
    let mut life = Life { number, bot, nature, accounts, random, in_doubt: false };
    loop {
        match life.round().await {
            Ok(()) => life.in_doubt = false,
            Err(status) if status.code() == Code::DataLoss => {
                life.accounts.wrong(format!("the session of bot {number} is gone: {status:?}"));
                life.forget();
            }
            Err(_) => {
                life.in_doubt = true;
                life.bot.reconnect(site.channel().await);
            }
        }
    }
}

impl Life {
    /// One call: what it sends, and what it makes of the answer.
    async fn round(&mut self) -> Result<(), Status> {
        if self.bot.session.name.is_empty() {
            self.bot.open(Duration::from_secs(5)).await?;
            self.absorb(&[]);
            return Ok(());
        }
        // Not with a report in doubt: its result may be in the action cache already, and then another attempt makes
        // a second result of the same action, which is as it should be, and not what the accounts look for.
        if !self.in_doubt && self.random.random_bool(self.nature.forgetful) {
            self.accounts.forgot();
            self.forget();
            return Ok(());
        }
        self.work();
        let sent = self.bot.session.leases.clone();
        let reports = sent.iter().filter(|lease| is_complete(lease)).count();
        if self.in_doubt && reports > 0 {
            self.accounts.resent();
        }
        // With something in hand it comes back soon, to report; the work of simulated bots is to let time pass.
        let busy = reports < sent.len();
        let patience = if busy { self.random.random_range(20..120) } else { 5_000 };
        self.bot.update(Duration::from_millis(patience)).await?;
        self.absorb(&sent);
        Ok(())
    }

    /// Finishes some of what it has.
    fn work(&mut self) {
        for lease in &mut self.bot.session.leases {
            if is_complete(lease) || !self.random.random_bool(self.nature.quick) {
                continue;
            }
            self.accounts.put_down(self.number, lease);
            if self.random.random_bool(self.nature.clumsy) {
                self.accounts.failed();
                complete(lease, None, Code::Internal as i32);
            } else {
                self.accounts.will_report(lease);
                succeed(lease);
            }
        }
    }

    /// What the answer says of what was sent, and what is new in it.
    fn absorb(&mut self, sent: &[Lease]) {
        for lease in sent {
            let listed = self.bot.session.leases.iter().any(|listed| listed.id == lease.id);
            if listed && is_complete(lease) {
                self.accounts.wrong(format!("{} was reported, and is given again", lease.id));
            } else if !listed && is_done_well(lease) {
                self.accounts.heard(lease);
            } else if !listed {
                self.accounts.put_down(self.number, lease);
            }
        }
        for lease in &self.bot.session.leases {
            if !sent.iter().any(|sent| sent.id == lease.id) {
                self.accounts.given(self.number, lease);
            }
        }
    }

    fn forget(&mut self) {
        for lease in &self.bot.session.leases {
            self.accounts.put_down(self.number, lease);
        }
        self.bot.forget();
    }
}

fn is_complete(lease: &Lease) -> bool {
    lease.state() == LeaseState::Completed
}

fn is_done_well(lease: &Lease) -> bool {
    is_complete(lease) && lease.status.as_ref().is_some_and(|status| status.code == 0)
}
