//! The file as a whole: doors, instances and their services.

use std::{net::SocketAddr, rc::Rc};

use anyhow::bail;

use super::{
    Import,
    scheduler::Scope,
    without,
    yaml::{Entry, Node},
};
use crate::config::raw::is_served_name;

const FILE: &str = "file";
const CHANNEL: &str = "!channel";

/// A service of some instances.
struct Service {
    instances: Vec<String>,
    node: Rc<Node>,
}

impl Import {
    pub(super) fn file(&mut self, root: &Rc<Node>) -> anyhow::Result<()> {
        let has = |key: &str| root.get(key).is_some();
        if !(has("server") && (has("instances") || has("services")) || has("cleanup")) {
            bail!(
                "this is no configuration of BuildGrid's server: expected a YAML mapping with the keys server and \
                 instances, or server and services"
            );
        }
        let instances = root.get("instances").map(|node| node.items()).unwrap_or_default();
        let mut services = Vec::new();
        for instance in instances {
            let names = instance.get("name").and_then(|name| name.texts()).unwrap_or_default();
            for service in instance.get("services").map(|node| node.items()).unwrap_or_default() {
                services.push(Service { instances: names.clone(), node: service.clone() });
            }
        }
        for service in root.get("services").map(|node| node.items()).unwrap_or_default() {
            services.push(Service { instances: Vec::new(), node: service.clone() });
        }
        // What the services use comes before what merely stands in lists: it says what the storage of the server is.
        self.storages_of(&services);
        self.schedulers_of(&services);
        for section in std::iter::once(root).chain(instances) {
            let kind = if Rc::ptr_eq(section, root) { FILE } else { "instance" };
            for entry in section.entries() {
                self.section(kind, entry);
            }
        }
        Ok(())
    }

    fn section(&mut self, kind: &str, entry: &Entry) {
        match (kind, entry.key.as_str()) {
            (FILE, "server") => {
                for (number, channel) in entry.node.items().iter().enumerate() {
                    self.channel(channel, number == 0);
                }
            }
            (FILE, "server-reflection") => match entry.node.truth() {
                Some(true) => self.kept(kind, entry, "it is: reflection is always served"),
                _ => self.changed(kind, entry, "", "reflection is always served"),
            },
            (FILE, "authorization") if entry.node.get("method").and_then(|node| node.text()) == Some("none") => {
                self.kept(kind, entry, "it is: nobody is asked who he is");
            }
            (FILE, "authorization" | "monitoring") => self.without_all(&entry.key, &entry.node),
            (FILE, "instances") => {}
            (FILE, "services") | ("instance", "services") => {
                self.each(&entry.node, |import, node| import.service(node))
            }
            (_, "storages") => self.each(&entry.node, |import, node| import.storage(node, false)),
            (_, "caches") => self.each(&entry.node, Self::cache),
            (_, "schedulers") => self.each(&entry.node, |import, node| import.scheduler(node, &Scope::Nobody)),
            (_, "connections" | "clients" | "metering") => self.each(&entry.node, Self::thing),
            ("instance", "name") => self.instance_names(entry),
            _ => self.other(kind, entry),
        }
    }

    /// A thing that Berth has nothing like.
    fn thing(&mut self, node: &Rc<Node>) {
        if self.is_new(node) {
            let kind = node.tag.as_deref().unwrap_or_default();
            self.whole(node, without::reason(kind, "*").unwrap_or("it is no word of BuildGrid's that Berth knows"));
        }
    }

    /// A section of which each key has no counterpart, for one reason.
    fn without_all(&mut self, kind: &str, node: &Rc<Node>) {
        let because = without::reason(kind, "*").expect("the table has a row for the section");
        for entry in node.entries() {
            self.without(kind, entry, because);
        }
    }

    fn channel(&mut self, node: &Rc<Node>, is_first: bool) {
        if !is_first {
            return self.whole(node, "Berth listens for gRPC at one address");
        }
        for entry in node.entries() {
            match entry.key.as_str() {
                "address" => self.address(entry),
                "insecure-mode" if entry.node.truth() == Some(true) => self.kept(CHANNEL, entry, "it is: without TLS"),
                "insecure-mode" => self.without(
                    CHANNEL,
                    entry,
                    without::reason(CHANNEL, "credentials").expect("the table has a row for credentials"),
                ),
                _ => self.other(CHANNEL, entry),
            }
        }
    }

    fn address(&mut self, entry: &Entry) {
        let Some(text) = entry.node.text() else { return self.odd(CHANNEL, entry, "an address") };
        let path = ["server", "grpc"];
        let local = text.strip_prefix("localhost:").and_then(|port| port.parse::<u16>().ok());
        match (text.parse::<SocketAddr>(), local) {
            (Ok(address), _) => self.set(CHANNEL, entry, &path, address.to_string(), ""),
            (Err(_), Some(port)) => {
                self.set(CHANNEL, entry, &path, format!("127.0.0.1:{port}"), "Berth looks no name up to listen");
            }
            (Err(_), None) => self.without(CHANNEL, entry, "Berth listens at an IP address and a port"),
        }
    }

