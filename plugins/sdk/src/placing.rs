//! The columns of `priority`, handled as rows: [`Jobs::rows`] to read the question, [`Placing`] to write the answer.
//!
//! Columns are what makes a batch cheap. A policy that only passes a column on (`lane: Some(jobs.invocation)`) needs
//! nothing of this.

use std::collections::BTreeMap;

use crate::priority::{Affinity, Jobs, Limit, Places};

impl Jobs {
    /// How many jobs there are.
    pub fn len(&self) -> usize {
        self.priority.len()
    }

    /// Whether there are none. Berth does not ask about none.
    pub fn is_empty(&self) -> bool {
        self.priority.is_empty()
    }

    /// The text behind an entry of one of the columns.
    pub fn text(&self, index: u32) -> &str {
        &self.strings[index as usize]
    }

    /// The jobs, one after the other.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Job<'_>> {
        (0..self.len()).map(|index| Job { jobs: self, index })
    }
}

/// One job of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    jobs: &'a Jobs,
    index: usize,
}

/// A function for each column of texts.
macro_rules! texts {
    ($($(#[$doc:meta])* $column:ident)+) => {
        impl<'a> Job<'a> {
            $($(#[$doc])* pub fn $column(&self) -> &'a str {
                self.jobs.text(self.jobs.$column[self.index])
            })+
        }
    };
}

texts! {
    /// The instance name of the request.
    instance
    /// Who the client is.
    tenant
    /// The label from `execution_properties`.
    label
    /// The invocation of the build tool: one build.
    invocation
    /// What several invocations share, such as a CI pipeline.
    correlated_invocations
    /// The name of the build tool.
    tool
    /// What kind of action it is, such as `CppCompile`.
    mnemonic
    /// The target that is being built.
    target
    /// What a client says of where its inputs are.
    locality_hint
}

impl Job<'_> {
    /// Its number in the batch, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The priority from REAPI's execution policy: smaller is sooner.
    pub fn priority(&self) -> i32 {
        self.jobs.priority[self.index]
    }

    /// How long it has been queued, in milliseconds: 0 when it is new.
    pub fn waited_ms(&self) -> u64 {
        self.jobs.waited_ms[self.index]
    }
}

/// Collects places job by job. A column that is set for one job is there for all, the others having the default; a
/// column that is never set is not in the answer.
#[derive(Debug)]
pub struct Placing {
    count: usize,
    /// How many texts the question has: ours follow.
    texts_before: usize,
    texts: BTreeMap<String, u32>,
    limits: BTreeMap<String, u32>,
    places: Places,
}

impl Placing {
    /// For the answer to `jobs`.
    pub fn of(jobs: &Jobs) -> Self {
        Self {
            count: jobs.len(),
            texts_before: jobs.strings.len(),
            texts: BTreeMap::new(),
            limits: BTreeMap::new(),
            places: Places::default(),
        }
    }

    /// The job stands in the lane of this name.
    pub fn lane(&mut self, job: Job<'_>, name: &str) {
        let index = self.text(name);
        column(&mut self.places.lane, self.count, 0)[job.index] = index;
    }

    /// The weight of the job's lane.
    pub fn weight(&mut self, job: Job<'_>, weight: u32) {
        column(&mut self.places.weight, self.count, 1)[job.index] = weight;
    }

    /// The job's rank; smaller is sooner.
    pub fn rank(&mut self, job: Job<'_>, rank: i64) {
        column(&mut self.places.rank, self.count, 0)[job.index] = rank;
    }

    /// One more counter that the job belongs to, at most 8. The last numbers for a name count.
    pub fn limit(&mut self, job: Job<'_>, limit: Limit) {
        let next = self.places.limits.len() as u32;
        let index = *self.limits.entry(limit.name.clone()).or_insert(next);
        match self.places.limits.get_mut(index as usize) {
            Some(known) => *known = limit,
            None => self.places.limits.push(limit),
        }
        column(&mut self.places.counters, self.count, Vec::new())[job.index].push(index);
    }

    /// One more affinity of the job, at most 4.
    pub fn affinity(&mut self, job: Job<'_>, affinity: Affinity) {
        // Jobs of one build come together and tend to share their keys: the last ones are the likeliest.
        let known = self.places.affinities.iter().rposition(|known| *known == affinity);
        let index = known.unwrap_or_else(|| {
            self.places.affinities.push(affinity);
            self.places.affinities.len() - 1
        });
        column(&mut self.places.affine, self.count, Vec::new())[job.index].push(index as u32);
    }

    /// The key under which Berth keeps what is learnt of the job.
    pub fn history(&mut self, job: Job<'_>, key: &str) {
        let index = self.text(key);
        column(&mut self.places.history, self.count, 0)[job.index] = index;
    }

    /// After how many milliseconds in the queue Berth asks for the job's place again.
    pub fn again_ms(&mut self, job: Job<'_>, again_ms: u32) {
        column(&mut self.places.again_ms, self.count, 0)[job.index] = again_ms;
    }

    /// The answer.
    pub fn finish(self) -> Places {
        self.places
    }

    fn text(&mut self, text: &str) -> u32 {
        // The question's first text is always the empty one.
        if text.is_empty() {
            return 0;
        }
        if let Some(index) = self.texts.get(text) {
            return *index;
        }
        let index = (self.texts_before + self.places.strings.len()) as u32;
        self.places.strings.push(text.to_owned());
        self.texts.insert(text.to_owned(), index);
        index
    }
}

fn column<Entry: Clone>(column: &mut Option<Vec<Entry>>, count: usize, default: Entry) -> &mut Vec<Entry> {
    column.get_or_insert_with(|| vec![default; count])
}
