//! The bundled policy that keeps books: what each tenant asked for and used, counted exactly once.
//!
//! The example of state that survives everything: what `on_events` writes to `kv` is kept together with the note that
//! its events were handled. README.md documents keys and values.

mod config;
mod rule;
mod usage;
mod work;

use berth_policy_sdk::events::Event;
use berth_policy_sdk::{About, Events, config, export_policy, kv};

struct Audit;

impl Events for Audit {
    fn on_events(events: Vec<Event>) -> Result<(), String> {
        let changed = rule::count(config(), &events, kv::get_json, kv::get_json)?;
        for (key, row) in &changed.rows {
            kv::set_json(key, row)?;
        }
        for (key, row) in &changed.work {
            kv::set_json(key, row)?;
        }
        for (key, by) in changed.counters {
            kv::add(key, by)?;
        }
        kv::set_json(rule::SEQUENCE, &changed.sequence)?;
        Ok(())
    }
}

impl About for Audit {
    const CONFIG_SCHEMA: &str = include_str!("../config.schema.json");
    const EXAMPLES: &str = include_str!("../cases.toml");
}

export_policy!(Audit: Events, About);

#[cfg(test)]
mod tests;

#[cfg(test)]
mod cases {
    use berth_policy_sdk::About;

    #[test]
    fn it_answers_as_its_cases_say() {
        berth_policy_sdk::run_cases!(super::Audit, super::Audit::EXAMPLES);
    }
}
