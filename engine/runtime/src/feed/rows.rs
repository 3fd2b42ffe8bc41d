//! Rows of the table `plugin_data`: how far a plugin has heard the feed, and what it keeps.
//!
//! Key: length of the name (two bytes, big endian), name, then a tag. So a name's rows are one range, and no name's
//! range contains another's.

use std::{ops::ControlFlow, sync::Arc};

use berth_proto::store as pb;
use bytes::Bytes;
use prost::Message;

use crate::{
    plugins::kv::KvSnapshot,
    store::{Batch, PartitionId, Store, StoreError, Table},
};

const CURSOR: u8 = b'c';
const ENTRY: u8 = b'k';
/// Greater than every tag: where a name's rows end.
const END: u8 = 0xff;

/// The name under which an observed version keeps its own copy. No plugin's own name has an `@`.
pub fn shadow_name(plugin: &str, digest: &str) -> String {
    format!("{plugin}@{digest}")
}

/// What is committed of a consumer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    /// `None`: it never listened.
    pub(crate) cursor: Option<pb::PluginCursor>,
    pub(crate) table: KvSnapshot,
}

/// Reads what is committed of a name.
pub(crate) fn load(store: &dyn Store, partition: PartitionId, name: &str) -> Result<Kept, StoreError> {
    let mut kept = Kept::default();
    let mut broken = None;
    let prefix = prefix(name);
    store.scan(partition, Table::PluginData, &prefix, &mut |key, value| {
        match key.strip_prefix(&prefix[..]) {
            Some([CURSOR]) => match pb::PluginCursor::decode(value) {
                Ok(cursor) => kept.cursor = Some(cursor),
                Err(error) => broken = Some(format!("the cursor of {name:?}: {error}")),
            },
            Some([ENTRY, key @ ..]) => match std::str::from_utf8(key) {
                Ok(key) => kept.table.set(&Arc::from(key), &Bytes::copy_from_slice(value)),
                Err(error) => broken = Some(format!("a key of {name:?}: {error}")),
            },
            Some(_) => broken = Some(format!("a row of {name:?} has an unknown kind")),
            None => return ControlFlow::Break(()),
        }
        if broken.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    match broken {
        None => Ok(kept),
        Some(what) => Err(StoreError::Failed(format!("table `{}` cannot be read: {what}", Table::PluginData.name()))),
    }
}

pub(crate) fn put_cursor(name: &str, cursor: &pb::PluginCursor, batch: &mut Batch) {
    batch.put(Table::PluginData, &key(name, CURSOR, ""), |out| {
        cursor.encode(out).expect("a vector grows as needed");
    });
}

pub(crate) fn put_entry(name: &str, entry: &str, value: Option<&Bytes>, batch: &mut Batch) {
    let key = key(name, ENTRY, entry);
    match value {
        Some(value) => batch.put(Table::PluginData, &key, |out| out.extend_from_slice(value)),
        None => batch.delete(Table::PluginData, &key),
    }
}

/// Forgets everything of a name.
pub(crate) fn delete_all(name: &str, batch: &mut Batch) {
    batch.delete_range(Table::PluginData, &prefix(name), &key(name, END, ""));
}

fn prefix(name: &str) -> Vec<u8> {
    let len = u16::try_from(name.len()).expect("a plugin's name is short");
    [&len.to_be_bytes(), name.as_bytes()].concat()
}

fn key(name: &str, tag: u8, rest: &str) -> Vec<u8> {
    let mut key = prefix(name);
    key.push(tag);
    key.extend_from_slice(rest.as_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        memory::{Disk, MemoryStore},
        store::Commit,
    };

    #[test]
    fn names_do_not_see_each_other_and_one_can_be_forgotten() {
        let partition = PartitionId(1);
        let store = MemoryStore::open(&Disk::default());
        let fence = store.acquire(partition).unwrap();
        let names = ["a", "a@1", "aa", "b"];
        let mut batch = Batch::default();
        for (next, name) in names.iter().enumerate() {
            put_cursor(name, &pb::PluginCursor { next: next as u64, ..Default::default() }, &mut batch);
            put_entry(name, "c", Some(&Bytes::from_static(b"value")), &mut batch);
            put_entry(name, "\u{10ffff}", Some(&Bytes::from(name.to_string())), &mut batch);
            put_entry(name, "gone", Some(&Bytes::new()), &mut batch);
            put_entry(name, "gone", None, &mut batch);
        }
        delete_all("a", &mut batch);
        assert!(store.commit(&[Commit { fence, batch }])[0].is_ok());
        for (next, name) in names.iter().enumerate() {
            let kept = load(&store, partition, name).unwrap();
            if *name == "a" {
                assert!(kept.cursor.is_none() && kept.table.rows() == 0);
                continue;
            }
            assert_eq!(kept.cursor.unwrap().next, next as u64);
            let keys: Vec<_> = kept.table.entries().map(|(key, _)| &**key).collect();
            assert_eq!(keys, ["c", "\u{10ffff}"]);
        }
    }
}
