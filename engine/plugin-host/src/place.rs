//! Asking a plugin for places: jobs into columns, columns checked and into places.

use std::collections::HashMap;
use std::sync::Arc;

use berth_core::LaneKey;
use berth_runtime::policy::{PlaceQuestion, Placement};

use crate::bindings::priority::{Jobs, Places};
use crate::fault::Fault;
use crate::instance::cut;
use crate::plugin::Plugin;
use crate::stats::Function;

/// Jobs in one call. Bounds what a call may take, whatever the caller collected.
pub(crate) const BATCH_JOBS_MAX: usize = 1024;
/// A longer text of a client is cut for the guest, so that no client can drive a plugin into its limits.
const TEXT_BYTES_MAX: usize = 1024;
const LANE_BYTES_MAX: usize = 256;
/// Up to here a search through the table is quicker than a map.
const SEARCHED_MAX: usize = 16;

impl Plugin {
    /// Where these jobs stand; at most [`BATCH_JOBS_MAX`] of them. Always asks the guest.
    pub(crate) fn place(&self, questions: &[PlaceQuestion<'_>]) -> Result<Vec<Placement>, Fault> {
        self.count_questions(Function::Place, questions.len());
        let columns = Columns::of(questions);
        self.call(
            Function::Place,
            self.host.limits().place_deadline,
            |live| {
                let guest = live.priority.as_ref().expect("a plugin is asked only for what it exports");
                guest.call_place(&mut live.store, columns.for_guest())
            },
            |places| checked(places, &columns.texts.strings, questions.len()),
        )
    }
}

/// The jobs as the contract wants them. Vectors of one allocation each: a batch of one is the usual case.
struct Columns<'a> {
    texts: Texts<'a>,
    instance: Vec<u32>,
    label: Vec<u32>,
    priority: Vec<i32>,
    invocation: Vec<u32>,
    correlated_invocations: Vec<u32>,
    tool: Vec<u32>,
    mnemonic: Vec<u32>,
    target: Vec<u32>,
}

impl<'a> Columns<'a> {
    fn of(questions: &[PlaceQuestion<'a>]) -> Self {
        let mut texts = Texts { strings: vec![""], places: HashMap::new() };
        let mut column = |text: fn(&PlaceQuestion<'a>) -> &'a str| -> Vec<u32> {
            // Neighbours often have the same text: jobs of one build.
            let mut last = ("", 0);
            let index = |question| {
                let text = cut(text(question), TEXT_BYTES_MAX);
                if text != last.0 {
                    last = (text, texts.index(text));
                }
                last.1
            };
            questions.iter().map(index).collect()
        };
        Self {
            instance: column(|question| question.instance),
            label: column(|question| question.label),
            priority: questions.iter().map(|question| question.priority).collect(),
            invocation: column(|question| question.invocation),
            correlated_invocations: column(|question| question.correlated_invocations),
            tool: column(|question| question.tool),
            mnemonic: column(|question| question.mnemonic),
            target: column(|question| question.target),
            texts,
        }
    }

    fn for_guest(&self) -> Jobs<'_> {
        Jobs {
            strings: &self.texts.strings,
            instance: &self.instance,
            label: &self.label,
            priority: &self.priority,
            invocation: &self.invocation,
            correlated_invocations: &self.correlated_invocations,
            tool: &self.tool,
            mnemonic: &self.mnemonic,
            target: &self.target,
        }
    }
}

/// The table of texts: each once, the empty one first.
struct Texts<'a> {
    strings: Vec<&'a str>,
    /// Filled once the table is too long to search.
    places: HashMap<&'a str, u32>,
}

impl<'a> Texts<'a> {
    fn index(&mut self, text: &'a str) -> u32 {
        if self.strings.len() <= SEARCHED_MAX {
            if let Some(found) = self.strings.iter().position(|known| *known == text) {
                return found as u32;
            }
        } else {
            if self.places.is_empty() {
                self.places = self.strings.iter().zip(0..).map(|(text, place)| (*text, place)).collect();
            }
            if let Some(found) = self.places.get(text) {
                return *found;
            }
        }
        // Bounded: seven texts a job.
        let place = self.strings.len() as u32;
        self.strings.push(text);
        if !self.places.is_empty() {
            self.places.insert(text, place);
        }
        place
    }
}

