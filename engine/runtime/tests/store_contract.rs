//! The simulated disk keeps the contract of `Store`, and loses exactly what a power cut may take.

use berth_runtime::contract::Home;
use berth_runtime::memory::{Disk, Failure, MemoryStore};
use berth_runtime::store::{Batch, Commit, Fence, PartitionId, Store, StoreError, Table};

impl Home for Simulated {
    fn open(&self) -> Box<dyn Store> {
        Box::new(MemoryStore::open(&self.0))
    }

    fn crash(&self, store: Box<dyn Store>) {
        self.0.crash(|_| 0);
        assert!(store.space().is_err(), "a store must not outlive its power");
    }
}

#[derive(Default)]
struct Simulated(Disk);

berth_runtime::store_contract!(Simulated::default());

const P: PartitionId = PartitionId(1);

/// A commit of two rows and a feed record, so that a torn one would show.
fn pair(fence: Fence, key: u8) -> Commit {
    let mut batch = Batch::default();
    batch.put(Table::Jobs, &[key], |value| value.push(key));
    batch.put(Table::Leases, &[key], |value| value.push(key));
    batch.feed(u64::from(key), |record| record.push(key));
    Commit { fence, batch }
}

/// Which pairs are there; panics on half a pair.
fn pairs(store: &MemoryStore) -> Vec<u8> {
    let keys: Vec<u8> = (0..100).collect();
    let keys: Vec<&[u8]> = keys.chunks(1).collect();
    let found = |table| store.get(P, table, &keys).expect("rows are read");
    let (jobs, leases) = (found(Table::Jobs), found(Table::Leases));
    assert_eq!(jobs, leases);
    let kept: Vec<u8> = jobs.into_iter().flatten().map(|value| value[0]).collect();
    let feed = store.feed(P, 0, 1_000).expect("the feed is read");
    assert_eq!(feed.iter().map(|(_, record)| record[0]).collect::<Vec<_>>(), kept);
    kept
}

#[test]
fn a_torn_write_keeps_whole_batches_only_and_those_are_the_first_ones() {
    let mut outcomes = Vec::new();
    for kept_bytes in 0.. {
        let disk = Disk::default();
        let store = MemoryStore::open(&disk);
        let fence = store.acquire(P).expect("the partition is acquired");
        assert!(store.commit(&[pair(fence, 1)])[0].is_ok());
        let in_flight = store.begin_commit(&[pair(fence, 2), pair(fence, 3)]);
        let unsynced = disk.unsynced_bytes();
        disk.crash(|_| kept_bytes);
        let results = store.finish_commit(in_flight);
        assert!(matches!(&results[..], [Err(StoreError::Failed(_)), Err(StoreError::Failed(_))]), "{results:?}");
        let kept = pairs(&MemoryStore::open(&disk));
        outcomes.dedup();
        outcomes.push(kept);
        if kept_bytes == unsynced {
            break;
        }
    }
    outcomes.dedup();
    assert_eq!(outcomes, [vec![1], vec![1, 2], vec![1, 2, 3]]);
}

#[test]
fn spoiled_bytes_are_dropped_with_what_follows_them() {
    let disk = Disk::default();
    let store = MemoryStore::open(&disk);
    let fence = store.acquire(P).expect("the partition is acquired");
    assert!(store.commit(&[pair(fence, 1)])[0].is_ok());
    let _in_flight = store.begin_commit(&[pair(fence, 2), pair(fence, 3)]);
    disk.crash(|unsynced| {
        unsynced[30] ^= 1;
        unsynced.len()
    });
    let store = MemoryStore::open(&disk);
    assert_eq!(pairs(&store), [1]);
    let fence = store.acquire(P).expect("the partition is acquired");
    assert!(store.commit(&[pair(fence, 2)])[0].is_ok());
    disk.crash(|_| 0);
    assert_eq!(pairs(&MemoryStore::open(&disk)), [1, 2]);
}

#[test]
fn a_missing_sync_is_caught_by_a_power_cut_but_not_by_a_kill() {
    let disk = Disk::default();
    disk.set_syncing(false);
    let store = MemoryStore::open(&disk);
    let fence = store.acquire(P).expect("the partition is acquired");
    assert!(store.commit(&[pair(fence, 1)])[0].is_ok());
    let store = MemoryStore::open(&disk);
    assert_eq!(pairs(&store), [1]);
    disk.crash(|_| 0);
    assert_eq!(pairs(&MemoryStore::open(&disk)), [0; 0]);
}

