//! `!sql-scheduler`: the rules' numbers. Berth has one scheduler; what can differ by instance is written so where there
//! are several.

use std::rc::Rc;

use toml::{Table, Value};

use super::{
    Import,
    yaml::{Entry, Node},
};

const SCHEDULER: &str = "!sql-scheduler";
const SESSION_TIMEOUT: &str = "session_timeout_s";

/// Whom a scheduler serves.
pub(super) enum Scope {
    /// It is the only one.
    Everywhere,
    /// There are others beside it.
    Instances(Vec<String>),
    /// No service names it.
    Nobody,
}

impl Import {
    pub(super) fn scheduler(&mut self, node: &Rc<Node>, scope: &Scope) {
        if !self.is_new(node) {
            return;
        }
        if matches!(scope, Scope::Nobody) {
            return self.whole(node, "no service uses it");
        }
        for entry in node.entries() {
            self.of_scheduler(entry, scope);
        }
        self.defaults(node);
        self.property_set(node, scope);
    }

    fn of_scheduler(&mut self, entry: &Entry, scope: &Scope) {
        match entry.key.as_str() {
            "storage" => {
                self.storage(&entry.node, false);
                self.refer(SCHEDULER, entry);
            }
            "action-cache" => {
                self.cache(&entry.node);
                self.refer(SCHEDULER, entry);
            }
            // Read together, as a property set.
            "property-set" | "property-keys" | "wildcard-property-keys" => {}
            "pruner-job-max-age" => self.retention(entry),
            "queue-timeout-job-max-age" => match period_s(&entry.node) {
                Some(seconds) => self.set_for(SCHEDULER, entry, scope, "queue_timeout_s", seconds.into(), ""),
                None => self.odd(SCHEDULER, entry, PERIOD),
            },
            "queue-timeout-configs" => self.each(&entry.node, |import, node| import.queue_timeout(node, scope)),
            "max-execution-timeout" => match entry.node.number().and_then(|number| i64::try_from(number).ok()) {
                Some(seconds) => self.set_for(SCHEDULER, entry, scope, "execution_timeout_max_s", seconds.into(), ""),
                None => self.odd(SCHEDULER, entry, "a number"),
            },
            "bot-session-keepalive-timeout" => self.set_number(SCHEDULER, entry, &["scheduler", SESSION_TIMEOUT]),
            "max-job-attempts" => self.set_number(SCHEDULER, entry, &["scheduler", "attempts_max"]),
            "action-browser-url" => match entry.node.text() {
                Some(url) => self.set_for(SCHEDULER, entry, scope, "action_browser_url", url.into(), ""),
                None => self.odd(SCHEDULER, entry, "an address"),
            },
            "instanced-browser-urls" => self.each(&entry.node, Self::browser_url),
            "max-queue-size" => self.queue_size(entry, scope),
            "instanced-queue-size" => self.each(&entry.node, Self::queue_size_of),
            "instance-pools" => self.pools(entry),
            "cohort-set" => self.cohorts(entry),
            "eviction-cooldown-seconds" => self.set_number(SCHEDULER, entry, &["scheduler", "eviction_cool_down_s"]),
            "assigners" => self.each(&entry.node, Self::assigner),
            "priority-assignment-percentage" => self.percentage(SCHEDULER, entry),
            "bot-locality-hint-limit" => {
                self.changed(SCHEDULER, entry, "", "the last 16 keys of a bot count, hints included");
            }
            "proactive-fetch-to-capacity" | "proactive-fetch-full-queue" => match entry.node.truth() {
                Some(true) => {
                    self.kept(SCHEDULER, entry, "it is: a bot that reports gets its next jobs in the same answer")
                }
                _ => self.changed(SCHEDULER, entry, "", "a bot that reports gets its next jobs in the same answer"),
            },
            _ => self.other(SCHEDULER, entry),
        }
    }

    /// Where the file says nothing and the two programs differ.
    fn defaults(&mut self, node: &Node) {
        if node.get("bot-session-keepalive-timeout").is_none() {
            let because = "what a silent bot held is tried again sooner than after BuildGrid's 600 s";
            self.unsaid(node, "bot-session-keepalive-timeout", "45 s", because);
        }
        if node.get("pruner-job-max-age").is_none() {
            let because = "BuildGrid would keep finished jobs for ever; store.finished_h sets it";
            self.unsaid(node, "pruner-job-max-age", "24 h", because);
        }
    }

    /// A key that instances may have for themselves.
    fn set_for(&mut self, kind: &str, entry: &Entry, scope: &Scope, key: &str, value: Value, because: &str) {
        match scope {
            Scope::Everywhere | Scope::Nobody => self.set(kind, entry, &["scheduler", key], value, because),
            Scope::Instances(names) => self.set_instances(kind, entry, names, key, &value, because),
        }
    }

    fn set_instances(&mut self, kind: &str, entry: &Entry, names: &[String], key: &str, value: &Value, because: &str) {
        for name in names {
            self.set(kind, entry, &["scheduler", "instances", name, key], value.clone(), because);
        }
    }

