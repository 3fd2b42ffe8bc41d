//! Questions for the tests.

use berth_runtime::policy::{ExecutionQuestion, PlaceQuestion, WorkerQuestion};

pub(crate) fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

pub(crate) fn execution(platform: &[(String, String)]) -> ExecutionQuestion<'_> {
    ExecutionQuestion { instance: "main", platform }
}

pub(crate) fn worker(properties: &[(String, String)]) -> WorkerQuestion<'_> {
    WorkerQuestion { instance: "main", bot_id: "bot-1", properties }
}

pub(crate) fn job(mnemonic: &str) -> PlaceQuestion<'_> {
    PlaceQuestion {
        instance: "main",
        priority: 0,
        label: "linux",
        invocation: "6a1f",
        correlated_invocations: "",
        tool: "bazel",
        mnemonic,
        target: "//:target",
        ..PlaceQuestion::default()
    }
}

/// Numbers that look random and are the same in every run (splitmix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}
