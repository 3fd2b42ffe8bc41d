//! What a client asks of a list: conditions and an order, as one line of text.
//!
//! `key` has the words, `about` says what they mean, `parse` reads the line, `condition` says what holds, `order` what comes first, `time` how times
//! are written, `token` what a page leaves for the next one.

mod about;
mod condition;
mod key;
mod order;
mod parse;
mod time;
mod token;

#[cfg(test)]
mod tests;

pub(crate) use self::{about::about, key::Key};
pub(super) use self::{
    condition::{Condition, Operand, Operator},
    key::COMPLETED,
    order::{Ordered, SortKey, Value, compare},
    parse::{Query, digest_of},
    token::{Carry, Reached, Token},
};
