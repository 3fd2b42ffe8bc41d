//! What build tools say of themselves, over all operations of an instance: which values there are, and what the operations
//! with one come to.
//!
//! All operations are looked at, but for a summary by invocation; so a call ends with an error when its time is over: part
//! of an answer would be taken for all of it.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use berth_core::{OperationId, Stage, Timestamp};
use berth_proto::{
    buildgrid::{
        GetRequestMetadataSummaryRequest, ListRequestMetadataRequest, ListRequestMetadataResponse,
        RequestMetadataSummary,
    },
    reapi::RequestMetadata,
};
use berth_runtime::operations::Listed;
use prost::Message;
use tokio::time::Instant;

use super::{Page, count};
use crate::{
    convert,
    error::Error,
    instances::{Instance, shown},
    operations::{Key, Place, Scan},
};

/// A call may look for so long.
const TIME_MAX: Duration = Duration::from_secs(20);

/// More bytes of different values than this are not kept.
const VALUES_BYTES_MAX: usize = 64 << 20;

/// So many different entries are in a summary.
const ENTRIES_MAX: usize = 1_000;

const FIELDS: [(&str, Key); 7] = [
    ("tool_invocation_id", Key::InvocationId),
    ("correlated_invocations_id", Key::CorrelatedInvocationsId),
    ("tool_name", Key::ToolName),
    ("tool_version", Key::ToolVersion),
    ("action_mnemonic", Key::ActionMnemonic),
    ("target_id", Key::TargetId),
    ("configuration_id", Key::ConfigurationId),
];

pub(super) async fn list(
    instance: &Instance,
    request: &ListRequestMetadataRequest,
) -> Result<ListRequestMetadataResponse, Error> {
    let (key, page) = (field(&request.field)?, Page::read(request.page, request.page_size)?);
    let wanted = request.pattern.to_lowercase();
    let (mut values, mut bytes) = (BTreeSet::new(), 0);
    walk(&Scan::of_all(instance), |_, listed| {
        let value = key.text(&listed).into_owned();
        if !value.is_empty() && value.to_lowercase().contains(&wanted) && !values.contains(&value) {
            bytes += value.len();
            values.insert(value);
        }
        if bytes <= VALUES_BYTES_MAX { Ok(()) } else { Err(too_many()) }
    })
    .await?;
    let total = count(values.len());
    let shown = values.into_iter().skip(page.skip()).take(if page.size == 0 { usize::MAX } else { page.take() });
    Ok(ListRequestMetadataResponse { page: request.page, page_size: request.page_size, total, values: shown.collect() })
}

pub(super) async fn summary(
    instance: &Instance,
    request: &GetRequestMetadataSummaryRequest,
) -> Result<RequestMetadataSummary, Error> {
    let key = field(&request.field)?;
    let mut seen = Seen::default();
    walk(&Scan::by_text(instance, key, &request.value), |is_live, listed| {
        seen.note(is_live, &listed);
        Ok(())
    })
    .await?;
    Ok(seen.summary())
}

fn field(name: &str) -> Result<Key, Error> {
    let known = FIELDS.iter().find(|(known, _)| *known == name).map(|(_, key)| *key);
    known.ok_or_else(|| {
        let names = FIELDS.map(|(name, _)| name).join(", ");
        Error::field("field", format!("{:?} is no field that can be asked for; those are {names}", shown(name)))
    })
}

fn too_many() -> Error {
    Error::field("pattern", "too many different values meet it: name a longer part of them")
}

/// Shows every operation, and whether its job was not over; one that ends meanwhile comes twice.
async fn walk(scan: &Scan, mut visit: impl FnMut(bool, Listed) -> Result<(), Error>) -> Result<(), Error> {
    let until = Instant::now() + TIME_MAX;
    let mut place = Some(Place::START);
    while let Some(from) = place {
        if Instant::now() >= until {
            return Err(Error::TooMuch { seconds: TIME_MAX.as_secs() });
        }
        let is_live = matches!(from, Place::Live(_));
        let step = scan.step(from, None).await?;
        step.matching.into_iter().try_for_each(|listed| visit(is_live, listed))?;
        place = step.next;
    }
    Ok(())
}

/// What is known of the operations so far.
#[derive(Default)]
struct Seen {
    /// Those whose jobs were not over when they were met: a handle that was given up is completed all the same.
    live: HashMap<OperationId, Stage>,
    completed: usize,
    /// Encoded, each once, in the order in which they were met.
    entries: Vec<RequestMetadata>,
    known: BTreeSet<Vec<u8>>,
    first_queued: Option<Timestamp>,
    last_completed: Option<Timestamp>,
}

impl Seen {
    fn note(&mut self, is_live: bool, listed: &Listed) {
        let view = &listed.view;
        if is_live {
            self.live.insert(view.operation, view.stage.clone());
        } else {
            self.live.remove(&view.operation);
            self.completed += 1;
        }
        self.last_completed = self.last_completed.max(view.completed_at);
        self.first_queued = Some(self.first_queued.map_or(view.queued_at, |first| first.min(view.queued_at)));
        // What belongs to one action alone is no part of it.
        let metadata = RequestMetadata::decode(listed.stored.operation.request_metadata.clone()).unwrap_or_default();
        let metadata = RequestMetadata { action_id: String::new(), ..metadata };
        if self.entries.len() < ENTRIES_MAX && self.known.insert(metadata.encode_to_vec()) {
            self.entries.push(metadata);
        }
    }

    fn summary(self) -> RequestMetadataSummary {
        let of_stage = |wanted: Stage| self.live.values().filter(|stage| **stage == wanted).count();
        let (queued, executing) = (of_stage(Stage::Queued), of_stage(Stage::Executing));
        let completed = self.completed + (self.live.len() - queued - executing);
        let both = self.first_queued.zip(self.last_completed);
        let duration = both.map(|(first, last)| last.since(first));
        RequestMetadataSummary {
            request_metadata: self.entries,
            first_in_queue: self.first_queued.map(convert::timestamp),
            last_completed: self.last_completed.map(convert::timestamp),
            total_duration: duration.map(convert::to_duration),
            queued_operation_count: count(queued),
            executing_operation_count: count(executing),
            completed_operation_count: count(completed),
            total_operation_count: count(queued + executing + completed),
        }
    }
}