    fn instance_names(&mut self, entry: &Entry) {
        let Some(names) = entry.node.texts() else { return self.odd("instance", entry, "a name, or a list of names") };
        let (good, bad): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| is_served_name(name));
        for name in &good {
            self.draft.push(&["server", "instances"], name.as_str().into());
        }
        if !good.is_empty() {
            self.kept("instance", entry, format!("server.instances: {good:?}"));
        }
        if !bad.is_empty() {
            let because = format!("{bad:?} cannot be told from what follows an instance name in names of resources");
            self.without("instance", entry, &because);
        }
    }

    fn storages_of(&mut self, services: &[Service]) {
        let used = |tag: &str, key: &str| -> Vec<Rc<Node>> {
            let of_kind = services.iter().filter(|service| service.node.tag.as_deref() == Some(tag));
            of_kind.filter_map(|service| service.node.get(key).cloned()).collect()
        };
        let mut storages = used("!cas", "storage");
        storages.extend(used("!bytestream", "storage"));
        for scheduler in used("!execution", "scheduler") {
            storages.extend(scheduler.get("storage").cloned());
        }
        for storage in storages {
            self.storage(&storage, true);
        }
    }

    /// Schedulers with the instances that they serve: there may be several, and Berth has one.
    fn schedulers_of(&mut self, services: &[Service]) {
        let mut used: Vec<(Rc<Node>, Vec<String>)> = Vec::new();
        for service in services {
            let Some(scheduler) = service.node.get("scheduler") else { continue };
            let instances = service.instances.iter();
            match used.iter_mut().find(|(known, _)| Rc::ptr_eq(known, scheduler)) {
                Some((_, known)) => {
                    known.extend(instances.filter(|name| !known.contains(name)).cloned().collect::<Vec<_>>())
                }
                None => used.push((scheduler.clone(), instances.cloned().collect())),
            }
        }
        let several = used.len() > 1;
        for (scheduler, instances) in used {
            let scope = if several { Scope::Instances(instances) } else { Scope::Everywhere };
            self.scheduler(&scheduler, &scope);
        }
    }

    fn service(&mut self, node: &Rc<Node>) {
        let kind = node.tag.clone().unwrap_or_default();
        match kind.as_str() {
            "!bots-service" => {
                self.draft.replace(&["scheduler", "bots_for_all_instances"], true.into());
                let at = (node.line, kind.clone());
                self.note(at, super::Outcome::Kept, "scheduler.bots_for_all_instances = true".to_owned(), "");
            }
            "!quota-service" => {
                let at = (node.line, kind.clone());
                self.note(
                    at,
                    super::Outcome::Kept,
                    "it is: build.buildgrid.Quota, on the loopback interface".to_owned(),
                    "",
                );
            }
            _ if without::reason(&kind, "*").is_some() => return self.thing(node),
            _ => {}
        }
        for entry in node.entries() {
            self.of_service(&kind, entry);
        }
    }

    fn of_service(&mut self, kind: &str, entry: &Entry) {
        let truth = entry.node.truth();
        match (kind, entry.key.as_str()) {
            (_, "scheduler") => self.refer(kind, entry),
            (_, "storage") => self.refer(kind, entry),
            (_, "cache") => {
                self.cache(&entry.node);
                self.refer(kind, entry);
            }
            ("!execution", "endpoints") => {
                let named = entry.node.texts().unwrap_or_default();
                if ["execution", "operations", "bots"].iter().all(|name| named.iter().any(|named| named == name)) {
                    self.kept(kind, entry, "it is: all of them are served");
                } else {
                    self.changed(kind, entry, "", "execution, operations and bots are served for every instance");
                }
            }
            ("!execution", "operation-stream-keepalive-timeout") => {
                self.changed(kind, entry, "", "a silent stream repeats its state every 60 s");
            }
            ("!execution", "max-list-operations-page-size") => match entry.node.number() {
                Some(1_000) => self.kept(kind, entry, "it is: a page has 1000 operations at most"),
                _ => self.changed(kind, entry, "", "a page has 1000 operations at most"),
            },
            (_, "bots-long-poll-during-execution" | "long-poll-during-execution") => match truth {
                Some(true) => self.kept(kind, entry, "it is: a bot with free slots is held until there is work"),
                _ => self.changed(kind, entry, "", "a bot with free slots is held until there is work"),
            },
            ("!cas" | "!bytestream", "read-only") if truth == Some(false) => self.kept(kind, entry, "it is"),
            ("!cas" | "!bytestream", "read-only") => {
                self.without(kind, entry, "clients and bots share one door, and bots must upload")
            }
            ("!cas", "enable-chunking") if truth == Some(false) => {
                self.kept(kind, entry, "it is: SplitBlob and SpliceBlob are not served");
            }
            ("!cas", "enable-chunking") => self.without(kind, entry, "SplitBlob and SpliceBlob are not served"),
            _ => self.other(kind, entry),
        }
    }

    /// A thing that is said elsewhere, or right here.
    pub(super) fn refer(&mut self, kind: &str, entry: &Entry) {
        if entry.node.line != entry.line {
            self.kept(kind, entry, format!("what line {} says", entry.node.line));
        }
    }
}
