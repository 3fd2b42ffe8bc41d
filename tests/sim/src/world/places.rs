//! Policies that are exchanged while jobs flow: each set of them has its own idea of where a job stands, and a walk over
//! all jobs follows each change, a page at a time, as the engine's does.

use berth_core::{JobRowState, NewPlace, Place, PlaceAsked};

use super::*;

/// The policies, and who walks for them.
#[derive(Debug, Default)]
pub(super) struct Policies {
    /// Which set is active: durable.
    set: u64,
    /// Its number in this process.
    generation: u64,
    /// Whether jobs are to be placed again: durable, too.
    due: bool,
    walk: Option<Walk>,
    walks: u64,
}

/// A walk over all jobs.
#[derive(Debug)]
struct Walk {
    number: u64,
    /// Where to read on, when what was sent is durable.
    from: usize,
    sent: bool,
    over: bool,
}

impl World {
    /// Another set of policies is active from now on.
    pub(super) fn activate(&mut self) {
        if self.server.is_some() {
            self.policies.set += 1;
            self.policies.generation += 1;
            self.policies.due = true;
            self.begin_walk();
        }
    }

    /// The process begins, with the set that was active.
    pub(super) fn begin_policies(&mut self) {
        (self.policies.generation, self.policies.walk) = (1, None);
        if self.policies.due {
            self.begin_walk();
        }
    }

    fn begin_walk(&mut self) {
        self.policies.walks += 1;
        self.policies.walk = Some(Walk { number: self.policies.walks, from: 0, sent: true, over: false });
        let (walk, generation) = (self.policies.walks, self.policies.generation);
        self.send_places(Place { generation, items: Vec::new() }, Token::Walk { walk });
    }

    /// What was sent is durable.
    pub(super) fn walked(&mut self, number: u64) {
        if let Some(walk) = self.policies.walk.as_mut().filter(|walk| walk.number == number) {
            walk.sent = false;
            if walk.over {
                (self.policies.walk, self.policies.due) = (None, false);
            }
        }
    }

    pub(super) fn may_walk(&self) -> bool {
        let ready = self.policies.walk.as_ref().is_some_and(|walk| !walk.sent);
        ready && self.server.as_ref().is_some_and(|server| !server.is_loading())
    }

    /// A walk goes on by a page.
    pub(super) fn walk(&mut self) {
        if !self.may_walk() {
            return;
        }
        let (Some(server), Some(walk)) = (&self.server, &mut self.policies.walk) else { return };
        let (asked, more) = server.partition.book().places_from(walk.from, 1 + self.rng.index(4));
        (walk.from, walk.sent, walk.over) = (more.unwrap_or(walk.from), true, more.is_none());
        let number = walk.number;
        let place = self.answers(&asked);
        self.send_places(place, Token::Walk { walk: number });
    }

    /// Where the set that is active now sees these jobs.
    pub(super) fn answers(&mut self, asked: &[PlaceAsked]) -> Place {
        let mut item = |asked: &PlaceAsked| {
            let (lane, weight, rank) = stands(asked.job, self.policies.set);
            NewPlace {
                job: asked.job,
                lane,
                weight,
                rank,
                limits: clients::limits(&mut self.rng, self.weather),
                affinities: clients::affinities(&mut self.rng),
                again: again(&mut self.rng),
            }
        };
        Place { items: asked.iter().map(&mut item).collect(), generation: self.policies.generation }
    }

    /// The place of a new job, by the set that is active when its client asks.
    pub(super) fn first_place(&mut self, job: JobId) -> (LaneKey, u32, i64, Again) {
        let (lane, weight, rank) = stands(job, self.policies.set);
        (lane, weight, rank, Again { after: again(&mut self.rng), generation: self.policies.generation })
    }

    pub(super) fn send_places(&mut self, place: Place, token: Token) {
        self.send(Event::Place(Box::new(place)), Attachment::default(), token);
    }

    /// When nothing is on its way, each job stands where the active set sees it, but for those that are to be asked
    /// about, and those that were joined by a more urgent request.
    pub(super) fn check_places(&self) -> Checked {
        let Some(server) = self.server.as_ref().filter(|server| server.is_idle()) else { return Ok(()) };
        let is_place = |message: &Message| {
            matches!(message, Message::ToServer(Incoming::Event { event: Event::Place(_) | Event::Submit(_), .. }))
        };
        if self.policies.due || self.net.iter().any(is_place) {
            return Ok(());
        }
        for row in server.partition.book().rows().jobs {
            let is_over = matches!(row.state, JobRowState::Completed { .. });
            if is_over || row.again.is_some_and(|at| at <= self.now) {
                continue;
            }
            let (lane, weight, rank) = stands(row.job, self.policies.set);
            let right = row.lane == lane && row.weight == weight && row.rank <= rank;
            rule!(right, "{row:?} should stand in {lane:?}, {weight}, at {rank}, by set {}", self.policies.set);
        }
        Ok(())
    }

    pub(super) fn has_walked(&self) -> bool {
        !self.policies.due
    }
}

/// Where a set of policies sees a job.
fn stands(job: JobId, set: u64) -> (LaneKey, u32, i64) {
    let mut mixed = (job.0 as u64 ^ set).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^= mixed >> 29;
    let lane = (mixed % 3) as usize;
    let weight = 1 + (set * 7 + lane as u64 * 3) % 5;
    (LaneKey(["", "a", "b"][lane].into()), weight as u32, (mixed >> 32) as i64 % 5 - 2)
}

fn again(rng: &mut Rng) -> Option<Duration> {
    rng.chance(250).then(|| Duration::from_millis(rng.below(20_000)))
}
