//! Walks over all operations of an instance that meet some conditions, in no order: for those who count, collect or change
//! them. A bounded step at a time, so that nobody is held up.
//!
//! What is not finished first: what ends meanwhile is met again among the finished, and none is left out.

use berth_core::{InstanceName, OperationView, Timestamp};
use berth_runtime::operations::{Chunk, Index, Listed, Need, Order, Stored, Value, Walk};

use super::{
    list::views,
    query::{Condition, Key, Operand, Operator, Query},
};
use crate::{error::Error, instances::Instance};

/// Places of the book that one step looks at: some hundred microseconds of the writer's time.
const PLACES_A_STEP: usize = 1_024;

/// Rows of an order that one step reads.
const ROWS_A_STEP: usize = 512;

/// What is wanted of all operations of an instance.
pub(crate) struct Scan {
    instance: Instance,
    conditions: Vec<Condition>,
    need: Need,
}

/// Where a scan goes on.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// Among what is not finished.
    Live(usize),
    /// Among what is; `None`: from its beginning.
    Finished(Option<Vec<u8>>),
}

/// What one step of a scan met.
pub(crate) struct Step {
    /// Operations that meet the conditions.
    pub(crate) matching: Vec<Listed>,
    /// How many were looked at.
    pub(crate) looked_at: usize,
    /// Where to go on; `None`: that was all.
    pub(crate) next: Option<Place>,
}

impl Place {
    /// Where a scan begins.
    pub(crate) const START: Self = Self::Live(0);
}

impl Scan {
    /// By a filter. An order makes no sense here.
    pub(crate) fn by_filter(instance: &Instance, filter: &str) -> Result<Self, Error> {
        let query = Query::parse(filter)?;
        if query.names_order() {
            return Err(Error::field("filter", "sort_order is for lists of operations: leave it out here"));
        }
        Ok(Self::new(instance, query.conditions, Need::default()))
    }

    /// All operations, with their own rows.
    pub(crate) fn of_all(instance: &Instance) -> Self {
        Self::new(instance, Vec::new(), Need { operation: true, body: false })
    }

    /// Those whose value of a key is this text, with their own rows.
    pub(crate) fn by_text(instance: &Instance, key: Key, text: &str) -> Self {
        let operand = Operand::Text(text.to_owned());
        let conditions = vec![Condition { key, operator: Operator::Equal, operand }];
        Self::new(instance, conditions, Need { operation: true, body: false })
    }

    fn new(instance: &Instance, conditions: Vec<Condition>, need: Need) -> Self {
        let needs = conditions.iter().map(|condition| condition.key.need());
        let need = needs
            .fold(need, |all, need| Need { operation: all.operation || need.operation, body: all.body || need.body });
        Self { instance: instance.clone(), conditions, need }
    }

    /// The next step; of what is not finished only what was there by then, if a time is named.
    pub(crate) async fn step(&self, place: Place, by: Option<Timestamp>) -> Result<Step, Error> {
        match place {
            Place::Live(from) => {
                let book = self.instance.engine.read(move |book| book.jobs_from(from, PLACES_A_STEP));
                let (jobs, next) = book.await?;
                let own = jobs.iter().filter(|job| job.instance == self.instance.name);
                let mut found: Vec<_> = own.flat_map(views).collect();
                found.retain(|view| by.is_none_or(|by| view.queued_at <= by));
                let next = next.map_or(Place::Finished(None), Place::Live);
                self.judge(found, Some(next)).await
            }
            Place::Finished(after) => {
                let (index, range) = self.range();
                let instance = self.instance.name.clone();
                let walk = Walk { index, instance, range, order: Order::Forward, after };
                let Chunk { operations, next } =
                    self.instance.engine.history().walk(walk, ROWS_A_STEP, self.need).await?;
                let looked_at = operations.len();
                let matching = operations.into_iter().filter(|listed| self.holds(listed)).collect();
                Ok(Step { matching, looked_at, next: next.map(|next| Place::Finished(Some(next))) })
            }
        }
    }

    /// Of these operations of jobs that are not finished; what is stored of them is read if what is known rules nothing
    /// out.
    async fn judge(&self, views: Vec<OperationView>, next: Option<Place>) -> Result<Step, Error> {
        let looked_at = views.len();
        let known = |view| Listed { view, stored: Stored::default() };
        let mut matching: Vec<_> = views.into_iter().map(known).collect();
        let cheap = |condition: &&Condition| condition.key.need() == Need::default();
        matching.retain(|listed| self.conditions.iter().filter(cheap).all(|condition| condition.holds(listed)));
        if self.need != Need::default() {
            let ids = matching.iter().map(|listed| (listed.view.operation, listed.view.job)).collect();
            let stored = self.instance.engine.history().stored(ids, self.need).await?;
            matching.iter_mut().zip(stored).for_each(|(listed, stored)| listed.stored = stored);
        }
        matching.retain(|listed| self.holds(listed));
        Ok(Step { matching, looked_at, next })
    }

    fn holds(&self, listed: &Listed) -> bool {
        self.conditions.iter().all(|condition| condition.holds(listed))
    }

    /// Invocations have an order of their own; for all else every row is looked at.
    fn range(&self) -> (Index, std::ops::Range<Vec<u8>>) {
        let name: &InstanceName = &self.instance.name;
        let invocation = self.conditions.iter().find_map(|condition| match (&condition.operand, condition.operator) {
            (Operand::Text(text), Operator::Equal) if condition.key == Key::InvocationId => Some(text),
            _ => None,
        });
        match invocation {
            Some(text) => (Index::Invocation, Index::Invocation.group(name, Value::Text(text))),
            None => (Index::Queued, Index::Queued.all(name)),
        }
    }
}
