//! A restart that serves before every job is loaded: who is hidden, and what that changes.

use super::*;

impl Naive {
    /// After `restart`: all jobs are hidden but these. If none of these waits, nobody knows who is next.
    pub fn hide_all_but(&mut self, known: &BTreeSet<JobId>) {
        self.hidden = self.jobs.iter().filter(|job| !known.contains(&job.id)).cloned().collect();
        self.blind = !self.jobs.iter().any(|job| job.state == State::Queued && known.contains(&job.id));
        self.loading = true;
        self.hungry.clear();
        self.unloaded = self.hidden.iter().map(|job| job.id).collect();
    }

    /// The rows without jobs that are not loaded yet.
    pub fn loaded_rows(&self) -> Rows {
        let mut rows = self.rows();
        rows.jobs.retain(|row| !self.unloaded.contains(&row.job));
        rows
    }

    /// All jobs are hidden until the last is loaded; then bots that ask are served as they came.
    pub(super) fn loaded(&mut self, now: Timestamp, rows: &[JobRow], last: bool) {
        for row in rows {
            self.unloaded.remove(&row.job);
        }
        if !last {
            return;
        }
        self.hidden.clear();
        self.blind = false;
        self.loading = false;
        self.unloaded.clear();
        let asking = self.sessions.iter().filter_map(|s| Some((Reverse(s.score), s.ticket?, s.id)));
        let mut asking: Vec<_> = asking.collect();
        asking.sort();
        self.serve_in_turn(now, asking.into_iter().map(|(_, _, id)| id).collect());
    }
}