#[test]
fn a_commit_in_flight_is_invisible_until_it_is_finished() {
    let store = MemoryStore::open(&Disk::default());
    let fence = store.acquire(P).expect("the partition is acquired");
    let first = store.begin_commit(&[pair(fence, 1)]);
    let second = store.begin_commit(&[pair(fence, 2)]);
    assert_eq!(pairs(&store), [0; 0]);
    assert!(store.finish_commit(first)[0].is_ok());
    assert_eq!(pairs(&store), [1]);
    assert!(store.finish_commit(second)[0].is_ok());
    assert_eq!(pairs(&store), [1, 2]);
}

#[test]
fn a_new_owner_sees_what_the_old_one_had_in_flight() {
    let store = MemoryStore::open(&Disk::default());
    let old = store.acquire(P).expect("the partition is acquired");
    let in_flight = store.begin_commit(&[pair(old, 1)]);
    let new = store.acquire(P).expect("the partition is acquired");
    assert_eq!(pairs(&store), [1]);
    assert!(store.finish_commit(in_flight)[0].is_ok());
    assert!(matches!(store.commit(&[pair(old, 2)])[0], Err(StoreError::Fenced(P))));
    assert!(store.commit(&[pair(new, 2)])[0].is_ok());
}

#[test]
fn an_unknown_outcome_may_be_either_and_the_store_goes_on() {
    for durable in [false, true] {
        let disk = Disk::default();
        let store = MemoryStore::open(&disk);
        let fence = store.acquire(P).expect("the partition is acquired");
        store.fail_next(Failure::Unknown { durable });
        assert!(matches!(store.commit(&[pair(fence, 1)])[0], Err(StoreError::Unknown(_))));
        assert_eq!(pairs(&store), if durable { vec![1] } else { vec![] });
        let fence = store.acquire(P).expect("the partition is acquired again");
        assert!(store.commit(&[pair(fence, 1)])[0].is_ok());
        disk.crash(|_| 0);
        assert_eq!(pairs(&MemoryStore::open(&disk)), [1]);
    }
}

#[test]
fn a_failed_store_refuses_everything_until_it_is_opened_again() {
    for durable in [false, true] {
        let disk = Disk::default();
        let store = MemoryStore::open(&disk);
        let fence = store.acquire(P).expect("the partition is acquired");
        store.fail_next(Failure::Failed { durable });
        assert!(matches!(store.commit(&[pair(fence, 1)])[0], Err(StoreError::Failed(_))));
        assert!(matches!(store.commit(&[pair(fence, 2)])[0], Err(StoreError::Failed(_))));
        assert!(matches!(store.acquire(P), Err(StoreError::Failed(_))));
        assert_eq!(pairs(&MemoryStore::open(&disk)), if durable { vec![1] } else { vec![] });
    }
}

#[test]
fn a_full_disk_fails_the_commit_and_leaves_no_part_of_it() {
    let disk = Disk::default();
    let store = MemoryStore::open(&disk);
    let fence = store.acquire(P).expect("the partition is acquired");
    disk.set_free_bytes(20);
    assert_eq!(store.space().expect("the disk is asked").free_bytes, 20);
    let results = store.commit(&[pair(fence, 1)]);
    assert!(matches!(&results[..], [Err(StoreError::Failed(reason))] if reason.contains("space")), "{results:?}");
    disk.set_free_bytes(1 << 20);
    assert_eq!(pairs(&MemoryStore::open(&disk)), [0; 0]);
}

#[test]
fn a_long_history_is_compacted_and_loses_nothing() {
    let disk = Disk::default();
    let store = MemoryStore::open(&disk);
    let fence = store.acquire(P).expect("the partition is acquired");
    for step in 1..=20_000_u64 {
        let mut batch = Batch::default();
        batch.put(Table::Jobs, &[step as u8], |value| value.extend([step as u8; 1_000]));
        batch.feed(step, |record| record.push(1));
        batch.trim_feed(step);
        assert!(store.commit(&[Commit { fence, batch }])[0].is_ok());
    }
    assert!(disk.used_bytes() < 8 << 20, "{} bytes are kept", disk.used_bytes());
    disk.crash(|_| 0);
    let store = MemoryStore::open(&disk);
    assert_eq!(store.next_sequence(P).expect("the position is read"), 20_001);
    let mut rows = 0;
    let mut count = |_: &[u8], _: &[u8]| {
        rows += 1;
        std::ops::ControlFlow::Continue(())
    };
    store.scan(P, Table::Jobs, b"", &mut count).expect("the scan runs");
    assert_eq!(rows, 256);
}
