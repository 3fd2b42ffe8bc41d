//! How long bots take for each part of a job, as they say themselves in what they report. For whoever shows metrics.

use std::time::Duration;

use berth_proto::reapi::ExecutedActionMetadata;
use berth_runtime::{Times, TimesRead};
use prost_types::Timestamp;

/// Times of attempts that were reported with a result, since the process began.
#[derive(Debug, Default)]
pub struct Phases {
    fetch: Times,
    execution: Times,
    upload: Times,
    worker: Times,
}

impl Phases {
    /// A report. What the bot does not say, or says backwards, does not count.
    pub(crate) fn add(&self, metadata: &ExecutedActionMetadata) {
        let said = metadata;
        let phases = [
            (&self.fetch, &said.input_fetch_start_timestamp, &said.input_fetch_completed_timestamp),
            (&self.execution, &said.execution_start_timestamp, &said.execution_completed_timestamp),
            (&self.upload, &said.output_upload_start_timestamp, &said.output_upload_completed_timestamp),
            (&self.worker, &said.worker_start_timestamp, &said.worker_completed_timestamp),
        ];
        for (times, from, to) in phases {
            if let (Some(from), Some(to)) = (from, to)
                && let Some(took) = between(from, to)
            {
                times.add(took);
            }
        }
    }

    /// By phase: `fetch`, `execution`, `upload`, and `worker` for all that a bot did.
    pub fn read(&self) -> [(&'static str, TimesRead); 4] {
        let Self { fetch, execution, upload, worker } = self;
        [("fetch", fetch.read()), ("execution", execution.read()), ("upload", upload.read()), ("worker", worker.read())]
    }
}

fn between(from: &Timestamp, to: &Timestamp) -> Option<Duration> {
    let nanos = |at: &Timestamp| i128::from(at.seconds) * 1_000_000_000 + i128::from(at.nanos);
    Some(Duration::from_nanos(u64::try_from(nanos(to) - nanos(from)).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_bot_says_and_may_be_true_counts() {
        let at = |seconds, nanos| Some(Timestamp { seconds, nanos });
        let phases = Phases::default();
        phases.add(&ExecutedActionMetadata {
            execution_start_timestamp: at(5, 500_000_000),
            execution_completed_timestamp: at(7, 0),
            output_upload_start_timestamp: at(9, 0),
            output_upload_completed_timestamp: at(8, 0),
            worker_start_timestamp: at(1, 0),
            ..ExecutedActionMetadata::default()
        });
        let read = phases.read().map(|(phase, read)| (phase, read.count, read.seconds));
        assert_eq!(read, [("fetch", 0, 0.0), ("execution", 1, 1.5), ("upload", 0, 0.0), ("worker", 0, 0.0)]);
    }
}
