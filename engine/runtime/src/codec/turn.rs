//! The part of a job's row that decides its turn, read without the rest: recovery looks at every row before it serves.

use bytes::Buf;
use prost::{
    decode_length_delimiter,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};

use super::CodecError;

/// When a job goes, as far as its row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn<'a> {
    /// Instance name of the request.
    pub(crate) instance: &'a [u8],
    /// Requirements, label and lane as they are encoded: jobs of an instance with equal bytes, and equal limits, stand
    /// in one line.
    pub(crate) line: &'a [u8],
    /// Limits as they are encoded.
    pub(crate) limits: &'a [u8],
    /// Weight of the lane.
    pub(crate) weight: u32,
    /// Rank and age.
    pub(crate) place: (i64, u64),
}

/// Numbers of fields in `berth.store.v1.Job`.
const INSTANCE: u32 = 2;
const REQUIREMENTS: u32 = 5;
const LANE: u32 = 7;
const WEIGHT: u32 = 8;
const RANK: u32 = 9;
const AGE: u32 = 10;
const LIMITS: u32 = 22;

/// Reads the turn. Relies on fields in the order of their numbers, as every row is written.
pub(crate) fn read_turn(row: &[u8]) -> Result<Turn<'_>, CodecError> {
    let mut turn = Turn { instance: &[], line: &[], limits: &[], weight: 0, place: (0, 0) };
    let mut rest = row;
    let (mut line, mut limits) = (None, None);
    while !rest.is_empty() {
        let start = row.len() - rest.len();
        match decode_key(&mut rest)? {
            (INSTANCE, WireType::LengthDelimited) => turn.instance = bytes(&mut rest)?,
            (REQUIREMENTS..=LANE, WireType::LengthDelimited) => {
                bytes(&mut rest)?;
                let (first, _) = line.unwrap_or((start, start));
                line = Some((first, row.len() - rest.len()));
            }
            (WEIGHT, WireType::Varint) => turn.weight = decode_varint(&mut rest)? as u32,
            (RANK, WireType::Varint) => turn.place.0 = unzigzag(decode_varint(&mut rest)?),
            (AGE, WireType::Varint) => turn.place.1 = decode_varint(&mut rest)?,
            (LIMITS, WireType::LengthDelimited) => {
                bytes(&mut rest)?;
                let (first, _) = limits.unwrap_or((start, start));
                limits = Some((first, row.len() - rest.len()));
            }
            (field, wire) => skip_field(wire, field, &mut rest, DecodeContext::default())?,
        }
    }
    let all = |span: Option<(usize, usize)>| span.map_or(&[][..], |(from, to)| &row[from..to]);
    (turn.line, turn.limits) = (all(line), all(limits));
    Ok(turn)
}

/// A field that says its length first.
fn bytes<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], CodecError> {
    let length = decode_length_delimiter(&mut *rest)?;
    let (field, _) = rest.split_at_checked(length).ok_or(CodecError::Field("length"))?;
    rest.advance(length);
    Ok(field)
}

/// As protobuf keeps a `sint64`.
fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use berth_core::{
        Digest, InstanceName, JobId, JobRow, JobRowState, LaneKey, OperationId, OperationRow, Property, Timestamp,
    };

    use super::*;
    use crate::codec::{decode_job, encode_job};

    /// Rows with every field set and with every field at the value that is not written.
    fn rows() -> impl Iterator<Item = JobRow> {
        (0..1 << 7_u32).flat_map(|bits| {
            let set = move |bit: u32| bits >> bit & 1 == 1;
            [0, 1, 300].map(|number: u64| JobRow {
                job: JobId(u128::from(number) << 70 | 5),
                instance: InstanceName::from(if set(0) { "main" } else { "" }),
                action: Digest { hash: [number as u8; 32], size_bytes: number },
                do_not_cache: set(1),
                requirements: (0..number % 7).map(|n| Property::new("pool", n.to_string())).collect(),
                preferred: (number > 0).then(|| [Property::new("disk", "nvme")].into_iter().collect()),
                label: if set(2) { "linux" } else { "" }.into(),
                lane: LaneKey(if set(3) { "night" } else { "" }.into()),
                weight: if set(4) { u32::MAX } else { 1 },
                rank: if set(5) { -(number as i64) } else { i64::MIN + number as i64 },
                limits: Vec::new(),
                affinities: Vec::new(),
                age: number.wrapping_sub(1),
                queued_at: Timestamp(if set(6) { number } else { 0 }),
                again: None,
                queue_timeout: None,
                execution_timeout: None,
                offers: number as u32,
                attempts_used: 0,
                operations: vec![OperationRow { operation: OperationId(7), cancelled: None, deleted: false }],
                setbacks: None,
                past: Vec::new(),
                started_at: None,
                state: JobRowState::Queued,
            })
        })
    }

    fn encoded(row: &JobRow) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_job(row, &mut bytes);
        bytes
    }

    #[test]
    fn the_turn_is_that_of_the_whole_row() {
        for row in rows() {
            let bytes = encoded(&row);
            let turn = read_turn(&bytes).unwrap();
            let whole = decode_job(&bytes).unwrap();
            assert_eq!(turn.instance, whole.instance.0.as_bytes());
            assert_eq!((turn.weight, turn.place), (whole.weight, (whole.rank, whole.age)));
        }
    }

    #[test]
    fn lines_are_equal_where_requirements_label_and_lane_are() {
        let all: Vec<_> = rows().map(|row| (encoded(&row), row)).collect();
        for (bytes, row) in &all {
            for (other_bytes, other) in &all {
                let (line, other_line) = (read_turn(bytes).unwrap().line, read_turn(other_bytes).unwrap().line);
                let same =
                    (&row.requirements, &row.label, &row.lane) == (&other.requirements, &other.label, &other.lane);
                assert_eq!(line == other_line, same, "{row:?} {other:?}");
            }
        }
    }

    #[test]
    fn a_row_that_was_cut_short_is_an_error_or_ends_before_its_rank() {
        let row = rows().last().unwrap();
        let bytes = encoded(&row);
        for end in 0..bytes.len() {
            if let Ok(turn) = read_turn(&bytes[..end]) {
                assert!(turn.place == (row.rank, row.age) || turn.place.1 == 0, "cut at {end}");
            }
        }
    }
}
