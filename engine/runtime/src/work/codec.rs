//! The work book's rows as bytes. A unit's two rows are written by hand, because they are written most and because their
//! dictionaries would be copied twice otherwise; they are read as the messages that they are.

use std::time::Duration;

use berth_core::{
    Timestamp,
    work::{
        CallId, LockPath, LockRow, Locker, Priority, Receipt, ReceiptId, ReceiptRow, SpecId, SpecMeta, SpecName,
        SpecRow, SpecSettings, UnitBody, UnitKey, UnitPlace, UnitStanding, WorkerId, WorkerRow,
    },
};
use berth_proto::store as pb;
use bytes::Bytes;
use prost::{
    Message,
    encoding::{WireType, encode_key, encode_varint},
};

use super::telling::Record;
use crate::codec::CodecError;

/// Key of a spec's row, and the beginning of the keys of its units.
pub(super) fn spec_key(spec: SpecId) -> [u8; 8] {
    spec.0.to_be_bytes()
}

/// The first key after those of a spec's units.
pub(super) fn after_spec(spec: SpecId) -> [u8; 8] {
    (spec.0 + 1).to_be_bytes()
}

/// Key of a unit's rows.
pub(super) fn unit_key(spec: SpecId, key: &UnitKey, out: &mut Vec<u8>) {
    out.clear();
    out.extend(spec_key(spec));
    out.extend(key.as_bytes());
}

pub(super) fn read_unit_key(key: &[u8]) -> Result<(SpecId, UnitKey), CodecError> {
    let (spec, key) = key.split_first_chunk::<8>().ok_or(CodecError::Field("key"))?;
    Ok((SpecId(u64::from_be_bytes(*spec)), UnitKey::from(key)))
}

/// Key of a lock's row.
pub(super) fn lock_key(path: &LockPath) -> Vec<u8> {
    let mut key = Vec::new();
    for element in path {
        key.extend(u32::try_from(element.len()).expect("frames are shorter").to_be_bytes());
        key.extend(&element[..]);
    }
    key
}

pub(super) fn encode_body(body: &UnitBody, out: &mut Vec<u8>) {
    bytes_field(1, &body.data, out);
    if body.priority != Priority::default() {
        encode_key(2, WireType::SixtyFourBit, out);
        out.extend(body.priority.get().to_le_bytes());
    }
}

pub(super) fn decode_body(row: &[u8]) -> Result<UnitBody, CodecError> {
    let row = pb::WorkUnit::decode(row)?;
    Ok(UnitBody { data: row.data[..].into(), priority: Priority::new(row.priority) })
}

pub(super) fn encode_standing(standing: &UnitStanding, out: &mut Vec<u8>) {
    let (place, at, worker, exhausted) = match &standing.place {
        UnitPlace::Available(not_before) => (pb::WorkPlace::Available, *not_before, None, false),
        UnitPlace::Pending(worker, until) => (pb::WorkPlace::Pending, *until, worker.as_ref(), false),
        UnitPlace::Ended { failed: false, at, worker, .. } => (pb::WorkPlace::Finished, *at, worker.as_ref(), false),
        UnitPlace::Ended { failed: true, at, worker, exhausted } => {
            (pb::WorkPlace::Failed, *at, worker.as_ref(), *exhausted)
        }
    };
    varint_field(1, standing.attempts.into(), out);
    varint_field(2, place as u64, out);
    varint_field(3, at.0, out);
    if let Some(worker) = worker {
        bytes_field(4, worker.as_bytes(), out);
    }
    varint_field(5, exhausted.into(), out);
}

pub(super) fn decode_standing(row: &[u8]) -> Result<UnitStanding, CodecError> {
    let row = pb::WorkState::decode(row)?;
    let (at, worker) = (Timestamp(row.at), row.worker.as_deref().map(WorkerId::from));
    let exhausted = row.exhausted;
    let place = match pb::WorkPlace::try_from(row.place).map_err(|_| CodecError::Field("place"))? {
        pb::WorkPlace::Available => UnitPlace::Available(at),
        pb::WorkPlace::Pending => UnitPlace::Pending(worker, at),
        pb::WorkPlace::Finished => UnitPlace::Ended { failed: false, at, worker, exhausted },
        pb::WorkPlace::Failed => UnitPlace::Ended { failed: true, at, worker, exhausted },
    };
    Ok(UnitStanding { attempts: row.attempts, place })
}

pub(super) fn encode_spec(row: &SpecRow, out: &mut Vec<u8>) {
    let settings = &row.settings;
    let message = pb::WorkSpec {
        name: copy(settings.name.as_bytes()),
        raw: copy(&settings.raw),
        paused: settings.paused,
        weight: settings.weight,
        priority: settings.priority,
        continuous: settings.continuous,
        interval: settings.interval.map(micros),
        max_running: settings.max_running,
        max_getwork: settings.max_getwork,
        max_retries: settings.max_retries,
        then: settings.then.as_ref().map(|then| copy(then.as_bytes())),
        then_preempts: settings.then_preempts,
        runtime: copy(&settings.runtime),
        min_gb: settings.min_gb,
        meta: Some(pb::WorkSpecMeta {
            paused: row.meta.paused,
            continuous: row.meta.continuous,
            interval: row.meta.interval.map(micros),
            max_running: row.meta.max_running,
            weight: row.meta.weight,
        }),
        next_continuous: row.next_continuous.0,
        archived_finished: row.archived[0],
        archived_failed: row.archived[1],
    };
    message.encode(out).expect("a vector grows as needed");
}

