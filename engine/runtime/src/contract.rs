//! What every `Store` must do: one function a rule, run against RocksDB and against the simulated disk alike.
//!
//! Behind the feature `testing`. [`store_contract!`](crate::store_contract) makes a `#[test]` of each rule; a rule
//! takes a [`Home`], which is where a store lives while it is closed. What only one implementation can do (torn
//! writes, a lock held by another process) is tested beside that implementation.

use std::ops::ControlFlow;

use bytes::Bytes;

use crate::store::{Batch, Commit, Fence, PartitionId, Store, StoreError, Table};

/// A place that keeps what a store has written, and opens it again. Each test gets a fresh one.
pub trait Home {
    /// Opens the store. At most one is open at a time.
    fn open(&self) -> Box<dyn Store>;

    /// Ends the store without a clean shutdown; as much as the implementation can, what was not synced is lost.
    fn crash(&self, store: Box<dyn Store>);
}

/// Makes a test of every rule of the contract; the argument is an expression that gives a fresh [`Home`].
#[macro_export]
macro_rules! store_contract {
    ($home:expr) => {
        $crate::store_contract! { $home =>
            changes_of_a_batch_apply_in_their_order
            replaying_a_batch_is_harmless
            an_empty_commit_is_answered
            a_range_delete_takes_its_first_key_and_spares_its_last
            a_range_that_ends_before_it_begins_deletes_nothing
            a_scan_visits_in_key_order_from_a_key_until_it_is_told_to_stop
            a_range_is_visited_in_both_directions_without_its_end
            partitions_and_tables_do_not_see_each_other
            get_answers_in_the_order_asked_and_says_what_is_missing
            the_feed_is_read_in_order_and_in_pages
            trimming_the_feed_does_not_lower_its_position
            trimming_beyond_the_end_does_not_raise_the_position
            an_older_fence_is_refused_and_hinders_nobody
            a_fence_that_nobody_acquired_is_refused
            epochs_grow_over_restarts_and_crashes
            what_was_committed_survives_a_restart
            what_was_committed_survives_a_crash
            the_feeds_position_survives_restart_and_crash
            range_deletes_and_trims_survive_a_crash
            a_batch_may_be_large
            commits_reads_and_scans_may_come_from_many_threads
            a_scan_sees_whole_batches
            space_is_known
        }
    };
    ($home:expr => $($rule:ident)*) => {
        $(
            #[test]
            fn $rule() {
                $crate::contract::$rule(&$home);
            }
        )*
    };
}

const P: PartitionId = PartitionId(7);

/// Later changes of a batch win over earlier ones, a range delete included.
pub fn changes_of_a_batch_apply_in_their_order(home: &dyn Home) {
    let store = home.open();
    let fence = acquire(&*store, P);
    commit(&*store, fence, |batch| {
        put(batch, Table::Jobs, b"a", b"1");
        batch.delete(Table::Jobs, b"a");
        put(batch, Table::Jobs, b"a", b"2");
        put(batch, Table::Jobs, b"b", b"1");
        batch.delete(Table::Jobs, b"b");
        put(batch, Table::Jobs, b"c", b"1");
        batch.delete_range(Table::Jobs, b"c", b"d");
        put(batch, Table::Jobs, b"c", b"2");
        put(batch, Table::Jobs, b"d", b"1");
        batch.delete_range(Table::Jobs, b"d", b"e");
        batch.delete(Table::Jobs, b"never there");
    });
    assert_eq!(rows(&*store, P, Table::Jobs, b""), [pair("a", "2"), pair("c", "2")]);
}

/// Rows are absolute: the same batch again leaves the same rows, feed and position.
pub fn replaying_a_batch_is_harmless(home: &dyn Home) {
    let store = home.open();
    let fence = acquire(&*store, P);
    commit(&*store, fence, |batch| put(batch, Table::Leases, b"gone", b"x"));
    for _ in 0..3 {
        commit(&*store, fence, |batch| {
            put(batch, Table::Jobs, b"a", b"1");
            batch.delete(Table::Leases, b"gone");
            batch.feed(1, |record| record.extend_from_slice(b"fact"));
        });
    }
    assert_eq!(rows(&*store, P, Table::Jobs, b""), [pair("a", "1")]);
    assert_eq!(rows(&*store, P, Table::Leases, b""), []);
    assert_eq!(store.feed(P, 0, 10).expect("the feed is read"), [(1, Bytes::from_static(b"fact"))]);
    assert_eq!(position(&*store, P), 2);
}

