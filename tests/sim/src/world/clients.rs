//! Clients submit, cancel, delete and watch; operators drain; retention trims the feed.

use super::*;

impl World {
    pub(super) fn submit(&mut self) {
        let operation = OperationId(self.rng.id());
        let instance = InstanceName::from(if self.rng.chance(850) { "main" } else { "side" });
        let number = self.rng.below(9) as u8;
        let timeout = |rng: &mut Rng| rng.chance(150).then(|| Duration::from_millis(1_000 + rng.below(90_000)));
        // A policy may say no, and may say something else each time.
        if self.rng.chance(20) {
            return;
        }
        let (lane, weight, rank, again) = self.first_place(JobId(operation.0));
        // A hook may give it another rank, as long as that is more urgent.
        let rank = rank - i64::from(self.rng.chance(200));
        let needs = needed(u64::from(number) + self.rng.below(30));
        let better: PropertySet = needs.iter().cloned().chain([Property::new("pool", "big")]).collect();
        let preferred = Some(better).filter(|better| *better != needs && self.rng.chance(300));
        let submit = Submit {
            operation,
            instance: instance.clone(),
            action: action(number),
            do_not_cache: self.rng.chance(120),
            skip_cache_lookup: self.rng.chance(120),
            lookup_began: self.now,
            requirements: needs,
            label: ["", "linux"][self.rng.index(2)].into(),
            lane,
            weight,
            rank,
            limits: limits(&mut self.rng, self.weather),
            affinities: affinities(&mut self.rng),
            again,
            queue_timeout: timeout(&mut self.rng),
            execution_timeout: timeout(&mut self.rng),
            preferred,
        };
        let hit = !submit.do_not_cache && !submit.skip_cache_lookup && self.cached.contains(&(instance, number));
        let mut attachment = Attachment { body: format!("body of {operation}").into(), ..Attachment::default() };
        let event = if hit {
            let lease = berth_core::LeaseId { job: JobId(operation.0), attempt: 0 };
            attachment.results.push((lease, format!("cached for {operation}").into()));
            Event::SubmitCached(Box::new(submit))
        } else {
            Event::Submit(Box::new(submit))
        };
        self.operations.push(operation);
        self.send(event, attachment, Token::Client { operation });
    }

    pub(super) fn cancel(&mut self) {
        if let Some(operation) = self.recent_operation() {
            self.send(Event::Cancel { operation }, Attachment::default(), Token::Client { operation });
        }
    }

    pub(super) fn delete(&mut self) {
        let Some(operation) = self.recent_operation() else { return };
        let Some(server) = &self.server else { return };
        let job = server.partition.book().operation(operation).map_or(JobId(operation.0), |view| view.job);
        self.send(Event::Delete { operation, job }, Attachment::default(), Token::Client { operation });
    }

    pub(super) fn watch(&mut self) {
        let Some(operation) = self.recent_operation() else { return };
        self.watchers_made += 1;
        let watcher = self.watchers_made;
        self.watchers.insert(watcher, Watcher { operation, heard: None });
        self.net.push(Message::ToServer(Incoming::Watch { operation, watcher }));
    }

    pub(super) fn look(&mut self) {
        if let Some(operation) = self.recent_operation() {
            self.net.push(Message::ToServer(Incoming::Look { operation }));
        }
    }

    pub(super) fn recent_operation(&mut self) -> Option<OperationId> {
        let newest = self.operations.len().saturating_sub(30);
        self.rng.pick(&self.operations[newest..]).copied()
    }

    pub(super) fn drain(&mut self) {
        let bot = self.rng.index(self.bots.len());
        let (instance, bot_id) = (self.bots[bot].instance.clone(), self.bots[bot].id.clone());
        let on = self.rng.chance(350);
        self.send(Event::Drain { instance, bot_id, on }, Attachment::default(), Token::Nobody);
    }

