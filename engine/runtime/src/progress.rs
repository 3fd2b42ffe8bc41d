//! What bots say of the attempts that they are at. In memory only, because a bot says it again with each update; bounded, so
//! that what nobody asks about goes by itself.

use std::collections::{HashMap, VecDeque};

use berth_core::{JobId, Timestamp};
use bytes::Bytes;

/// Of so many jobs it is kept, the newest.
const JOBS_MAX: usize = 65_536;

/// The newest of each job.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    by_job: HashMap<JobId, (Timestamp, Bytes)>,
    order: VecDeque<JobId>,
}

impl Progress {
    /// The bot that has the job says this now.
    pub(crate) fn note(&mut self, job: JobId, at: Timestamp, said: Bytes) {
        if self.by_job.insert(job, (at, said)).is_none() {
            self.order.push_back(job);
        }
        while self.order.len() > JOBS_MAX {
            let oldest = self.order.pop_front().expect("there are more than may be");
            self.by_job.remove(&oldest);
        }
    }

    /// What was said of the job since then: an older attempt is of no interest.
    pub(crate) fn since(&self, job: JobId, since: Timestamp) -> Option<Bytes> {
        self.by_job.get(&job).filter(|(at, _)| *at >= since).map(|(_, said)| said.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_of_an_older_attempt_is_not_told() {
        let mut progress = Progress::default();
        progress.note(JobId(1), Timestamp(5), "old".into());
        assert_eq!(progress.since(JobId(1), Timestamp(5)), Some("old".into()));
        assert_eq!(progress.since(JobId(1), Timestamp(6)), None);
        progress.note(JobId(1), Timestamp(7), "new".into());
        assert_eq!(progress.since(JobId(1), Timestamp(6)), Some("new".into()));
    }

    #[test]
    fn only_so_many_jobs_are_kept() {
        let mut progress = Progress::default();
        (0..=JOBS_MAX as u128).for_each(|job| progress.note(JobId(job), Timestamp(1), Bytes::new()));
        assert_eq!(progress.since(JobId(0), Timestamp(0)), None);
        assert!(progress.since(JobId(1), Timestamp(0)).is_some());
        assert_eq!(progress.by_job.len(), progress.order.len());
    }
}
