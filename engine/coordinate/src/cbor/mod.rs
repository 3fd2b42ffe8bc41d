//! CBOR: finding the end of an item, looking at one where it lies, and writing.
//!
//! What clients send as data is never decoded and encoded again: it is checked once, kept as it came, and copied into
//! answers. So lists stay lists, tuples tuples, and text and byte strings what they were.

mod canonical;
mod scan;
mod value;
mod write;

pub(crate) use self::{
    canonical::canonical,
    scan::{Malformed, Scan, Scanned},
    value::{Items, Number, TAG_CBOR, Value},
    write::Writer,
};
