//! Batches, halved batches and repeated ones lead to the same books.

use std::collections::BTreeMap;

use berth_policy_model::{Dice, report};
use berth_policy_sdk::events::{Change, Event, JobCompleted, JobCreated};

use crate::config::Config;
use crate::rule::{Changed, GAPS, count};
use crate::usage::Usage;
use crate::work::Work;

fn created(tenant: &str) -> Change {
    Change::JobCreated(JobCreated {
        job: String::new(),
        instance: "main/x".to_owned(),
        tenant: tenant.to_owned(),
        invocation: String::new(),
        action_digest: String::new(),
        label: String::new(),
        lane: String::new(),
        weight: 1,
        rank: 0,
    })
}

fn ended(tenant: &str, code: u32, cached: bool, ran_ms: u64) -> Change {
    Change::JobCompleted(JobCompleted {
        job: String::new(),
        instance: "main/x".to_owned(),
        tenant: tenant.to_owned(),
        invocation: String::new(),
        label: String::new(),
        code,
        cached,
        total_ms: ran_ms + 5,
        ran_ms,
        attempts: u32::from(!cached),
        session: String::new(),
        refusal: String::new(),
        exit_code: None,
        peak_memory_bytes: 0,
    })
}

fn events(changes: Vec<Change>) -> Vec<Event> {
    changes.into_iter().zip(7..).map(|(change, sequence)| Event { sequence, at_ms: 0, change }).collect()
}

#[derive(Clone, Default)]
struct Books {
    rows: BTreeMap<String, Usage>,
    work: BTreeMap<String, Work>,
    gaps: u64,
    sequence: u64,
}

impl Books {
    fn read(&mut self, config: &Config, events: &[Event]) -> Result<(), String> {
        let (kept, kept_work) =
            (|key: &str| Ok(self.rows.get(key).cloned()), |key: &str| Ok(self.work.get(key).cloned()));
        let Changed { rows, work, counters, sequence } = count::<String>(config, events, kept, kept_work)?;
        self.rows.extend(rows);
        self.work.extend(work);
        self.gaps += counters.iter().filter(|(key, _)| *key == GAPS).map(|(_, by)| by).sum::<u64>();
        self.sequence = sequence;
        Ok(())
    }
}

fn some_events() -> Vec<Event> {
    events(vec![
        created("a"),
        created("a"),
        created("b"),
        ended("a", 0, false, 100),
        Change::Gap,
        ended("a", 0, true, 0),
        ended("b", 13, false, 50),
        created(""),
        ended("", 1, false, 1),
        Change::Other("something new".to_owned()),
    ])
}

#[test]
fn sums_are_kept_by_tenant() {
    let mut books = Books::default();
    books.read(&Config::default(), &some_events()).expect("the books are readable");
    let a = Usage { created: 2, completed: 2, cached: 1, attempts: 1, run_ms: 100, total_ms: 110, ..Usage::default() };
    assert_eq!(books.rows["tenant/a"], a);
    let b = Usage { created: 1, failed: 1, attempts: 1, run_ms: 50, total_ms: 55, ..Usage::default() };
    assert_eq!(books.rows["tenant/b"], b);
    assert_eq!(books.rows["tenant/"].cancelled, 1);
    assert_eq!((books.gaps, books.sequence), (1, 16));
}

#[test]
fn the_size_of_the_batches_makes_no_difference() {
    let mut whole = Books::default();
    whole.read(&Config::default(), &some_events()).expect("the books are readable");
    for size in 1..=10 {
        let mut parts = Books::default();
        for batch in some_events().chunks(size) {
            parts.read(&Config::default(), batch).expect("the books are readable");
        }
        assert_eq!((&parts.rows, parts.gaps, parts.sequence), (&whole.rows, whole.gaps, whole.sequence));
    }
}

/// A feed of 30 tenants, read in batches of any size, a third of which are thrown away after they were counted, as a
/// crash before the commit does.
#[test]
fn under_load_the_books_agree_with_the_feed_whatever_is_repeated() {
    let mut dice = Dice::new(23);
    let changes: Vec<Change> = (0..20_000)
        .map(|_| {
            let tenant = format!("tenant-{}", dice.below(30));
            match dice.below(2) {
                0 => created(&tenant),
                _ => ended(&tenant, [0, 0, 0, 1, 13][dice.below(5) as usize], dice.below(4) == 0, dice.below(5000)),
            }
        })
        .collect();
    let mut feed: BTreeMap<String, (u64, u64, u64)> = BTreeMap::new();
    for change in &changes {
        match change {
            Change::JobCreated(job) => feed.entry(job.tenant.clone()).or_default().0 += 1,
            Change::JobCompleted(job) => {
                let row = feed.entry(job.tenant.clone()).or_default();
                (row.1, row.2) = (row.1 + 1, row.2 + job.ran_ms);
            }
            _ => (),
        }
    }
    let (events, mut books, mut at, mut crashes) = (events(changes), Books::default(), 0, 0);
    while at < events.len() {
        let batch = &events[at..(at + 1 + dice.below(20) as usize).min(events.len())];
        let mut next = books.clone();
        next.read(&Config::default(), batch).expect("the books are readable");
        if dice.below(3) == 0 {
            crashes += 1;
            continue;
        }
        (books, at) = (next, at + batch.len());
    }
    let differs = |(tenant, wanted): &(&String, &(u64, u64, u64))| {
        let row = books.rows.get(&format!("tenant/{tenant}")).cloned().unwrap_or_default();
        (row.created, row.completed + row.failed + row.cancelled, row.run_ms) != **wanted
    };
    let wrong = feed.iter().filter(differs).count();
    report("audit", "tenants of 30 whose books differ from the feed after 20 000 events", "0", wrong);
    report("audit", "batches of these that were counted twice because of a crash", "> 500", crashes);
    assert_eq!((wrong, books.rows.len()), (0, 30));
    assert!(crashes > 500, "{crashes}");
}

#[test]
fn instances_are_kept_apart_on_request_and_no_key_is_too_long() {
    let mut books = Books::default();
    let config = Config { by_instance: true };
    books.read(&config, &events(vec![created("t"), created(&"x/".repeat(500))])).expect("the books are readable");
    assert!(books.rows.contains_key("instance/main%2Fx/tenant/t"));
    assert!(books.rows.keys().all(|key| key.len() <= 512));
}

#[test]
fn a_row_that_cannot_be_read_stops_the_books_and_is_not_overwritten() {
    fn broken<Row>(key: &str) -> Result<Option<Row>, String> {
        Err(format!("{key} is broken"))
    }
    let error = count(&Config::default(), &some_events(), broken, broken);
    assert_eq!(error, Err("tenant/a is broken".to_owned()));
}
