//! Bots with one slot each: who waits, and who knows which keys.

use std::collections::{BTreeSet, VecDeque};

use berth_policy_sdk::priority::Affinity;

/// Keys that Berth remembers of a bot.
const KEYS_MAX: usize = 16;

#[derive(Debug)]
pub(crate) struct Bots {
    /// Those that wait, longest first: when they began, and their number.
    pub(crate) waiting: BTreeSet<(u64, usize)>,
    keys: Vec<VecDeque<String>>,
    /// Orders waits that begin at the same time.
    waits: u64,
}

impl Bots {
    pub(crate) fn new(count: usize) -> Self {
        let waiting = (0..count).map(|bot| (bot as u64, bot)).collect();
        Self { waiting, keys: vec![VecDeque::new(); count], waits: count as u64 }
    }

    pub(crate) fn waits(&mut self, bot: usize) {
        self.waits += 1;
        self.waiting.insert((self.waits, bot));
    }

    /// The best of those that wait, and what it shares with the job.
    pub(crate) fn best_for(&self, affine: &[Affinity]) -> Option<(usize, u64)> {
        let shared = |bot: usize| -> u64 {
            affine.iter().filter(|one| self.keys[bot].contains(&one.key)).map(|one| u64::from(one.weight)).sum()
        };
        let bots = self.waiting.iter().map(|(since, bot)| (*since, *bot, shared(*bot)));
        let best = bots.min_by_key(|(since, _, shared)| (std::cmp::Reverse(*shared), *since));
        best.map(|(_, bot, shared)| (bot, shared))
    }

    pub(crate) fn takes(&mut self, bot: usize, affine: &[Affinity]) {
        self.waiting.retain(|(_, waiting)| *waiting != bot);
        let keys = &mut self.keys[bot];
        for Affinity { key, .. } in affine {
            keys.retain(|known| known != key);
            keys.push_back(key.clone());
        }
        while keys.len() > KEYS_MAX {
            keys.pop_front();
        }
    }
}
