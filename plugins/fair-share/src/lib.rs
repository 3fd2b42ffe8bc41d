//! The bundled policy for fairness: bots are shared among tenants by weight, among the builds of a tenant evenly, and
//! within a build by REAPI's priority.
//!
//! Lanes are made in `place`, and chosen in `choose`; README.md tells what is fair and what is not.

mod choose;
mod config;
mod place;

use berth_policy_sdk::choosing::{Lanes, Worker};
use berth_policy_sdk::{About, Choosing, Jobs, Places, Priority, config, export_policy};

use crate::config::Config;

struct FairShare;

impl Priority for FairShare {
    fn place(jobs: Jobs) -> Places {
        place::place(config::<Config>(), &jobs)
    }
}

impl Choosing for FairShare {
    fn choose(_worker: Worker, lanes: Lanes, _truncated: bool) -> Option<u32> {
        choose::choose(&lanes)
    }
}

impl About for FairShare {
    const CONFIG_SCHEMA: &str = include_str!("../config.schema.json");
    const EXAMPLES: &str = include_str!("../cases.toml");
}

export_policy!(FairShare: Priority, Choosing, About);

#[cfg(test)]
mod tests;

#[cfg(test)]
mod cases {
    use berth_policy_sdk::About;

    #[test]
    fn it_answers_as_its_cases_say() {
        berth_policy_sdk::run_cases!(super::FairShare, super::FairShare::EXAMPLES);
    }
}
