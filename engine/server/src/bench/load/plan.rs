//! What the generator is told.

use std::time::Duration;

use clap::{Args, Parser};

#[derive(Args, Clone, Debug)]
pub(crate) struct Plan {
    /// Instance name to use
    #[arg(long, value_name = "NAME", default_value = "main")]
    pub(crate) instance: String,
    /// Jobs to measure; a tenth more go before the clock starts
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pub(crate) jobs: u64,
    /// Clients: each waits for its job before it sends the next
    #[arg(long, value_name = "C", default_value_t = 512)]
    pub(crate) clients: usize,
    /// Connections, shared by clients and bots
    #[arg(long, value_name = "K", default_value_t = 16)]
    pub(crate) connections: usize,
    /// Bots
    #[arg(long, value_name = "B", default_value_t = 256)]
    pub(crate) bots: usize,
    /// Leases that a bot takes at a time
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) slots: u32,
    /// Distinct platforms among the jobs, by further properties pool0, pool1, ...; every bot serves them all [default: 1,
    /// or 1000 for `wasm`]
    #[arg(long, value_name = "P")]
    pub(crate) platforms: Option<u64>,
    /// Jobs until the clients name a new tool invocation
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) invocation_every: u64,
    /// Platform property of every job and bot, as KEY=VALUE; may be given several times
    #[arg(long = "property", value_name = "K=V", value_parser = crate::cli::parse_property, default_value = "OSFamily=linux")]
    pub(crate) properties: Vec<(String, String)>,
    /// Between two jobs of a client.
    #[arg(skip)]
    pub(crate) pause: Duration,
}

impl Default for Plan {
    /// As the command line has it.
    fn default() -> Self {
        #[derive(Parser)]
        struct Line {
            #[command(flatten)]
            plan: Plan,
        }
        Line::parse_from(["load"]).plan
    }
}

impl Plan {
    /// Jobs before the clock starts.
    pub(super) fn warm(&self) -> u64 {
        self.jobs / 10
    }

    /// All jobs: those behind the last measured one keep the server as busy as it was.
    pub(super) fn total(&self) -> u64 {
        self.warm() + self.jobs + self.clients as u64
    }

    fn digits(&self) -> u32 {
        let distinct = self.platforms.unwrap_or(1).max(1);
        if distinct == 1 { 0 } else { (distinct - 1).ilog10() + 1 }
    }

    /// What a job asks for, in order of names and values. The number of its platform in decimal, a property a digit:
    /// so that a bot needs ten properties a digit and not one a platform.
    pub(super) fn platform(&self, job: u64) -> Vec<(String, String)> {
        let mut number = job % self.platforms.unwrap_or(1).max(1);
        let mut all = self.properties.clone();
        for digit in 0..self.digits() {
            all.push((format!("pool{digit}"), (number % 10).to_string()));
            number /= 10;
        }
        all.sort();
        all
    }

    /// What a bot offers.
    pub(super) fn offer(&self) -> Vec<(String, String)> {
        let pools =
            (0..self.digits()).flat_map(|digit| (0..10).map(move |value| (format!("pool{digit}"), value.to_string())));
        self.properties.iter().cloned().chain(pools).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_platform_is_distinct_and_every_bot_serves_all() {
        let plan = Plan { platforms: Some(1_000), ..Plan::default() };
        let platforms: BTreeSet<_> = (0..3_000).map(|job| plan.platform(job)).collect();
        assert_eq!(platforms.len(), 1_000);
        let offer: BTreeSet<_> = plan.offer().into_iter().collect();
        assert!(platforms.iter().flatten().all(|property| offer.contains(property)));
        assert_eq!(Plan::default().platform(7), Plan::default().offer());
    }
}
