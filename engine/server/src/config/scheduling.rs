//! What of `[scheduler]` concerns single instances: their own numbers, and who shares bots.

use std::{collections::BTreeSet, time::Duration};

use berth_core::{InstanceName, Pools};
use serde::{Deserialize, Serialize};

use super::raw::{INSTANCE_EXPECTED, Problem, Raw, Scheduler, is_served_name};

/// `[scheduler.instances.NAME]`: what holds for one instance; what it does not say is that of `[scheduler]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Own {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) execution_timeout_max_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) queue_timeout_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) action_browser_url: Option<String>,
}

impl Own {
    pub(crate) fn for_api(&self) -> berth_api::Own {
        berth_api::Own {
            execution_timeout_max: self.execution_timeout_max_s.map(Duration::from_secs),
            queue_timeout: self.queue_timeout_s.map(Duration::from_secs),
            action_browser_url: self.action_browser_url.clone(),
        }
    }
}

/// As the engine wants them.
pub(super) fn pools(scheduler: &Scheduler) -> Pools {
    let pool = |pool: &Vec<String>| pool.iter().map(|name| InstanceName::from(name.as_str())).collect();
    Pools::new(scheduler.instance_pools.iter().map(pool))
}

/// Everything that cannot be used, with what would be accepted.
pub(super) fn problems(raw: &Raw) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut wrong = |key: String, value: String, expected: String| {
        problems.push(Problem { key: key.into(), value, expected });
    };
    let scheduler = &raw.scheduler;
    let urls = scheduler.instances.iter().map(|(name, own)| (format!("scheduler.instances.{name:?}"), own));
    let urls = urls.filter_map(|(key, own)| Some((key, own.action_browser_url.as_deref()?)));
    for (section, url) in urls.chain([("scheduler".to_owned(), scheduler.action_browser_url.as_str())]) {
        if !is_address(url) {
            let expected = "expected an address that begins with http:// or https://, or nothing";
            wrong(format!("{section}.action_browser_url"), format!("{url:?}"), expected.to_owned());
        }
    }
    let served = &raw.server.instances;
    for (name, own) in &scheduler.instances {
        let mut range = |key: &str, value: Option<u64>, least: u64, most: u64| {
            if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
                let expected = format!("expected a whole number from {least} to {most}");
                wrong(format!("scheduler.instances.{name:?}.{key}"), value.to_string(), expected);
            }
        };
        range("execution_timeout_max_s", own.execution_timeout_max_s, 1, 4_000_000);
        range("queue_timeout_s", own.queue_timeout_s, 0, 4_000_000);
        if !served.contains(name) {
            let expected = format!("expected a name of server.instances: {}", served.join(", "));
            wrong("scheduler.instances".to_owned(), format!("{name:?}"), expected);
        }
    }
    let mut seen = BTreeSet::new();
    for name in scheduler.instance_pools.iter().flatten() {
        if !is_served_name(name) {
            wrong("scheduler.instance_pools".to_owned(), format!("{name:?}"), INSTANCE_EXPECTED.to_owned());
        } else if !seen.insert(name) {
            let expected = "expected each instance in one pool, and once".to_owned();
            wrong("scheduler.instance_pools".to_owned(), format!("{name:?}"), expected);
        }
    }
    problems
}

fn is_address(url: &str) -> bool {
    let begins = ["http://", "https://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme));
    url.is_empty() || begins && url.chars().all(|c| !c.is_whitespace() && !c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_names_its_key_and_what_would_be_accepted() {
        let text = r#"
            server.instances = ["main", ""]
            [scheduler]
            action_browser_url = "browser"
            instance_pools = [["main", ""], ["main", "a b"]]
            [scheduler.instances.main]
            queue_timeout_s = 0
            execution_timeout_max_s = 0
            [scheduler.instances.other]
            action_browser_url = "https://browser"
        "#;
        let problems = problems(&Raw::parse(text).unwrap());
        let shown: Vec<_> = problems.iter().map(ToString::to_string).collect();
        for part in [
            "scheduler.action_browser_url = \"browser\": expected an address that begins with http://",
            "scheduler.instances.\"main\".execution_timeout_max_s = 0: expected a whole number from 1",
            "scheduler.instances = \"other\": expected a name of server.instances: main",
            "scheduler.instance_pools = \"main\": expected each instance in one pool",
            "scheduler.instance_pools = \"a b\": an instance name has",
        ] {
            assert!(shown.iter().any(|problem| problem.starts_with(part)), "{part} in {shown:#?}");
        }
        assert_eq!(shown.len(), 5, "{shown:#?}");
    }
}
