//! Places and choices, as wished.

use berth_policy_sdk::choosing::{Lanes, Worker};
use berth_policy_sdk::priority::{Affinity, Limit};
use berth_policy_sdk::{Choosing, Jobs, Places, Priority, clock, kv, stats};

use crate::Probe;
use crate::misdeeds::misbehave;

impl Priority for Probe {
    /// Rank 7 for all, unless the first job's mnemonic has another wish.
    fn place(jobs: Jobs) -> Places {
        let wish = jobs.strings[jobs.mnemonic[0] as usize].clone();
        misbehave(&wish);
        let (count, own) = (jobs.priority.len(), jobs.strings.len() as u32);
        let good = Places { rank: Some(vec![7; count]), ..Places::default() };
        let limit = |name: &str| Limit {
            name: name.to_owned(),
            max_running: Some(3),
            max_queued: None,
            min_running: 1,
            evict_after_ms: Some(20_000),
            cool_down_ms: 600_000,
        };
        let affinity = |key: &str, wait_ms| Affinity { key: key.to_owned(), weight: 2, wait_ms };
        match wish.as_str() {
            "huge" => Places { rank: Some(vec![0; 1 << 18]), ..good },
            "short" => Places { rank: Some(vec![0; count - 1]), ..good },
            "long" => Places { lane: Some(vec![0; count + 1]), ..good },
            "weightless" => Places { weight: Some(vec![0; count]), ..good },
            "beyond-the-table" => Places { lane: Some(vec![own; count]), ..good },
            "long-lane" => Places { lane: Some(vec![own; count]), strings: vec!["x".repeat(257)], ..good },
            "unknown-limit" => Places { counters: Some(vec![vec![0]; count]), ..good },
            "many-limits" => {
                let limits = (0..9).map(|n| limit(&n.to_string())).collect();
                Places { limits, counters: Some(vec![(0..9).collect(); count]), ..good }
            }
            "nameless-limit" => Places { limits: vec![limit("")], ..good },
            "patient" => Places { affinities: vec![affinity("a", 10_001)], ..good },
            "many-affinities" => Places {
                affinities: (0..5).map(|n| affinity(&n.to_string(), 0)).collect(),
                affine: Some(vec![(0..5).collect(); count]),
                ..good
            },
            "impatient" => Places { again_ms: Some(vec![1; count]), ..good },
            // No faults from here on.
            "everything" => Places {
                strings: vec!["mine".to_owned(), "key".to_owned()],
                lane: Some(vec![own; count]),
                weight: Some(vec![2; count]),
                limits: vec![limit("seats")],
                counters: Some(vec![vec![0]; count]),
                affinities: vec![affinity("warm", 100)],
                affine: Some(vec![vec![0]; count]),
                history: Some(vec![own + 1; count]),
                again_ms: Some(vec![5000; count]),
                ..good
            },
            "time" => Places { rank: Some(vec![clock::now_ms() as i64; count]), ..good },
            "learnt" => {
                let mean = stats::history_of("key").map_or(-1, |history| history.mean_ms as i64);
                let queued = stats::of_lane(&jobs.strings[jobs.instance[0] as usize], "").queued;
                Places { rank: Some(vec![mean + i64::from(queued); count]), ..good }
            }
            "kept" => {
                let kept = kv::get("seen").map_or(0, |value| i64::from(value[0]));
                let read_only = kv::set("seen", b"no").is_err();
                Places { rank: Some(vec![if read_only { kept } else { -1 }; count]), ..good }
            }
            _ => good,
        }
    }
}

impl Choosing for Probe {
    /// The last lane, unless the bot has another wish.
    fn choose(worker: Worker, lanes: Lanes, truncated: bool) -> Option<u32> {
        misbehave(&worker.bot_id);
        match worker.bot_id.as_str() {
            "beyond" => Some(lanes.name.len() as u32),
            "nobody" => None,
            "truncated" => Some(u32::from(truncated)),
            "lately" => lanes.name.iter().position(|name| worker.recent.last() == Some(name)).map(|lane| lane as u32),
            _ => Some(lanes.name.len() as u32 - 1),
        }
    }
}
