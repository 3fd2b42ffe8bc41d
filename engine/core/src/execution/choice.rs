//! Which lane a bot serves, where a policy chooses: asked in the middle of a step, so that the answer is about the
//! queue as it is. What became of it is stored as the offer that follows.
//!
//! Not asked while jobs are being loaded: not all lanes are known then.

use std::{cmp::Ordering, fmt};

use smallvec::SmallVec;

use super::Book;
use crate::{
    Chooser, LANE_VIEWS_MAX, LaneView, Timestamp, WorkerView,
    mutant::{Mutant, broken},
    queue::{JobIx, LaneHead, SessionIx},
};

/// Who chooses, if anybody.
#[derive(Default)]
pub(super) struct Choice(Option<Box<dyn Chooser>>);

impl fmt::Debug for Choice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Choice").field(&self.0.as_ref().map(|_| "somebody")).finish()
    }
}

impl Book {
    /// Who chooses lanes from now on, in instances where [`Asking::choosing`](crate::Asking) is set. Not durable.
    pub fn set_chooser(&mut self, chooser: Box<dyn Chooser>) {
        self.choice = Choice(Some(chooser));
    }

    /// Events that are handled together begin: who chooses may take its time for all of them once.
    pub fn begin_batch(&mut self) {
        if let Some(chooser) = &mut self.choice.0 {
            chooser.begin();
        }
    }

    /// The job that a policy has the bot take, or `best`, which is the built-in rule's.
    pub(super) fn chosen(&mut self, now: Timestamp, index: SessionIx, best: JobIx) -> JobIx {
        if self.choice.0.is_none() || self.asking.is_empty() || self.loading.is_some() {
            return best;
        }
        let class = self.session(index).class;
        let one_lane = self.queue.lanes_with_heads(class) < 2 && self.picky.is_empty();
        if one_lane || !self.asking.get(self.queue.instance_of(class)).is_some_and(|asking| asking.choosing) {
            return best;
        }
        let mut chooser = self.choice.0.take().expect("it was just seen");
        let chosen = self.ask_chooser(now, index, &mut *chooser);
        self.choice.0 = Some(chooser);
        chosen.filter(|_| !broken(Mutant::ChoiceIgnored)).unwrap_or(best)
    }

    fn ask_chooser(&mut self, now: Timestamp, index: SessionIx, chooser: &mut dyn Chooser) -> Option<JobIx> {
        let class = self.session(index).class;
        if !chooser.asks(&self.queue.instance_of(class).0) {
            return None;
        }
        let mut heads = self.heads_for(index);
        if heads.len() < 2 {
            return None;
        }
        let session = self.session(index);
        let instance = &*self.queue.instance_of(class).0;
        let truncated = self.keep_best(&mut heads);
        let lanes: Vec<_> = heads.iter().map(|head| self.lane_view(now, head)).collect();
        let recent: SmallVec<[&str; 16]> = self.affinities.recent(index).collect();
        let worker = WorkerView {
            instance,
            bot_id: session.bot_id(),
            capabilities: self.queue.offered(session.class),
            busy: session.busy(),
            slots: session.slots,
            recent: &recent,
        };
        let mut answer = chooser.choose(&worker, &lanes, truncated);
        if broken(Mutant::WrongChoiceTaken) {
            answer = answer.map(|lane| lane.min(lanes.len() - 1));
        }
        answer.and_then(|lane| heads.get(lane)).map(|head| head.job)
    }

    /// Of each lane the job that goes first among those that the bot may take. A claim is not for a policy to pass over:
    /// while there is one, only those that have one are there.
    fn heads_for(&mut self, index: SessionIx) -> Vec<LaneHead> {
        let mut heads = self.queue.lane_heads(self.session(index).class);
        for job in self.picky.values().copied().filter(|job| self.may_take(index, *job)) {
            let (spot, limits) = (self.spot(job), self.queue.limits_of(self.job(job).line));
            let (_, lane) = self.queue.line(spot.line);
            heads.push(LaneHead { lane, place: spot.place, job, owed: self.queue.is_owed(limits) });
        }
        if heads.iter().any(|head| head.owed) && !broken(Mutant::ClaimPassedOver) {
            heads.retain(|head| head.owed);
        }
        heads.sort_unstable_by_key(|head| (head.lane, head.place));
        heads.dedup_by_key(|head| head.lane);
        heads
    }

    /// Puts the best first, and drops those that are too many; answers whether there were such.
    fn keep_best(&self, heads: &mut Vec<LaneHead>) -> bool {
        let order = |one: &LaneHead, other: &LaneHead| -> Ordering {
            self.queue.share_cmp(one.lane, other.lane).then(one.place.cmp(&other.place))
        };
        let truncated = heads.len() > LANE_VIEWS_MAX;
        if truncated {
            heads.select_nth_unstable_by(LANE_VIEWS_MAX, order);
            heads.truncate(LANE_VIEWS_MAX);
        }
        heads.sort_unstable_by(order);
        truncated
    }

    fn lane_view(&self, now: Timestamp, head: &LaneHead) -> LaneView<'_> {
        let lane = self.queue.lane_counts(head.lane);
        let apart = self.picky.values().filter(|job| self.queue.line(self.job(**job).line).1 == head.lane);
        let apart = if broken(Mutant::PickyNotShown) { 0 } else { apart.count() as u32 };
        LaneView {
            name: &lane.key.0,
            weight: lane.weight,
            queued: lane.queued + apart,
            running: lane.running,
            head_waited: now.since(self.jobs.details(head.job).queued_at),
            head_rank: head.place.0,
        }
    }
}
