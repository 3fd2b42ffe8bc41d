//! Who goes where and who goes first: property sets, assigners and queue sizes, which are plugins' in Berth.

use std::rc::Rc;

use toml::{Table, Value};

use super::{
    Import, Outcome,
    scheduler::Scope,
    without,
    yaml::{Entry, Node},
};

const ROLES: [&str; 3] = ["policy", "instances", "*"];
const SETS: [&str; 3] = ["plugins", "property-sets", "config"];
const QUOTA: [&str; 4] = ["plugins", "quota", "config", "label"];

impl Import {
    /// The answer to what a job needs and a bot offers. A scheduler without one has BuildGrid's default.
    pub(super) fn property_set(&mut self, node: &Rc<Node>, scope: &Scope) {
        self.role("properties", "property-sets");
        if self.draft.get(&[&ROLES[..], &["rank"]].concat()).is_none() {
            self.role("rank", "reapi-priority");
        }
        let given = node.entries().iter().find(|entry| entry.key == "property-set");
        let set = match given {
            Some(entry) => self.one_set(&entry.node),
            None => self.old_keys(node),
        };
        match scope {
            Scope::Everywhere | Scope::Nobody => {
                if !set.is_empty() {
                    self.draft.replace(&SETS, Value::Table(set));
                }
            }
            Scope::Instances(names) => self.sets_of(names, set),
        }
    }

    /// Of several schedulers each has a set for its instances.
    fn sets_of(&mut self, names: &[String], set: Table) {
        let path = [&SETS[..], &["instanced-property-set", "sets"]].concat();
        match set.get("instanced-property-set").and_then(|inner| inner.get("sets")) {
            Some(Value::Array(sets)) => sets.iter().for_each(|set| self.draft.push(&path, set.clone())),
            _ => {
                let names = names.iter().cloned().map(Value::String).collect();
                let one = [("instances".to_owned(), Value::Array(names)), ("set".to_owned(), Value::Table(set))];
                self.draft.push(&path, Value::Table(Table::from_iter(one)));
            }
        }
    }

    /// A set with its tag as the name of its table, as the plugin reads it.
    fn one_set(&mut self, node: &Rc<Node>) -> Table {
        let kind = node.tag.clone().unwrap_or_default();
        let name = kind.trim_start_matches('!').to_owned();
        let mut keys = Table::new();
        for entry in node.entries() {
            let value = match (name.as_str(), entry.key.as_str()) {
                ("dynamic-property-set", "label-key") => entry.node.text().map(Value::from),
                ("dynamic-property-set" | "static-property-set", key) if key.ends_with("-property-keys") => {
                    entry.node.texts().map(Value::from)
                }
                ("static-property-set", "property-labels") => labels(&entry.node),
                ("instanced-property-set", "sets") => {
                    let sets = entry.node.items().iter().map(|set| self.instanced(set)).collect();
                    keys.insert("sets".to_owned(), Value::Array(sets));
                    continue;
                }
                _ => {
                    self.other(&kind, entry);
                    continue;
                }
            };
            match value {
                Some(value) => {
                    self.kept(&kind, entry, format!("{} of the plugin property-sets", entry.key));
                    keys.insert(entry.key.clone(), value);
                }
                None => self.odd(&kind, entry, "what BuildGrid's documentation names"),
            }
        }
        Table::from_iter([(name, Value::Table(keys))])
    }

    fn instanced(&mut self, node: &Rc<Node>) -> Value {
        let names = node.get("instances").and_then(|names| names.texts()).unwrap_or_default();
        let set = node.get("set").map(|set| self.one_set(set)).unwrap_or_default();
        let names = Value::Array(names.into_iter().map(Value::String).collect());
        Value::Table(Table::from_iter([("instances".to_owned(), names), ("set".to_owned(), Value::Table(set))]))
    }

    /// Older files name the keys in the scheduler itself.
    fn old_keys(&mut self, node: &Rc<Node>) -> Table {
        let mut keys = Table::new();
        for entry in node.entries() {
            let key = match entry.key.as_str() {
                "property-keys" => "match-property-keys",
                "wildcard-property-keys" => "wildcard-property-keys",
                _ => continue,
            };
            match entry.node.texts() {
                Some(texts) => {
                    self.kept("!sql-scheduler", entry, format!("{key} of the plugin property-sets"));
                    keys.insert(key.to_owned(), texts.into());
                }
                None => self.odd("!sql-scheduler", entry, "a list of keys"),
            }
        }
        let set = |keys| Table::from_iter([("dynamic-property-set".to_owned(), Value::Table(keys))]);
        Some(keys).filter(|keys| !keys.is_empty()).map(set).unwrap_or_default()
    }

    pub(super) fn assigner(&mut self, node: &Rc<Node>) {
        let kind = node.tag.clone().unwrap_or_default();
        if let Some(because) = without::reason(&kind, "*") {
            return self.whole(node, because);
        }
        for entry in node.entries() {
            match entry.key.as_str() {
                "priority-assignment-percentage" => self.percentage(&kind, entry),
                "bot-assignment-strategy" => self.strategy(&entry.node),
                "preemption-delay" => self.preemption_delay(&kind, entry),
                "cohort-set" => {
                    let because = "an instance without a quota is not held back, where BuildGrid never serves it";
                    self.changed(&kind, entry, "every cohort is served", because);
                }
                _ => self.other(&kind, entry),
            }
        }
    }

