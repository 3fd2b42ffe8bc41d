//! Jobs as the columns that the contract asks for. Made once a batch, whoever is asked.

use std::collections::HashMap;

use berth_runtime::policy::PlaceQuestion;

use crate::bindings::v1::priority::Jobs;
use crate::convert::{ASKED_TEXT_BYTES_MAX, millis};
use crate::instance::cut;

/// Up to here a search through the table is quicker than a map.
pub(crate) const SEARCHED_MAX: usize = 16;

/// Vectors of one allocation each: a batch of one is the usual case.
pub(crate) struct Columns<'a> {
    pub(crate) texts: Texts<'a>,
    instance: Vec<u32>,
    tenant: Vec<u32>,
    label: Vec<u32>,
    priority: Vec<i32>,
    invocation: Vec<u32>,
    correlated_invocations: Vec<u32>,
    tool: Vec<u32>,
    mnemonic: Vec<u32>,
    target: Vec<u32>,
    locality_hint: Vec<u32>,
    waited_ms: Vec<u64>,
}

impl<'a> Columns<'a> {
    pub(crate) fn of(questions: &[PlaceQuestion<'a>]) -> Self {
        let mut texts = Texts { strings: vec![""], places: HashMap::new() };
        let mut column = |text: fn(&PlaceQuestion<'a>) -> &'a str| -> Vec<u32> {
            // Neighbours often have the same text: jobs of one build.
            let mut last = ("", 0);
            let index = |question| {
                let text = cut(text(question), ASKED_TEXT_BYTES_MAX);
                if text != last.0 {
                    last = (text, texts.index(text));
                }
                last.1
            };
            questions.iter().map(index).collect()
        };
        Self {
            instance: column(|question| question.instance),
            tenant: column(|question| question.tenant),
            label: column(|question| question.label),
            priority: questions.iter().map(|question| question.priority).collect(),
            invocation: column(|question| question.invocation),
            correlated_invocations: column(|question| question.correlated_invocations),
            tool: column(|question| question.tool),
            mnemonic: column(|question| question.mnemonic),
            target: column(|question| question.target),
            locality_hint: column(|question| question.locality_hint),
            waited_ms: questions.iter().map(|question| millis(question.waited)).collect(),
            texts,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.priority.len()
    }

    pub(crate) fn for_guest(&self) -> Jobs<'_> {
        Jobs {
            strings: &self.texts.strings,
            instance: &self.instance,
            tenant: &self.tenant,
            label: &self.label,
            priority: &self.priority,
            invocation: &self.invocation,
            correlated_invocations: &self.correlated_invocations,
            tool: &self.tool,
            mnemonic: &self.mnemonic,
            target: &self.target,
            locality_hint: &self.locality_hint,
            waited_ms: &self.waited_ms,
        }
    }
}

/// The table of texts: each once, the empty one first.
pub(crate) struct Texts<'a> {
    pub(crate) strings: Vec<&'a str>,
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
        // Bounded: nine texts a job.
        let place = self.strings.len() as u32;
        self.strings.push(text);
        if !self.places.is_empty() {
            self.places.insert(text, place);
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_is_sent_once_and_the_empty_one_is_first() {
        let targets: Vec<String> = (0..100).map(|n| format!("//:{}", n % 50)).collect();
        let questions: Vec<_> = targets
            .iter()
            .map(|target| PlaceQuestion {
                instance: "main",
                priority: 3,
                label: "linux",
                invocation: "i",
                tool: "bazel",
                mnemonic: "CppCompile",
                target,
                ..PlaceQuestion::default()
            })
            .collect();
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
}