fn checked(places: Places, asked: &[&str], jobs: usize) -> Result<Vec<Placement>, Fault> {
    let same_length = |name: &str, length: Option<usize>| match length {
        Some(length) if length != jobs => Err(Fault::nonsense(format!("{name} has {length} entries for {jobs} jobs"))),
        _ => Ok(()),
    };
    same_length("lane", places.lane.as_ref().map(Vec::len))?;
    same_length("weight", places.weight.as_ref().map(Vec::len))?;
    same_length("rank", places.rank.as_ref().map(Vec::len))?;
    if places.weight.as_ref().is_some_and(|weights| weights.contains(&0)) {
        return Err(Fault::nonsense("a weight is 0"));
    }
    let mut lanes =
        Lanes { asked, more: &places.strings, known: vec![(0, LaneKey::default())], by_index: HashMap::new() };
    let place = |job: usize| {
        Ok(Placement {
            lane: lanes.key(places.lane.as_ref().map_or(0, |column| column[job]))?,
            weight: places.weight.as_ref().map_or(1, |column| column[job]),
            rank: places.rank.as_ref().map_or(0, |column| column[job]),
            ..Placement::default()
        })
    };
    (0..jobs).map(place).collect()
}

/// The keys of lanes by the index that the guest uses. Each is made once for a batch.
struct Lanes<'a> {
    asked: &'a [&'a str],
    more: &'a [String],
    /// The first few, searched; most batches need no more.
    known: Vec<(u32, LaneKey)>,
    by_index: HashMap<u32, LaneKey>,
}

impl Lanes<'_> {
    fn key(&mut self, index: u32) -> Result<LaneKey, Fault> {
        let known = self.known.iter().find(|(known, _)| *known == index).map(|(_, key)| key);
        if let Some(key) = known.or_else(|| self.by_index.get(&index)) {
            return Ok(key.clone());
        }
        let (place, texts) = (index as usize, self.asked.len() + self.more.len());
        let text = self.asked.get(place).copied();
        let text = text.or_else(|| self.more.get(place.checked_sub(self.asked.len())?).map(String::as_str));
        let text = text.ok_or_else(|| Fault::nonsense(format!("lane {index} of a table of {texts} texts")))?;
        if text.len() > LANE_BYTES_MAX {
            return Err(Fault::nonsense(format!("the name of a lane has {} bytes", text.len())));
        }
        let key = LaneKey(Arc::from(text));
        if self.known.len() < SEARCHED_MAX {
            self.known.push((index, key.clone()));
        } else {
            self.by_index.insert(index, key.clone());
        }
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question<'a>(invocation: &'a str, target: &'a str) -> PlaceQuestion<'a> {
        PlaceQuestion {
            instance: "main",
            priority: 3,
            label: "linux",
            invocation,
            correlated_invocations: "",
            tool: "bazel",
            mnemonic: "CppCompile",
            target,
            ..PlaceQuestion::default()
        }
    }

    #[test]
    fn each_text_is_sent_once_and_the_empty_one_is_first() {
        let targets: Vec<String> = (0..100).map(|n| format!("//:{}", n % 50)).collect();
        let questions: Vec<_> = targets.iter().map(|target| question("i", target)).collect();
        let columns = Columns::of(&questions);
        let jobs = columns.for_guest();
        assert_eq!(jobs.strings[0], "");
        assert_eq!(jobs.strings.len(), 1 + 5 + 50);
        for (job, asked) in questions.iter().enumerate() {
            let text = |column: &[u32]| jobs.strings[column[job] as usize];
            assert_eq!(text(jobs.target), asked.target);
            assert_eq!((text(jobs.instance), text(jobs.tool)), ("main", "bazel"));
            assert_eq!((text(jobs.invocation), jobs.correlated_invocations[job]), ("i", 0));
        }
    }

    #[test]
    fn a_lane_may_be_named_by_either_table_and_no_column_means_the_default() {
        let places = Places { strings: vec!["mine".to_owned()], lane: Some(vec![1, 2, 0]), weight: None, rank: None };
        let placed = checked(places, &["", "theirs"], 3).unwrap();
        let lanes: Vec<_> = placed.iter().map(|place| &*place.lane.0).collect();
        assert_eq!(lanes, ["theirs", "mine", ""]);
        assert!(placed.iter().all(|place| place.weight == 1 && place.rank == 0));
    }

    #[test]
    fn answers_that_break_the_rules_are_faults() {
        let good = || Places { strings: vec![], lane: None, weight: None, rank: None };
        let bad = [
            Places { rank: Some(vec![1]), ..good() },
            Places { lane: Some(vec![0; 3]), ..good() },
            Places { weight: Some(vec![1, 0]), ..good() },
            Places { lane: Some(vec![0, 1]), ..good() },
            Places { lane: Some(vec![u32::MAX, 0]), ..good() },
            Places { lane: Some(vec![1, 0]), strings: vec!["x".repeat(257)], ..good() },
        ];
        for places in bad {
            assert!(checked(places, &[""], 2).is_err());
        }
        assert!(checked(good(), &[""], 2).is_ok());
    }
}