pub(super) fn decode_spec(key: &[u8], row: &[u8]) -> Result<SpecRow, CodecError> {
    let key = key.try_into().map_err(|_| CodecError::Field("key"))?;
    let row = pb::WorkSpec::decode(row)?;
    let meta = row.meta.ok_or(CodecError::Field("meta"))?;
    let settings = SpecSettings {
        name: SpecName::from(&row.name[..]),
        raw: row.raw[..].into(),
        paused: row.paused,
        weight: row.weight,
        priority: row.priority,
        continuous: row.continuous,
        interval: row.interval.map(Duration::from_micros),
        max_running: row.max_running,
        max_getwork: row.max_getwork,
        max_retries: row.max_retries,
        then: row.then.as_deref().map(SpecName::from),
        then_preempts: row.then_preempts,
        runtime: row.runtime[..].into(),
        min_gb: row.min_gb,
    };
    Ok(SpecRow {
        spec: SpecId(u64::from_be_bytes(key)),
        settings,
        meta: SpecMeta {
            paused: meta.paused,
            continuous: meta.continuous,
            interval: meta.interval.map(Duration::from_micros),
            max_running: meta.max_running,
            weight: meta.weight,
        },
        next_continuous: Timestamp(row.next_continuous),
        archived: [row.archived_finished, row.archived_failed],
    })
}

pub(super) fn encode_worker(row: &WorkerRow, out: &mut Vec<u8>) {
    let message = pb::WorkWorker {
        mode: copy(&row.mode),
        data: copy(&row.data),
        parent: row.parent.as_ref().map(|parent| copy(parent.as_bytes())),
        lifetime: micros(row.lifetime),
        at: row.at.0,
    };
    message.encode(out).expect("a vector grows as needed");
}

pub(super) fn decode_worker(key: &[u8], row: &[u8]) -> Result<WorkerRow, CodecError> {
    let row = pb::WorkWorker::decode(row)?;
    Ok(WorkerRow {
        worker: WorkerId::from(key),
        mode: row.mode[..].into(),
        data: row.data[..].into(),
        parent: row.parent.as_deref().map(WorkerId::from),
        lifetime: Duration::from_micros(row.lifetime),
        at: Timestamp(row.at),
    })
}

pub(super) fn encode_lock(row: &LockRow, out: &mut Vec<u8>) {
    let message = pb::WorkLock {
        path: row.path.iter().map(|element| copy(element)).collect(),
        locker: copy(row.locker.as_bytes()),
        until: row.until.0,
    };
    message.encode(out).expect("a vector grows as needed");
}

pub(super) fn decode_lock(row: &[u8]) -> Result<LockRow, CodecError> {
    let row = pb::WorkLock::decode(row)?;
    Ok(LockRow {
        path: row.path.iter().map(|element| element[..].into()).collect(),
        locker: Locker::from(&row.locker[..]),
        until: Timestamp(row.until),
    })
}

/// Key of a receipt's row.
pub(super) fn receipt_key(id: ReceiptId) -> [u8; 9] {
    let mut key = [0; 9];
    key[..8].copy_from_slice(&id.connection.to_be_bytes());
    key[8] = id.place;
    key
}

pub(super) fn encode_receipt(row: &ReceiptRow, out: &mut Vec<u8>) {
    let receipt = match &row.receipt {
        Receipt::Said(said) => pb::work_receipt::Receipt::Said(copy(said)),
        Receipt::Handed { worker, spec, units } => pb::work_receipt::Receipt::Handed(pb::WorkHanded {
            worker: copy(worker.as_bytes()),
            spec: spec.0,
            keys: units.iter().map(|(key, _)| copy(key.as_bytes())).collect(),
            attempts: units.iter().map(|(_, attempt)| *attempt).collect(),
        }),
    };
    let message = pb::WorkReceipt { print: row.call.print, receipt: Some(receipt) };
    message.encode(out).expect("a vector grows as needed");
}

pub(super) fn decode_receipt(key: &[u8], row: &[u8]) -> Result<ReceiptRow, CodecError> {
    let Some((connection, [place])) = key.split_first_chunk::<8>() else { return Err(CodecError::Field("key")) };
    let (connection, place) = (u64::from_be_bytes(*connection), *place);
    let row = pb::WorkReceipt::decode(row)?;
    let receipt = match row.receipt.ok_or(CodecError::Field("receipt"))? {
        pb::work_receipt::Receipt::Said(said) => Receipt::Said(said[..].into()),
        pb::work_receipt::Receipt::Handed(handed) => Receipt::Handed {
            worker: WorkerId::from(&handed.worker[..]),
            spec: SpecId(handed.spec),
            units: handed.keys.iter().map(|key| UnitKey::from(&key[..])).zip(handed.attempts).collect(),
        },
    };
    Ok(ReceiptRow { call: CallId { connection, place, print: row.print }, receipt })
}

