//! The jobs of a test, and how they become a question.

use std::collections::BTreeMap;

use berth_policy_sdk::Jobs;

/// A job that will arrive.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Job {
    /// When it arrives, in milliseconds.
    pub arrives_ms: u64,
    /// How long it runs, in milliseconds.
    pub runs_ms: u64,
    /// The columns of the question, by their names.
    pub instance: String,
    /// Who the client is.
    pub tenant: String,
    /// The build.
    pub invocation: String,
    /// What several builds share.
    pub correlated_invocations: String,
    /// The build tool.
    pub tool: String,
    /// The kind of action.
    pub mnemonic: String,
    /// The target.
    pub target: String,
    /// Where the inputs are.
    pub locality_hint: String,
    /// REAPI's priority.
    pub priority: i32,
}

/// A question about these jobs.
pub(crate) fn question(jobs: &[(&Job, u64)]) -> Jobs {
    let mut texts = Texts { strings: vec![String::new()], indexes: BTreeMap::from([(String::new(), 0)]) };
    let mut question = Jobs::default();
    for (job, waited_ms) in jobs {
        question.instance.push(texts.index(&job.instance));
        question.tenant.push(texts.index(&job.tenant));
        question.label.push(texts.index("linux"));
        question.priority.push(job.priority);
        question.invocation.push(texts.index(&job.invocation));
        question.correlated_invocations.push(texts.index(&job.correlated_invocations));
        question.tool.push(texts.index(&job.tool));
        question.mnemonic.push(texts.index(&job.mnemonic));
        question.target.push(texts.index(&job.target));
        question.locality_hint.push(texts.index(&job.locality_hint));
        question.waited_ms.push(*waited_ms);
    }
    question.strings = texts.strings;
    question
}

struct Texts {
    strings: Vec<String>,
    indexes: BTreeMap<String, u32>,
}

impl Texts {
    fn index(&mut self, text: &str) -> u32 {
        if let Some(index) = self.indexes.get(text) {
            return *index;
        }
        let index = self.strings.len() as u32;
        self.strings.push(text.to_owned());
        self.indexes.insert(text.to_owned(), index);
        index
    }
}