    fn retention(&mut self, entry: &Entry) {
        let Some(seconds) = period_s(&entry.node) else { return self.odd(SCHEDULER, entry, PERIOD) };
        let hours = (seconds + 3_599) / 3_600;
        let because = if hours * 3_600 == seconds { "" } else { "it is kept for whole hours" };
        self.set(SCHEDULER, entry, &["store", "finished_h"], hours.max(1), because);
    }

    fn queue_timeout(&mut self, node: &Rc<Node>, scope: &Scope) {
        const THREAD: &str = "!queue-timeout-thread";
        let names = node.get("instance-names").and_then(|names| names.texts());
        for entry in node.entries() {
            match (entry.key.as_str(), &names) {
                ("job-max-age", names) => match (period_s(&entry.node), names) {
                    (Some(seconds), Some(names)) => {
                        self.set_instances(THREAD, entry, names, "queue_timeout_s", &seconds.into(), "");
                    }
                    (Some(seconds), None) => self.set_for(THREAD, entry, scope, "queue_timeout_s", seconds.into(), ""),
                    (None, _) => self.odd(THREAD, entry, PERIOD),
                },
                ("instance-names", Some(_)) => self.changed(
                    THREAD,
                    entry,
                    "what its instances wait at most",
                    "BuildGrid reads the names and ends jobs of all instances",
                ),
                _ => self.other(THREAD, entry),
            }
        }
    }

    fn browser_url(&mut self, node: &Rc<Node>) {
        const KIND: &str = "instanced-browser-urls";
        let names = node.get("instance-names").and_then(|names| names.texts()).unwrap_or_default();
        for entry in node.entries() {
            match (entry.key.as_str(), entry.node.text()) {
                ("url", Some(url)) => self.set_instances(KIND, entry, &names, "action_browser_url", &url.into(), ""),
                ("url", None) => self.odd(KIND, entry, "an address"),
                ("instance-names", _) => {}
                _ => self.other(KIND, entry),
            }
        }
    }

    fn cohorts(&mut self, entry: &Entry) {
        let cohorts = entry.node.get("cohorts").map(Node::items).unwrap_or_default();
        let cohort = |cohort: &Rc<Node>| {
            let (name, labels) = (cohort.get("name")?.text()?, cohort.get("property-labels")?.texts()?);
            Some(Table::from_iter([("name".to_owned(), name.into()), ("labels".to_owned(), labels.into())]))
        };
        match cohorts.iter().map(cohort).collect::<Option<Vec<_>>>() {
            Some(cohorts) if !cohorts.is_empty() => {
                for cohort in cohorts {
                    self.draft.push(&["scheduler", "cohorts"], Value::Table(cohort));
                }
                self.kept(SCHEDULER, entry, "scheduler.cohorts; quotas are set with `berth quota set`");
            }
            _ => self.odd(SCHEDULER, entry, "a set of cohorts, each with name and property-labels"),
        }
    }

    /// How long a job waits before others give way: one time for all cohorts.
    pub(super) fn preemption_delay(&mut self, kind: &str, entry: &Entry) {
        match entry.node.text().and_then(|text| text.parse::<f64>().ok()).filter(|delay| (0.0..1e9).contains(delay)) {
            Some(delay) => self.set(kind, entry, &["scheduler", "preemption_delay_s"], delay.ceil() as i64, ""),
            None => self.odd(kind, entry, "a number of seconds"),
        }
    }

    fn pools(&mut self, entry: &Entry) {
        let pools: Option<Vec<Value>> = entry
            .node
            .items()
            .iter()
            .map(|pool| Some(Value::Array(pool.texts()?.into_iter().map(Value::String).collect())))
            .collect();
        match pools {
            Some(pools) => {
                let because = "bots are shared, while each instance has its own operations and action results";
                self.set(SCHEDULER, entry, &["scheduler", "instance_pools"], Value::Array(pools), because);
            }
            None => self.odd(SCHEDULER, entry, "a list of lists of instance names"),
        }
    }
}

const PERIOD: &str = "a period such as {days: 1, hours: 2}";

/// A time as BuildGrid writes it: units and how many of each. Part of a second counts as one.
fn period_s(node: &Node) -> Option<i64> {
    let mut seconds = 0.0;
    for entry in node.entries() {
        let unit = match entry.key.as_str() {
            "weeks" => 604_800.0,
            "days" => 86_400.0,
            "hours" => 3_600.0,
            "minutes" => 60.0,
            "seconds" => 1.0,
            "milliseconds" => 0.001,
            "microseconds" => 0.000_001,
            _ => return None,
        };
        seconds += unit * entry.node.text()?.parse::<f64>().ok()?;
    }
    (seconds > 0.0 && seconds < 4e9).then(|| seconds.ceil() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_sums_of_their_units() {
        let period = |text: &str| period_s(&Node::parse(text).unwrap());
        assert_eq!(period("{days: 1, hours: 2, seconds: 3}"), Some(93_603));
        assert_eq!(period("{minutes: 0.5, milliseconds: 1}"), Some(31));
        for none in ["{years: 1}", "{days: soon}", "{days: -1}", "{}", "60"] {
            assert_eq!(period(none), None, "{none}");
        }
    }
}
