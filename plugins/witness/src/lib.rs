//! A consumer of the event feed that sees to it that no job is placed by a version that is not active at that time: for
//! tests of the swap. Not for use.
//!
//! It is told which version of `policy` names its lanes how, and keeps in `kv`: `active`, the version that has the role
//! `lane` now; `swaps`, `created` and `moved`, how often it heard of each; and `wrong/SEQUENCE` for each job that stands
//! in a lane of another version from that event on.

use std::collections::BTreeMap;

use berth_policy_sdk::events::{Change, Event};
use berth_policy_sdk::{About, Events, config, export_policy, kv};
use serde::Deserialize;

struct Witness;

/// The configuration.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// The policy whose versions are watched.
    policy: String,
    /// How a lane's name begins, and the version that names lanes so. The longest beginning counts.
    lanes: BTreeMap<String, String>,
}

/// What a call adds to the table.
#[derive(Default)]
struct Seen {
    active: String,
    swaps: u64,
    created: u64,
    moved: u64,
    wrong: Vec<(u64, String)>,
}

impl Seen {
    fn take(&mut self, config: &Config, event: &Event) {
        match &event.change {
            Change::PolicyChanged(changed) if changed.policy == config.policy && changed.role == "lane" => {
                self.active.clone_from(&changed.after);
                self.swaps += 1;
            }
            Change::JobCreated(job) => {
                self.created += 1;
                self.judge(config, event.sequence, &job.lane);
            }
            Change::JobPlaced(job) => {
                self.moved += 1;
                self.judge(config, event.sequence, &job.lane);
            }
            _ => (),
        }
    }

    fn judge(&mut self, config: &Config, sequence: u64, lane: &str) {
        let begins = config.lanes.iter().filter(|(beginning, _)| lane.starts_with(beginning.as_str()));
        let version = begins.max_by_key(|(beginning, _)| beginning.len()).map_or("", |(_, version)| version);
        if version != self.active {
            self.wrong.push((sequence, format!("lane {lane:?} is of {version:?}, and {:?} is active", self.active)));
        }
    }
}

impl Events for Witness {
    fn on_events(events: Vec<Event>) -> Result<(), String> {
        let config: &Config = config();
        let active = kv::get("active").unwrap_or_default();
        let mut seen =
            Seen { active: String::from_utf8(active).map_err(|error| error.to_string())?, ..Seen::default() };
        events.iter().for_each(|event| seen.take(config, event));
        kv::set("active", seen.active.as_bytes())?;
        for (key, by) in [("swaps", seen.swaps), ("created", seen.created), ("moved", seen.moved)] {
            kv::add(key, by)?;
        }
        for (sequence, what) in seen.wrong {
            kv::set(&format!("wrong/{sequence:020}"), what.as_bytes())?;
        }
        Ok(())
    }
}

impl About for Witness {
    const CONFIG_SCHEMA: &str = r#"{ "type": "object" }"#;
    const EXAMPLES: &str = include_str!("../cases.toml");
}

export_policy!(Witness: Events, About);

#[cfg(test)]
mod tests {
    use berth_policy_sdk::About;

    #[test]
    fn it_answers_as_its_cases_say() {
        berth_policy_sdk::run_cases!(super::Witness, super::Witness::EXAMPLES);
    }
}
