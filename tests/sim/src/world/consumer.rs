//! A plugin that counts what happened in its table: after every crash the table must agree with the feed, to the last
//! event. It fails now and then, and is left behind when the feed is trimmed.

use std::sync::Mutex;

use berth_runtime::{
    feed::{Begin, Follower, OnFault, Pending, Turn, reader::Reader},
    plugins::{Change, ConsumerError, EventsConsumer, FeedEvent, KvLimits, KvTransaction, KvView},
};

use super::*;

const NAME: &str = "counts";

/// The consumer while the server is up.
pub(super) struct Consumer {
    follower: Follower,
    /// What was handed to the server and is not durable yet, as far as it knows.
    pending: Option<Pending>,
}

/// What is stored of it; `None` if the store has failed, which the process is about to notice.
fn stored(server: &Server) -> Checked<Option<Follower>> {
    if server.store.next_sequence(PARTITION).is_err() {
        return Ok(None);
    }
    let reader = Reader::new(server.store.clone(), PARTITION);
    let opened = Follower::open(reader, NAME, &Begin::Oldest, KvLimits::default(), OnFault::Stop);
    opened.map(Some).map_err(|error| Violation(format!("the consumer cannot start: {error}")))
}

impl World {
    /// The consumer hears something, perhaps.
    pub(super) fn hear(&mut self) -> Checked {
        // Its own source of chance: it must not decide what else happens.
        let fails = self.ears.chance(150).then(|| self.ears.index(8));
        self.hear_or_fail(fails).map(drop)
    }

    /// Answers whether there was nothing to hear.
    fn hear_or_fail(&mut self, fails_at: Option<usize>) -> Checked<bool> {
        let Some(server) = &mut self.server else { return Ok(false) };
        if self.consumer.is_none() {
            self.consumer = stored(server)?.map(|follower| Consumer { follower, pending: None });
        }
        let Some(consumer) = &mut self.consumer else { return Ok(false) };
        if consumer.pending.is_some() {
            return Ok(false);
        }
        let counting = Counting { fails_at, complaint: Mutex::new(None) };
        let turn = consumer.follower.turn(&counting);
        let complaint = counting.complaint.into_inner().expect("nobody panics with it");
        rule!(complaint.is_none(), "the consumer of the feed: {}", complaint.unwrap_or_default());
        let idle = match turn {
            Ok(Turn::Commit(pending)) => {
                consumer.pending = Some(pending.clone());
                server.arrive(Incoming::Keep { rows: pending });
                false
            }
            Ok(Turn::Idle) => true,
            Ok(Turn::Again | Turn::Stopped(_)) => false,
            // The store has failed: the process is about to notice.
            Err(_) => return Ok(false),
        };
        self.check_consumer()?;
        Ok(idle)
    }

    /// What the consumer wrote is durable.
    pub(super) fn kept(&mut self) -> Checked {
        let consumer = self.consumer.as_mut().expect("it lives as long as its server");
        let pending = consumer.pending.take().expect("it has one commit at a time");
        consumer.follower.committed(&pending);
        self.check_consumer()
    }

    /// Its table and place are those on disk, and agree with the feed.
    fn check_consumer(&self) -> Checked {
        let (Some(server), Some(consumer)) = (&self.server, &self.consumer) else { return Ok(()) };
        let Some(stored) = stored(server)? else { return Ok(()) };
        if stored.next() == consumer.follower.next() || consumer.pending.is_none() {
            rule!(stored.next() == consumer.follower.next(), "its place is stored");
            let same = stored.table().entries().eq(consumer.follower.table().entries());
            rule!(same, "what plugins see of a table is what is stored");
        }
        let table = stored.table();
        let next = number(table, "next").unwrap_or(1);
        // A call of one event may tell of a gap alone: what comes behind it is not heard yet.
        let agrees = number(table, "gap").map_or(next == stored.next(), |gap| gap == next && gap < stored.next());
        rule!(agrees, "its place is {}, its table is that of {next}", stored.next());
        let mut missed = Vec::new();
        for (key, _) in table.scan("missed/", None, usize::MAX) {
            let (from, to) = key["missed/".len()..].split_once('-').expect("it writes no other");
            let from: u64 = from.parse().expect("it writes numbers");
            let to: u64 = to.parse().expect("it writes numbers");
            missed.push(from..to);
        }
        let (created, completed) = self.ledger.tally(next, &missed)?;
        let counted = (number(table, "created").unwrap_or(0), number(table, "completed").unwrap_or(0));
        rule!(
            counted == (created, completed),
            "up to {next} the feed has {created} created and {completed} completed jobs, the consumer counted {counted:?}"
        );
        Ok(())
    }

    /// Until it has heard everything.
    pub(super) fn hear_all(&mut self) -> Checked {
        for _ in 0..1_000 {
            if self.hear_or_fail(None)? {
                let next = self.consumer.as_ref().map_or(0, |consumer| consumer.follower.next());
                rule!(next == self.ledger.next_sequence(), "it is idle at {next}, and not at the end");
                return Ok(());
            }
            self.work_off()?;
        }
        Err(Violation("the consumer does not come to the end of the feed".into()))
    }
}

/// Counts created and completed jobs, and remembers which jobs are open.
struct Counting {
    fails_at: Option<usize>,
    /// What must not be: as its table knows, not as it is told.
    complaint: Mutex<Option<String>>,
}

impl EventsConsumer for Counting {
    fn on_events(&self, kv: &mut KvTransaction, events: &[FeedEvent]) -> Result<(), ConsumerError> {
        for (index, event) in events.iter().enumerate() {
            if let Err(complaint) = hear(kv, event) {
                *self.complaint.lock().expect("nobody panics with it") = Some(complaint);
            }
            if self.fails_at == Some(index) {
                return Err(ConsumerError::Fault("as the seed would have it".into()));
            }
        }
        Ok(())
    }
}

fn hear(kv: &mut KvTransaction, event: &FeedEvent) -> Result<(), String> {
    let next = number(kv, "next").unwrap_or(1);
    if event.change == Change::Gap {
        set(kv, "gap", event.sequence);
        return if event.sequence == next { Ok(()) } else { Err(format!("a gap at {}, not {next}", event.sequence)) };
    }
    if let Some(from) = number(kv, "gap") {
        kv.delete("gap").expect("it may write");
        kv.set(&format!("missed/{from}-{}", event.sequence), b"").expect("it may write");
    } else if event.sequence != next {
        return Err(format!("event {} comes where {next} was due, and no gap was told", event.sequence));
    }
    set(kv, "next", event.sequence + 1);
    match &event.change {
        Change::JobCreated(created) => {
            set(kv, "created", number(kv, "created").unwrap_or(0) + 1);
            set(kv, &format!("open/{}", created.job), event.sequence);
        }
        Change::JobCompleted(completed) => {
            set(kv, "completed", number(kv, "completed").unwrap_or(0) + 1);
            kv.delete(&format!("open/{}", completed.job)).expect("it may write");
            if completed.instance.0.is_empty() || completed.total_ms < completed.ran_ms {
                return Err(format!("a completed job without its record: {completed:?}"));
            }
        }
        _ => {}
    }
    Ok(())
}

fn number(kv: &impl KvView, key: &str) -> Option<u64> {
    kv.get(key).map(|value| std::str::from_utf8(&value).expect("it writes digits").parse().expect("it writes digits"))
}

fn set(kv: &mut KvTransaction, key: &str, value: u64) {
    kv.set(key, value.to_string().as_bytes()).expect("its table is small");
}