/// A group of nothing has no results; a batch of nothing is a success; values may be empty.
pub fn an_empty_commit_is_answered(home: &dyn Home) {
    let store = home.open();
    let fence = acquire(&*store, P);
    assert!(store.commit(&[]).is_empty());
    commit(&*store, fence, |_| {});
    commit(&*store, fence, |batch| put(batch, Table::Jobs, b"empty", b""));
    assert_eq!(rows(&*store, P, Table::Jobs, b""), [pair("empty", "")]);
}

/// `from <= key < to`, and no other table.
pub fn a_range_delete_takes_its_first_key_and_spares_its_last(home: &dyn Home) {
    let store = home.open();
    let fence = acquire(&*store, P);
    commit(&*store, fence, |batch| {
        for key in ["a", "b", "ba", "c", "d"] {
            put(batch, Table::Bodies, key.as_bytes(), b"1");
            put(batch, Table::Results, key.as_bytes(), b"1");
        }
    });
    commit(&*store, fence, |batch| batch.delete_range(Table::Bodies, b"b", b"c"));
    let left: Vec<Bytes> = rows(&*store, P, Table::Bodies, b"").into_iter().map(|(key, _)| key).collect();
    assert_eq!(left, ["a", "c", "d"]);
    assert_eq!(rows(&*store, P, Table::Results, b"").len(), 5);
}

/// An empty range, or one the wrong way round, is no error and deletes nothing.
pub fn a_range_that_ends_before_it_begins_deletes_nothing(home: &dyn Home) {
    let store = home.open();
    let fence = acquire(&*store, P);
    commit(&*store, fence, |batch| {
        put(batch, Table::Jobs, b"b", b"1");
        batch.delete_range(Table::Jobs, b"b", b"b");
        batch.delete_range(Table::Jobs, b"c", b"a");
    });
    assert_eq!(rows(&*store, P, Table::Jobs, b""), [pair("b", "1")]);
}

