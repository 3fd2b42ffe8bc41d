//! The policy's own durable table. It is written during `on_events` only; every other function reads what was kept
//! last. Not for `Properties` and `Matching`: there it is a fault.
//!
//! Values are bytes; [`get_json`] and its like keep records as JSON, so that a person can read the table. Errors turn
//! into the text that `on_events` returns, so `?` does.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

#[cfg(target_arch = "wasm32")]
use crate::bindings::imports::berth::policy::kv as host;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::host::kv as host;

pub use crate::bindings::imports::berth::policy::kv::{Entry, KvError};

/// Rows that [`scan`] gets at a time.
const SCAN_ROWS: u32 = 256;

/// Why a row was not written or not understood.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// Berth did not write it.
    Refused(KvError),
    /// What is in the row is not what was expected: its key, and what is wrong.
    Unreadable(String, String),
}

/// The value of a key.
pub fn get(key: &str) -> Option<Vec<u8>> {
    host::get(key)
}

/// Sets the value of a key.
pub fn set(key: &str, value: &[u8]) -> Result<(), Error> {
    host::set(key, value).map_err(Error::Refused)
}

/// Removes a key, if it is there.
pub fn delete(key: &str) -> Result<(), Error> {
    host::delete(key).map_err(Error::Refused)
}

/// All rows whose keys begin with the prefix, in the order of the keys; fetched as they are used.
pub fn scan(prefix: &str) -> impl Iterator<Item = Entry> {
    let prefix = prefix.to_owned();
    let mut rows = host::scan(&prefix, None, SCAN_ROWS).into_iter();
    let mut last: Option<String> = None;
    std::iter::from_fn(move || {
        let row = rows.next().or_else(|| {
            rows = host::scan(&prefix, Some(&last.take()?), SCAN_ROWS).into_iter();
            rows.next()
        })?;
        last = Some(row.key.clone());
        Some(row)
    })
}

/// The record that [`set_json`] kept.
pub fn get_json<Record: DeserializeOwned>(key: &str) -> Result<Option<Record>, Error> {
    get(key).map(|value| read(key, &value)).transpose()
}

/// Keeps a record as JSON.
pub fn set_json<Record: Serialize>(key: &str, record: &Record) -> Result<(), Error> {
    let text = serde_json::to_vec(record).map_err(|error| Error::Unreadable(key.to_owned(), error.to_string()))?;
    set(key, &text)
}

/// All records whose keys begin with the prefix, with their keys.
pub fn scan_json<Record: DeserializeOwned>(prefix: &str) -> impl Iterator<Item = Result<(String, Record), Error>> {
    scan(prefix).map(|row| read(&row.key, &row.value).map(|record| (row.key, record)))
}

/// Adds to a number that is kept as decimal digits (no row: 0), and returns the sum. It stays at `u64::MAX`.
pub fn add(key: &str, by: u64) -> Result<u64, Error> {
    let sum = get_json::<u64>(key)?.unwrap_or(0).saturating_add(by);
    set_json(key, &sum)?;
    Ok(sum)
}

fn read<Record: DeserializeOwned>(key: &str, value: &[u8]) -> Result<Record, Error> {
    serde_json::from_slice(value).map_err(|error| Error::Unreadable(key.to_owned(), error.to_string()))
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(KvError::ReadOnly) => write!(out, "kv can be written during on-events only"),
            Self::Refused(KvError::TooLarge) => write!(out, "a key or a value is too long for kv, or the key is empty"),
            Self::Refused(KvError::Full) => write!(out, "kv is full"),
            Self::Unreadable(key, error) => write!(out, "the row {key:?} of kv is not what was expected: {error}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for String {
    fn from(error: Error) -> Self {
        error.to_string()
    }
}
