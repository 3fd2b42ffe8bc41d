//! Finished operations in the orders in which clients list them.
//!
//! `index` says which orders there are and how their rows look, `keep` writes and deletes those rows together with the
//! rows that they point to, `read` walks them, and `rebuild` makes them for a store that an older version wrote. What a
//! client may ask, and in which order the answer is, belongs to the services.

mod index;
mod keep;
mod read;
mod rebuild;

#[cfg(test)]
mod tests;

pub use self::{
    index::{Index, TEXT_BYTES_MAX, Value, cut},
    read::{Chunk, Listed, Need, Order, Stored, Walk},
};
pub(crate) use self::{
    keep::{Entry, delete_entries, entries_of, handle_of, put_finished, put_invocation},
    rebuild::ensure,
};