/// Keys order as bytes do; `from` belongs to the scan; `Break` ends it.
pub fn a_scan_visits_in_key_order_from_a_key_until_it_is_told_to_stop(home: &dyn Home) {
    let store = home.open();
    let fence = acquire(&*store, P);
    let keys: [&[u8]; 6] = [b"\x00", b"\x00\x00", b"a", b"a\x00", b"\xff", b"\xff\xff\xff\xff\xff"];
    commit(&*store, fence, |batch| {
        for key in keys.iter().rev() {
            put(batch, Table::Jobs, key, key);
        }
    });
    let all: Vec<Bytes> = rows(&*store, P, Table::Jobs, b"").into_iter().map(|(key, _)| key).collect();
    assert_eq!(all, keys);
    assert_eq!(rows(&*store, P, Table::Jobs, b"a").len(), 4);
    assert_eq!(rows(&*store, P, Table::Jobs, b"b").len(), 2);
    let mut seen = 0;
    let mut visit = |_: &[u8], _: &[u8]| {
        seen += 1;
        if seen == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    store.scan(P, Table::Jobs, b"", &mut visit).expect("the scan runs");
    assert_eq!(seen, 2);
}

/// A range has its first key and not its end, whichever way it is visited, and ends where its visitor says.
pub fn a_range_is_visited_in_both_directions_without_its_end(home: &dyn Home) {
    let store = home.open();
    let fence = acquire(&*store, P);
    let other = acquire(&*store, PartitionId(P.0 + 1));
    commit(&*store, fence, |batch| {
        for key in [b"a", b"b", b"c", b"d"] {
            put(batch, Table::FinishedByQueued, key, b"1");
        }
    });
    commit(&*store, other, |batch| put(batch, Table::FinishedByQueued, b"b", b"2"));
    let visit = |range: std::ops::Range<&[u8]>, backward: bool, limit: usize| {
        let mut seen = String::new();
        let visit = &mut |key: &[u8], value: &[u8]| {
            assert_eq!(value, b"1");
            seen.push_str(std::str::from_utf8(key).unwrap());
            if seen.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        store.range(P, Table::FinishedByQueued, range, backward, visit).unwrap();
        seen
    };
    assert_eq!(visit(b"b"..b"d", false, 9), "bc");
    assert_eq!(visit(b"b"..b"d", true, 9), "cb");
    assert_eq!(visit(b""..b"z", true, 2), "dc");
    assert_eq!(visit(b"a0"..b"c0", true, 9), "cb");
    assert_eq!(visit(b"d"..b"b", false, 9) + &visit(b"d"..b"b", true, 9), "");
}

/// Neighbouring partitions (the highest included) and tables hold the same keys side by side.
pub fn partitions_and_tables_do_not_see_each_other(home: &dyn Home) {
    let store = home.open();
    let partitions = [0, 1, 255, 256, u32::MAX - 1, u32::MAX].map(PartitionId);
    for id in partitions {
        let fence = acquire(&*store, id);
        commit(&*store, fence, |batch| {
            for table in Table::ALL {
                put(batch, table, b"key", format!("{} {}", id.0, table.name()).as_bytes());
            }
            batch.feed(1, |record| record.extend_from_slice(&id.0.to_be_bytes()));
        });
    }
    let fence = acquire(&*store, PartitionId(256));
    commit(&*store, fence, |batch| {
        batch.delete_range(Table::Jobs, b"", b"\xff\xff\xff\xff\xff\xff");
        batch.trim_feed(2);
    });
    for id in partitions {
        for table in Table::ALL {
            let expected = [pair("key", &format!("{} {}", id.0, table.name()))];
            let emptied = id.0 == 256 && table == Table::Jobs;
            assert_eq!(rows(&*store, id, table, b""), if emptied { &[] } else { &expected[..] });
        }
        assert_eq!(store.feed(id, 0, 10).expect("the feed is read").len(), usize::from(id.0 != 256));
        assert_eq!(position(&*store, id), 2);
    }
    assert_eq!(rows(&*store, PartitionId(2), Table::Jobs, b""), []);
    assert_eq!(position(&*store, PartitionId(2)), 1);
}

/// One entry a key, repeated keys included; an unknown partition has no rows.
pub fn get_answers_in_the_order_asked_and_says_what_is_missing(home: &dyn Home) {
    let store = home.open();
    let fence = acquire(&*store, P);
    commit(&*store, fence, |batch| {
        put(batch, Table::Operations, b"a", b"1");
        put(batch, Table::Operations, b"b", b"2");
        put(batch, Table::Operations, b"empty", b"");
    });
    let found = |id, keys: &[&[u8]]| store.get(id, Table::Operations, keys).expect("rows are read");
    let (one, two) = (Some(Bytes::from_static(b"1")), Some(Bytes::from_static(b"2")));
    assert_eq!(found(P, &[b"b", b"missing", b"a", b"b", b"empty"]), [two.clone(), None, one, two, Some(Bytes::new())]);
    assert_eq!(found(P, &[]), []);
    assert_eq!(found(PartitionId(99), &[b"a", b"b"]), [None, None]);
}

/// Pages by position: what the watch and the plugins' cursors do.
pub fn the_feed_is_read_in_order_and_in_pages(home: &dyn Home) {
    let store = home.open();
    let fence = acquire(&*store, P);
    assert_eq!(position(&*store, P), 1);
    append(&*store, fence, 1..=300);
    assert_eq!(position(&*store, P), 301);
    let page = |from, limit| -> Vec<u64> {
        let page = store.feed(P, from, limit).expect("the feed is read");
        assert!(page.iter().all(|(sequence, record)| record[..] == sequence.to_be_bytes()));
        page.into_iter().map(|(sequence, _)| sequence).collect()
    };
    assert_eq!(page(0, 3), [1, 2, 3]);
    assert_eq!(page(254, 4), [254, 255, 256, 257]);
    assert_eq!(page(300, 10), [300]);
    assert_eq!(page(301, 10), [0; 0]);
    assert_eq!(page(5, 0), [0; 0]);
}

/// A trimmed feed goes on where it was, even when nothing of it is left.
pub fn trimming_the_feed_does_not_lower_its_position(home: &dyn Home) {
    let store = home.open();
    let fence = acquire(&*store, P);
    append(&*store, fence, 1..=10);
    commit(&*store, fence, |batch| batch.trim_feed(6));
    commit(&*store, fence, |batch| batch.trim_feed(3));
    assert_eq!(store.feed(P, 0, 10).expect("the feed is read").first().map(|(sequence, _)| *sequence), Some(6));
    commit(&*store, fence, |batch| batch.trim_feed(11));
    assert_eq!(store.feed(P, 0, 10).expect("the feed is read"), []);
    assert_eq!(position(&*store, P), 11);
    commit(&*store, fence, |batch| {
        batch.feed(11, |record| record.extend_from_slice(b"x"));
        batch.feed(12, |record| record.extend_from_slice(b"y"));
        batch.trim_feed(12);
    });
    assert_eq!(store.feed(P, 0, 10).expect("the feed is read"), [(12, Bytes::from_static(b"y"))]);
    assert_eq!(position(&*store, P), 13);
}

/// The feed stays dense: dropping records that do not exist yet reserves nothing.
pub fn trimming_beyond_the_end_does_not_raise_the_position(home: &dyn Home) {
    let store = home.open();
    let fence = acquire(&*store, P);
    append(&*store, fence, 1..=3);
    commit(&*store, fence, |batch| batch.trim_feed(1_000));
    assert_eq!(position(&*store, P), 4);
    append(&*store, fence, 4..=4);
    assert_eq!(store.feed(P, 0, 10).expect("the feed is read").len(), 1);
    drop(store);
    let store = home.open();
    assert_eq!(position(&*store, P), 5);
}

/// In one group: the fenced batch is refused and leaves no trace, the others are committed, answers are in order.
pub fn an_older_fence_is_refused_and_hinders_nobody(home: &dyn Home) {
    let store = home.open();
    let other = PartitionId(8);
    let (old, theirs) = (acquire(&*store, P), acquire(&*store, other));
    let new = acquire(&*store, P);
    assert!(new.epoch > old.epoch);
    let results = store.commit(&[
        change(theirs, |batch| put(batch, Table::Jobs, b"1", b"theirs")),
        change(old, |batch| {
            put(batch, Table::Jobs, b"1", b"old");
            batch.feed(1, |record| record.extend_from_slice(b"old"));
        }),
        change(new, |batch| put(batch, Table::Jobs, b"2", b"new")),
        change(theirs, |batch| put(batch, Table::Jobs, b"2", b"theirs too")),
    ]);
    assert!(
        matches!(&results[..], [Ok(()), Err(StoreError::Fenced(fenced)), Ok(()), Ok(())] if *fenced == P),
        "{results:?}"
    );
    assert_eq!(rows(&*store, P, Table::Jobs, b""), [pair("2", "new")]);
    assert_eq!(rows(&*store, other, Table::Jobs, b""), [pair("1", "theirs"), pair("2", "theirs too")]);
    assert_eq!(position(&*store, P), 1);
    assert!(matches!(store.renew(&old), Err(StoreError::Fenced(fenced)) if fenced == P));
    store.renew(&new).expect("the newest fence holds");
    store.renew(&theirs).expect("another partition's fence holds");
}

/// An epoch from nowhere opens nothing.
pub fn a_fence_that_nobody_acquired_is_refused(home: &dyn Home) {
    let store = home.open();
    for epoch in [0, 1, u64::MAX] {
        let made_up = Fence { partition: P, epoch };
        let results = store.commit(&[change(made_up, |batch| put(batch, Table::Jobs, b"a", b"1"))]);
        assert!(matches!(&results[..], [Err(StoreError::Fenced(_))]), "{results:?}");
        assert!(matches!(store.renew(&made_up), Err(StoreError::Fenced(_))));
    }
    assert_eq!(rows(&*store, P, Table::Jobs, b""), []);
}

/// An owner from before the restart stays fenced after it.
pub fn epochs_grow_over_restarts_and_crashes(home: &dyn Home) {
    let store = home.open();
    let first = acquire(&*store, P);
    drop(store);
    let store = home.open();
    let second = acquire(&*store, P);
    home.crash(store);
    let store = home.open();
    let third = acquire(&*store, P);
    assert!(first.epoch < second.epoch && second.epoch < third.epoch);
    let results = store.commit(&[change(second, |batch| put(batch, Table::Jobs, b"a", b"1"))]);
    assert!(matches!(&results[..], [Err(StoreError::Fenced(_))]), "{results:?}");
}

/// Rows, deletes and feed after a clean stop.
pub fn what_was_committed_survives_a_restart(home: &dyn Home) {
    survives(home, drop);
}

/// Rows, deletes and feed after an unclean end.
pub fn what_was_committed_survives_a_crash(home: &dyn Home) {
    survives(home, |store| home.crash(store));
}

fn survives(home: &dyn Home, end: impl Fn(Box<dyn Store>)) {
    let mut next = 1;
    for round in 0..3_u8 {
        let store = home.open();
        let fence = acquire(&*store, P);
        assert_eq!(position(&*store, P), next);
        for step in 0..50_u8 {
            commit(&*store, fence, |batch| {
                put(batch, Table::Jobs, &[round, step], &[step; 100]);
                put(batch, Table::Meta, b"latest", &[round, step]);
                if step > 0 && step % 2 == 0 {
                    batch.delete(Table::Jobs, &[round, step - 1]);
                }
                batch.feed(next, |record| record.push(step));
            });
            next += 1;
        }
        end(store);
        let store = home.open();
        let left = rows(&*store, P, Table::Jobs, &[round]);
        let kept: Vec<u8> = (0..50).filter(|step| step % 2 == 0 || *step == 49).collect();
        assert_eq!(left.iter().map(|(key, _)| key[1]).collect::<Vec<_>>(), kept);
        assert!(left.iter().all(|(key, value)| value[..] == [key[1]; 100]));
        assert_eq!(rows(&*store, P, Table::Meta, b"")[0].1[..], [round, 49]);
        assert_eq!(store.feed(P, 1, 1_000).expect("the feed is read").len() as u64, next - 1);
    }
}

/// Fully trimmed, then ended both ways.
pub fn the_feeds_position_survives_restart_and_crash(home: &dyn Home) {
    let store = home.open();
    let fence = acquire(&*store, P);
    append(&*store, fence, 1..=20);
    commit(&*store, fence, |batch| batch.trim_feed(21));
    drop(store);
    let store = home.open();
    assert_eq!(position(&*store, P), 21);
    let fence = acquire(&*store, P);
    assert_eq!(position(&*store, P), 21);
    append(&*store, fence, 21..=22);
    commit(&*store, fence, |batch| batch.trim_feed(23));
    home.crash(store);
    let store = home.open();
    assert_eq!(position(&*store, P), 23);
    assert_eq!(store.feed(P, 0, 10).expect("the feed is read"), []);
}

/// Deleting is as durable as writing.
pub fn range_deletes_and_trims_survive_a_crash(home: &dyn Home) {
    let store = home.open();
    let fence = acquire(&*store, P);
    commit(&*store, fence, |batch| {
        for key in 0..100_u8 {
            put(batch, Table::FinishedByTime, &[key], b"1");
        }
    });
    append(&*store, fence, 1..=100);
    commit(&*store, fence, |batch| {
        batch.delete_range(Table::FinishedByTime, &[10], &[90]);
        batch.trim_feed(91);
    });
    home.crash(store);
    let store = home.open();
    let left: Vec<u8> = rows(&*store, P, Table::FinishedByTime, b"").iter().map(|(key, _)| key[0]).collect();
    assert_eq!(left, (0..10).chain(90..100).collect::<Vec<u8>>());
    assert_eq!(store.feed(P, 0, 1_000).expect("the feed is read").len(), 10);
    assert_eq!(position(&*store, P), 101);
}

/// Many rows and one huge value go in together and come back after a crash.
pub fn a_batch_may_be_large(home: &dyn Home) {
    const ROWS: u32 = 20_000;
    let huge: Vec<u8> = (0..8 << 20).map(|at: u32| (at >> 3) as u8).collect();
    let store = home.open();
    let fence = acquire(&*store, P);
    commit(&*store, fence, |batch| {
        for row in 0..ROWS {
            put(batch, Table::Jobs, &row.to_be_bytes(), &row.to_le_bytes());
        }
        put(batch, Table::Bodies, b"huge", &huge);
    });
    home.crash(store);
    let store = home.open();
    let mut expected = 0_u32;
    let mut visit = |key: &[u8], value: &[u8]| {
        assert_eq!((key, value), (&expected.to_be_bytes()[..], &expected.to_le_bytes()[..]));
        expected += 1;
        ControlFlow::Continue(())
    };
    store.scan(P, Table::Jobs, b"", &mut visit).expect("the scan runs");
    assert_eq!(expected, ROWS);
    assert!(store.get(P, Table::Bodies, &[b"huge"]).expect("rows are read")[0].as_deref() == Some(&huge[..]));
}

/// Each thread owns a partition; nothing is lost or mixed up.
pub fn commits_reads_and_scans_may_come_from_many_threads(home: &dyn Home) {
    let store = home.open();
    let store = &*store;
    std::thread::scope(|scope| {
        for id in 1..=4 {
            scope.spawn(move || {
                let id = PartitionId(id);
                let fence = acquire(store, id);
                for step in 1..=40_u64 {
                    commit(store, fence, |batch| {
                        put(batch, Table::Sessions, &step.to_be_bytes(), &id.0.to_be_bytes());
                        batch.feed(step, |record| record.push(0));
                    });
                    assert_eq!(rows(store, id, Table::Sessions, b"").len() as u64, step);
                    let last = store.get(id, Table::Sessions, &[&step.to_be_bytes()]).expect("rows are read");
                    assert_eq!(last[0].as_deref(), Some(&id.0.to_be_bytes()[..]));
                }
            });
        }
    });
    for id in 1..=4 {
        assert_eq!(rows(store, PartitionId(id), Table::Sessions, b"").len(), 40);
        assert_eq!(position(store, PartitionId(id)), 41);
    }
}

/// A plugin's table and its place in the feed are read by one scan, also while they are being written.
pub fn a_scan_sees_whole_batches(home: &dyn Home) {
    const KEYS: u8 = 20;
    let store = home.open();
    let store = &*store;
    let fence = acquire(store, P);
    let write = |round: u32| {
        commit(store, fence, |batch| {
            (0..KEYS).for_each(|key| put(batch, Table::PluginData, &[key], &round.to_be_bytes()));
        });
    };
    write(0);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (1..100).for_each(write));
        while !writer.is_finished() {
            let seen = rows(store, P, Table::PluginData, b"");
            assert_eq!(seen.len(), usize::from(KEYS));
            assert!(seen.iter().all(|(_, value)| *value == seen[0].1), "a batch is seen in part");
        }
    });
}

