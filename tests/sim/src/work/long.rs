//! A call that is done step by step, of the book and of the model: with other calls in between.

use berth_core::work::{Book, CallId, SpecName, Value};

use super::{
    call::{Call, text},
    model::Model,
};

/// Where it stands.
#[derive(Clone, Debug)]
pub(super) struct Long {
    call: Call,
    /// What must not be done twice.
    id: Option<CallId>,
    /// How much a step does.
    most: usize,
    begun: bool,
    done: u64,
    last: Option<SpecName>,
}

macro_rules! step {
    ($long:expr, $who:expr) => {{
        let long = $long;
        if !std::mem::replace(&mut long.begun, true)
            && let Some(id) = long.id
            && let Some(said) = $who.answered_before(id)
        {
            return Some(text(said));
        }
        let (said, more) = match &mut long.call {
            Call::Clear => {
                let (count, more) = $who.clear(&mut long.last, long.most);
                long.done += count;
                (text(long.done), more)
            }
            Call::DeleteUnits(name, which) => match $who.delete_units(name, which, long.most) {
                Ok((count, more)) => {
                    long.done += count;
                    (text(long.done), more)
                }
                Err(refusal) => (text(refusal), false),
            },
            Call::Archive(names) => ("archived".into(), $who.archive(names.as_deref(), long.most)),
            Call::DeleteLocks(prefix) => ("deleted".into(), $who.delete_locks(prefix, long.most)),
            other => unreachable!("{other:?} is done at once"),
        };
        if more {
            return None;
        }
        let Some(id) = long.id else { return Some(said) };
        let said: Value = said.as_bytes().into();
        $who.keep_answer(id, said.clone());
        Some(text(said))
    }};
}

impl Long {
    pub(super) fn new(call: Call, most: usize) -> Self {
        let (call, id) = match call {
            Call::Once(id, call) => (*call, Some(id)),
            call => (call, None),
        };
        Self { call, id, most, begun: false, done: 0, last: None }
    }

    /// The connection that must not be said to have ended before this is over.
    pub(super) fn connection(&self) -> Option<u64> {
        Some(self.id?.connection)
    }

    /// Answers when it is over.
    pub(super) fn step_of_book(&mut self, book: &mut Book) -> Option<String> {
        step!(self, book)
    }

    /// Answers when it is over.
    pub(super) fn step_of_model(&mut self, model: &mut Model) -> Option<String> {
        step!(self, model)
    }
}