    /// An operator sets the numbers of a counter, or lets those of its jobs hold.
    pub(super) fn set_limit(&mut self) {
        let instance = InstanceName::from(if self.rng.chance(850) { "main" } else { "side" });
        let limit = limits(&mut self.rng, self.weather).pop().filter(|_| self.rng.chance(600));
        let any = ["all", "team-a", "team-b"][self.rng.index(3)].into();
        let counter = limit.as_ref().map_or(any, |limit| limit.name.clone());
        self.send(Event::SetLimit { instance, counter, limit }, Attachment::default(), Token::Nobody);
    }

    pub(super) fn end_drains(&mut self) {
        for bot in 0..self.bots.len() {
            let (instance, bot_id) = (self.bots[bot].instance.clone(), self.bots[bot].id.clone());
            self.send(Event::Drain { instance, bot_id, on: false }, Attachment::default(), Token::Nobody);
        }
    }

    pub(super) fn trim(&mut self) {
        let Some(server) = &mut self.server else { return };
        let below = self.ledger.next_sequence().saturating_sub(self.rng.below(300));
        self.ledger.trim(below);
        server.arrive(Incoming::Trim { below });
    }
}

fn set(properties: &[(&str, &str)]) -> PropertySet {
    properties.iter().map(|(name, value)| Property::new(*name, *value)).collect()
}

/// Often one or two of five keys, and sometimes none; few are waited for.
pub(super) fn affinities(rng: &mut Rng) -> Vec<Arc<Affinity>> {
    let count = rng.index(4).min(2);
    let first = rng.index(5);
    let keys = ["one", "two", "three", "four", "five"].into_iter().cycle().skip(first).take(count);
    let mut affinity = |key: &str| {
        let wait = Duration::from_millis([0, 0, 700, 10_000][rng.index(4)]);
        Arc::new(Affinity { key: key.into(), weight: rng.below(8) as u32, wait })
    };
    keys.map(&mut affinity).collect()
}

/// Sometimes one or two of three counters, with numbers that change from job to job.
pub(super) fn limits(rng: &mut Rng, weather: weather::Weather) -> Vec<Arc<Limit>> {
    if rng.chance(500) {
        return Vec::new();
    }
    let first = rng.index(3);
    let names = ["all", "team-a", "team-b"].into_iter().cycle().skip(first).take(1 + rng.index(2));
    let limit = |name: &str| {
        let promised = rng.chance(250);
        let evicts = rng.chance(weather.evictions);
        Limit {
            name: name.into(),
            max_running: rng.chance(600).then(|| 1 + rng.below(4) as u32),
            max_queued: rng.chance(300).then(|| 4 + rng.below(12) as u32),
            min_running: if promised || evicts { rng.below(3) as u32 } else { 0 },
            // Mostly the same, so that a promise is remembered for long enough.
            evict_after: evicts.then(|| Duration::from_millis(weather.give_way_ms)),
            cool_down: Duration::from_millis([0, 4_000, 60_000][rng.index(3)]),
        }
    };
    names.map(limit).map(Arc::new).collect()
}

/// Some kinds are common, and many are rare.
pub(super) fn needed(number: u64) -> PropertySet {
    match number % 5 {
        0 | 1 => set(&[]),
        2 => set(&[("os", "linux")]),
        3 => set(&[("os", "linux"), ("pool", "big")]),
        _ => set(&[("os", "mac"), TAGS[(number / 5) as usize % TAGS.len()]]),
    }
}

pub(super) fn offered(number: u64) -> Vec<PropertySet> {
    let tag = TAGS[(number / 5) as usize % TAGS.len()];
    match number % 5 {
        0 => vec![set(&[("os", "linux"), tag])],
        1 => vec![set(&[("os", "linux"), ("pool", "big")])],
        2 => vec![set(&[("os", "mac"), tag]), set(&[("os", "linux")])],
        3 => everything(),
        _ => vec![set(&[tag])],
    }
}

pub(super) fn everything() -> Vec<PropertySet> {
    let mac = [("os", "mac")].into_iter().chain(TAGS);
    vec![set(&[("os", "linux"), ("pool", "big")]), set(&mac.collect::<Vec<_>>())]
}

const TAGS: [(&str, &str); 4] = [("tag", "a"), ("tag", "b"), ("tag", "c"), ("tag", "d")];
