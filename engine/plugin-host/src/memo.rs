//! Remembered answers of one version of one plugin, bounded by number and by bytes.
//!
//! A memo belongs to a loaded plugin, so that digest and configuration are part of every key without being written
//! into it. It is a cache: an answer may be forgotten and is then asked for again.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use berth_runtime::policy::{ExecutionProperties, PolicyError};

/// An answer worth keeping: what the platform requires, or the refusal. Never a fault.
pub(crate) type Answer = Result<Arc<ExecutionProperties>, PolicyError>;

/// Threads rarely meet in a shard, and hold it for some 100 ns.
const SHARDS: usize = 16;

pub(crate) struct Memo {
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
    /// Bounds of one generation of one shard.
    entries_max: usize,
    bytes_max: usize,
}

/// Two generations approximate "least recently used" at the cost of a plain map: what is used moves to the young one,
/// and when that is full, the old one is forgotten as a whole and the young one becomes old.
#[derive(Default)]
struct Shard {
    young: HashMap<Arc<[u8]>, Answer>,
    young_bytes: usize,
    old: HashMap<Arc<[u8]>, Answer>,
}

impl Memo {
    pub(crate) fn new(entries_max: usize, bytes_max: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
            entries_max: (entries_max / SHARDS / 2).max(1),
            bytes_max: bytes_max / SHARDS / 2,
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<Answer> {
        let mut shard = self.shard(key);
        if let Some(answer) = shard.young.get(key) {
            return Some(answer.clone());
        }
        let (key, answer) = shard.old.remove_entry(key)?;
        self.keep(&mut shard, key, answer.clone());
        Some(answer)
    }

    pub(crate) fn put(&self, key: &[u8], answer: &Answer) {
        let mut shard = self.shard(key);
        self.keep(&mut shard, key.into(), answer.clone());
    }

    pub(crate) fn len(&self) -> usize {
        let count = |shard: &Mutex<Shard>| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.young.len() + shard.old.len()
        };
        self.shards.iter().map(count).sum()
    }

    fn keep(&self, shard: &mut Shard, key: Arc<[u8]>, answer: Answer) {
        let bytes = weight(&key, &answer);
        // One that would push out all others is not worth it.
        if bytes > self.bytes_max {
            return;
        }
        if shard.young.len() >= self.entries_max || shard.young_bytes + bytes > self.bytes_max {
            shard.old = std::mem::take(&mut shard.young);
            shard.young_bytes = 0;
        }
        if shard.young.insert(key, answer).is_none() {
            shard.young_bytes += bytes;
        }
    }

    fn shard(&self, key: &[u8]) -> std::sync::MutexGuard<'_, Shard> {
        // A hash of its own: the maps use another, so that keys of one shard do not crowd in them.
        let shard = self.hasher.hash_one(key) as usize % SHARDS;
        // A map that was half changed when a thread panicked is still a map; entries are only ever lost.
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// About the bytes that an entry occupies.
fn weight(key: &[u8], answer: &Answer) -> usize {
    const ENTRY: usize = 200;
    const PROPERTY: usize = 48;
    let answer_bytes = match answer {
        Ok(properties) => {
            let all = properties.requirements.iter().chain(properties.preferred.iter().flatten());
            all.map(|property| PROPERTY + property.name.len() + property.value.len()).sum()
        }
        Err(refusal) => match refusal {
            PolicyError::UnknownProperty { name, known: rest }
            | PolicyError::MalformedProperty { name, expected: rest } => name.len() + rest.len(),
            PolicyError::DuplicateProperty { name: text }
            | PolicyError::FailedPrecondition { reason: text }
            | PolicyError::Exhausted { reason: text, .. }
            | PolicyError::Denied { reason: text }
            | PolicyError::Fault { plugin: text } => text.len(),
        },
    };
    ENTRY + key.len() + answer_bytes
}

/// Calls `use_key` with the key of a question: the instance name and the platform, which must be sorted.
/// No allocation once a thread has made a key of that size.
pub(crate) fn with_key<R>(instance: &str, platform: &[&(String, String)], use_key: impl FnOnce(&[u8]) -> R) -> R {
    thread_local! {
        static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    // Taken out, not borrowed: `use_key` may come here again.
    let mut key = BUFFER.with(|buffer| std::mem::take(&mut *buffer.borrow_mut()));
    key.clear();
    // Lengths first: no two questions have the same key.
    let mut write = |text: &str| {
        key.extend_from_slice(&(text.len() as u64).to_le_bytes());
        key.extend_from_slice(text.as_bytes());
    };
    write(instance);
    for (name, value) in platform {
        write(name);
        write(value);
    }
    let result = use_key(&key);
    const KEPT_BYTES_MAX: usize = 64 << 10;
    if key.capacity() <= KEPT_BYTES_MAX {
        BUFFER.with(|buffer| *buffer.borrow_mut() = key);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(label: &str) -> Answer {
        Ok(Arc::new(ExecutionProperties { label: label.into(), requirements: Default::default(), preferred: None }))
    }

    #[test]
    fn what_was_put_in_is_found_again_refusals_too() {
        let memo = Memo::new(100, 1 << 20);
        let refused = Err(PolicyError::Denied { reason: "no".to_owned() });
        memo.put(b"a", &answer("one"));
        memo.put(b"b", &refused);
        assert_eq!(memo.get(b"a"), Some(answer("one")));
        assert_eq!(memo.get(b"b"), Some(refused));
        assert_eq!(memo.get(b"c"), None);
    }

    #[test]
    fn the_number_of_entries_is_bounded_and_what_is_used_stays() {
        let memo = Memo::new(640, 1 << 30);
        memo.put(b"favourite", &answer("kept"));
        for n in 0..100_000_u32 {
            memo.put(&n.to_le_bytes(), &answer("x"));
            assert_eq!(memo.get(b"favourite"), Some(answer("kept")), "after {n}");
        }
        assert!(memo.len() <= 640 + SHARDS, "{}", memo.len());
    }

    #[test]
    fn the_bytes_are_bounded_whatever_clients_send() {
        let memo = Memo::new(1_000_000, 1 << 20);
        for n in 0..2_000_u32 {
            let mut key = vec![0; 5_000];
            key[..4].copy_from_slice(&n.to_le_bytes());
            memo.put(&key, &answer("x"));
        }
        assert!(memo.len() * 5_000 <= 1 << 20, "{}", memo.len());
        memo.put(&vec![1; 1 << 20], &answer("too large"));
        assert_eq!(memo.get(&vec![1; 1 << 20]), None);
    }

    #[test]
    fn keys_of_different_questions_differ() {
        let key = |instance: &str, platform: &[(&str, &str)]| {
            let owned: Vec<_> = platform.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            with_key(instance, &owned.iter().collect::<Vec<_>>(), <[u8]>::to_vec)
        };
        assert_ne!(key("a", &[("b", "c")]), key("ab", &[("", "c")]));
        assert_ne!(key("", &[("a", "b"), ("c", "d")]), key("", &[("a", "b")]));
        assert_eq!(key("i", &[("a", "b")]), key("i", &[("a", "b")]));
    }
}