/// The driver refuses new work by this number, so it must be there.
pub fn space_is_known(home: &dyn Home) {
    assert!(home.open().space().expect("the disk is asked").free_bytes > 0);
}

fn acquire(store: &dyn Store, id: PartitionId) -> Fence {
    let fence = store.acquire(id).expect("the partition is acquired");
    assert_eq!(fence.partition, id);
    fence
}

fn change(fence: Fence, fill: impl FnOnce(&mut Batch)) -> Commit {
    let mut batch = Batch::default();
    fill(&mut batch);
    Commit { fence, batch }
}

fn commit(store: &dyn Store, fence: Fence, fill: impl FnOnce(&mut Batch)) {
    let results = store.commit(&[change(fence, fill)]);
    assert!(matches!(&results[..], [Ok(())]), "{results:?}");
}

fn append(store: &dyn Store, fence: Fence, sequences: std::ops::RangeInclusive<u64>) {
    commit(store, fence, |batch| {
        for sequence in sequences {
            batch.feed(sequence, |record| record.extend_from_slice(&sequence.to_be_bytes()));
        }
    });
}

fn put(batch: &mut Batch, table: Table, key: &[u8], value: &[u8]) {
    batch.put(table, key, |buffer| buffer.extend_from_slice(value));
}

fn rows(store: &dyn Store, id: PartitionId, table: Table, from: &[u8]) -> Vec<(Bytes, Bytes)> {
    let mut rows = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        rows.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
        ControlFlow::Continue(())
    };
    store.scan(id, table, from, &mut visit).expect("the scan runs");
    rows
}

fn position(store: &dyn Store, id: PartitionId) -> u64 {
    store.next_sequence(id).expect("the position is read")
}

fn pair(key: &str, value: &str) -> (Bytes, Bytes) {
    (Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value.as_bytes()))
}