/// Appends a record of the feed.
pub(super) fn encode_event(at: Timestamp, record: &Record, out: &mut Vec<u8>) {
    varint_field(1, at.0, out);
    varint_field(2, record.kind as u64, out);
    if !record.name.is_empty() {
        bytes_field(3, &record.name, out);
    }
    if let Some(worker) = record.worker.as_ref().filter(|worker| !worker.is_empty()) {
        bytes_field(4, worker, out);
    }
    record.keys.iter().for_each(|key| bytes_field(5, key, out));
}

fn copy(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn bytes_field(tag: u32, value: &[u8], out: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(value.len() as u64, out);
    out.extend(value);
}

/// As the message format has it: 0 is not written.
fn varint_field(tag: u32, value: u64, out: &mut Vec<u8>) {
    if value != 0 {
        encode_key(tag, WireType::Varint, out);
        encode_varint(value, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&mut out);
        out
    }

    #[test]
    fn rows_written_by_hand_are_the_messages_that_they_claim_to_be() {
        let body = UnitBody { data: b"\xa0".as_slice().into(), priority: Priority::new(-2.5) };
        let message = pb::WorkUnit { data: Bytes::from_static(b"\xa0"), priority: -2.5 };
        assert_eq!(encoded(|out| encode_body(&body, out)), message.encode_to_vec());
        let place =
            UnitPlace::Ended { failed: true, at: Timestamp(77), worker: Some(WorkerId::from("w")), exhausted: true };
        let message = pb::WorkState {
            attempts: 300,
            place: pb::WorkPlace::Failed.into(),
            at: 77,
            worker: Some(Bytes::from_static(b"w")),
            exhausted: true,
        };
        let standing = UnitStanding { attempts: 300, place };
        assert_eq!(encoded(|out| encode_standing(&standing, out)), message.encode_to_vec());
    }

    #[test]
    fn what_is_written_is_read() {
        for body in [
            UnitBody { data: [].into(), priority: Priority::default() },
            UnitBody { data: [7; 300].into(), priority: Priority::new(1e300) },
        ] {
            assert_eq!(decode_body(&encoded(|out| encode_body(&body, out))).unwrap(), body);
        }
        let worker = || Some(WorkerId::from(""));
        let at = Timestamp(1 << 50);
        for place in [
            UnitPlace::Available(at),
            UnitPlace::Pending(None, at),
            UnitPlace::Pending(worker(), at),
            UnitPlace::Ended { failed: false, at, worker: worker(), exhausted: false },
            UnitPlace::Ended { failed: true, at, worker: None, exhausted: true },
        ] {
            let standing = UnitStanding { attempts: 2, place };
            assert_eq!(decode_standing(&encoded(|out| encode_standing(&standing, out))).unwrap(), standing);
        }
        let mut settings = SpecSettings::new(SpecName::from(&b"\xff"[..]), b"\xa1".as_slice().into());
        settings.weight = -3;
        settings.interval = Some(Duration::from_millis(1_500));
        settings.then = Some(SpecName::from("next"));
        settings.max_running = Some(0);
        settings.min_gb = 0.5;
        let meta = SpecMeta { paused: true, continuous: true, interval: None, max_running: Some(4), weight: 9 };
        let row = SpecRow { spec: SpecId(3), settings, meta, next_continuous: at, archived: [5, 6] };
        assert_eq!(decode_spec(&spec_key(SpecId(3)), &encoded(|out| encode_spec(&row, out))).unwrap(), row);
        let row = WorkerRow {
            worker: WorkerId::from("w"),
            mode: b"\xf6".as_slice().into(),
            data: [1; 9].into(),
            parent: Some(WorkerId::from("p")),
            lifetime: Duration::from_secs(6_000),
            at,
        };
        assert_eq!(decode_worker(b"w", &encoded(|out| encode_worker(&row, out))).unwrap(), row);
        let row = LockRow { path: vec![b"a".as_slice().into(), [].into()], locker: Locker::from("me"), until: at };
        assert_eq!(decode_lock(&encoded(|out| encode_lock(&row, out))).unwrap(), row);
        let (worker, units) = (WorkerId::from("w"), [("a".into(), 1), ("".into(), 7)].into());
        for receipt in [Receipt::Said([1, 2].into()), Receipt::Handed { worker, spec: SpecId(4), units }] {
            let row = ReceiptRow { call: CallId { connection: 1 << 40, place: 7, print: u64::MAX }, receipt };
            let key = receipt_key(ReceiptId { connection: 1 << 40, place: 7 });
            assert_eq!(decode_receipt(&key, &encoded(|out| encode_receipt(&row, out))).unwrap(), row);
        }
    }

    #[test]
    fn keys_of_locks_differ_where_paths_do() {
        let path = |elements: &[&str]| elements.iter().map(|element| element.as_bytes().into()).collect::<LockPath>();
        let keys = [path(&[]), path(&["ab"]), path(&["a", "b"]), path(&["", "ab"])].map(|path| lock_key(&path));
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }
}
