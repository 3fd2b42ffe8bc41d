//! Keys within a table. Ids are 16 bytes, big endian; times come first where order in time is wanted.

use berth_core::{InstanceName, JobId, Timestamp};

/// The key of a row that is named by one id.
pub fn id_key(id: u128) -> [u8; 16] {
    id.to_be_bytes()
}

/// The id in such a key; `None` if it is no such key.
pub fn key_id(key: &[u8]) -> Option<u128> {
    key.try_into().ok().map(u128::from_be_bytes)
}

/// Key in `finished_by_time`: time of completion, then job.
pub fn finished_key(at: Timestamp, job: JobId) -> [u8; 24] {
    let mut key = [0; 24];
    key[..8].copy_from_slice(&at.0.to_be_bytes());
    key[8..].copy_from_slice(&job.0.to_be_bytes());
    key
}

/// The parts of such a key.
pub fn finished_key_job(key: &[u8]) -> Option<(Timestamp, JobId)> {
    let (at, job) = key.split_at_checked(8)?;
    Some((Timestamp(u64::from_be_bytes(at.try_into().ok()?)), JobId(u128::from_be_bytes(job.try_into().ok()?))))
}

/// Key in `pauses`: a zero byte cannot stand in an instance name.
pub fn pause_key(instance: &InstanceName, label: Option<&str>) -> Vec<u8> {
    match label {
        None => instance.0.as_bytes().to_vec(),
        Some(label) => bot_key(instance, label),
    }
}

/// Key in `drains` and `quarantines`: a zero byte cannot stand in an instance name.
pub fn bot_key(instance: &InstanceName, bot_id: &str) -> Vec<u8> {
    [instance.0.as_bytes(), &[0], bot_id.as_bytes()].concat()
}

/// Key in `cool_downs` and `limits`: the instance, a zero byte, the name of the counter.
pub fn counter_key(instance: &InstanceName, counter: &str) -> Vec<u8> {
    bot_key(instance, counter)
}