    /// Of a hundred assignments so many go by priority, the others by age.
    pub(super) fn percentage(&mut self, kind: &str, entry: &Entry) {
        let Some(percentage) = entry.node.number().filter(|number| *number <= 100) else {
            return self.odd(kind, entry, "a number from 0 to 100");
        };
        if percentage == 100 {
            return self.kept(kind, entry, "it is: by priority, then by age");
        }
        let config = ["plugins", "priority-age", "config"];
        // BuildGrid's percentage alone, without the aging that the plugin has by default.
        self.draft.replace(&[&config[..], &["aging-ms"]].concat(), 0.into());
        let path = [&config[..], &["priority-assignment-percentage"]].concat();
        self.set(kind, entry, &path, percentage as i64, "");
        for role in ["rank", "lane", "choose"] {
            self.role(role, "priority-age");
        }
    }

    fn strategy(&mut self, node: &Rc<Node>) {
        let sampling = node.get("sampling");
        let Some(sampling) = sampling else {
            let at = (node.line, node.tag.clone().unwrap_or_default());
            return self.note(
                at,
                Outcome::Kept,
                "it is: of bots that wait, the one that has waited longest".into(),
                "",
            );
        };
        for entry in sampling.entries() {
            match entry.key.as_str() {
                "weights" => {
                    for weight in entry.node.entries() {
                        self.weight(weight);
                    }
                }
                _ => self.other("!sampling-config", entry),
            }
        }
    }

    fn weight(&mut self, entry: &Entry) {
        const WEIGHTS: &str = "!sampling-weights";
        match (entry.key.as_str(), entry.node.text().and_then(|text| text.parse::<f64>().ok())) {
            ("locality", Some(weight)) if weight > 0.0 => {
                let config = ["plugins", "affinity", "config"];
                for (kind, weight) in [("locality-hint", 8), ("target", 0), ("package", 0)] {
                    self.draft.replace(&[&config[..], &[kind, "weight"]].concat(), weight.into());
                }
                self.role("affinity", "affinity");
                let because =
                    "bots are compared by what they served first, then by their priority; nothing is added up";
                self.changed(WEIGHTS, entry, "locality-hint of the plugin affinity", because);
            }
            ("locality", Some(_)) => self.kept(WEIGHTS, entry, "it is: hints do not count"),
            _ => self.other(WEIGHTS, entry),
        }
    }

    /// How many jobs of a label may be queued.
    pub(super) fn queue_size(&mut self, entry: &Entry, scope: &Scope) {
        match scope {
            Scope::Everywhere | Scope::Nobody => {
                self.set_number("!sql-scheduler", entry, &[&QUOTA[..], &["max-queued"]].concat());
                if self.draft.get(&QUOTA).is_some() {
                    self.role("limits", "quota");
                }
            }
            Scope::Instances(names) => self.queue_size_for("!sql-scheduler", entry, names),
        }
    }

    pub(super) fn queue_size_of(&mut self, node: &Rc<Node>) {
        const KIND: &str = "instanced-queue-size";
        let names = node.get("instance-names").and_then(|names| names.texts()).unwrap_or_default();
        for entry in node.entries() {
            match entry.key.as_str() {
                "max-size" => self.queue_size_for(KIND, entry, &names),
                "instance-names" => {}
                _ => self.other(KIND, entry),
            }
        }
    }

    fn queue_size_for(&mut self, kind: &str, entry: &Entry, names: &[String]) {
        let Some(most) = entry.node.number().and_then(|most| i64::try_from(most).ok()) else {
            return self.odd(kind, entry, "a number");
        };
        for name in names {
            let one =
                [("instance".to_owned(), Value::from(name.as_str())), ("max-queued".to_owned(), Value::from(most))];
            self.draft.push(&[&QUOTA[..], &["override"]].concat(), Value::Table(Table::from_iter(one)));
        }
        self.role("limits", "quota");
        self.kept(kind, entry, format!("max-queued = {most} of the plugin quota for {names:?}"));
    }

    fn role(&mut self, role: &str, plugin: &str) {
        self.draft.replace(&[&ROLES[..], &[role]].concat(), plugin.into());
    }
}

/// `property-labels`, in their order.
fn labels(node: &Rc<Node>) -> Option<Value> {
    let label = |node: &Rc<Node>| {
        let pairs = match node.get("properties") {
            Some(pairs) => pairs.items().iter().map(|pair| Some(Value::from(pair.texts()?))).collect::<Option<_>>()?,
            None => Vec::new(),
        };
        let label = node.get("label")?.text()?;
        let keys = [("label".to_owned(), label.into()), ("properties".to_owned(), Value::Array(pairs))];
        Some(Value::Table(Table::from_iter(keys)))
    };
    node.items().iter().map(label).collect::<Option<Vec<_>>>().map(Value::Array)
}
