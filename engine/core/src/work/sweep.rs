//! What is left of specs that are gone. A spec goes at once, whatever it has; what its units left in other places (when
//! their leases end, which worker has them) goes after it, a bounded step at a time. Nothing of this is on disk: a restart
//! does not find the spec.

use super::{
    Book, Timer,
    mutant::{Mutant, broken},
    unit::State,
};

impl Book {
    /// Goes on sweeping, over at most so many units.
    pub fn sweep(&mut self, most: usize) {
        for _ in 0..most {
            let Some(spec) = self.sweeping.front_mut() else { return };
            let id = spec.id;
            let Some(ix) = spec.next_trace() else {
                self.discarded.extend(self.sweeping.pop_front());
                continue;
            };
            if broken(Mutant::TracesStay) {
                continue;
            }
            let state = spec.unit(ix).state.clone();
            for worker in spec.take_believers(ix) {
                self.workers.lost.remove(&worker, id, ix);
            }
            if let State::Pending { worker, until } = state {
                self.timers.remove(&(until, Timer::Unit(id, ix)));
                if let Some(worker) = worker {
                    self.workers.held.remove(&worker, id, ix);
                }
            }
        }
    }

    /// Whether there is more to sweep.
    pub fn is_sweeping(&self) -> bool {
        !self.sweeping.is_empty()
    }

    /// How many units a worker has, or may believe to have, of specs that are gone: none, when all is swept.
    #[doc(hidden)]
    pub fn traces(&self) -> usize {
        let all = self.workers.held.specs().chain(self.workers.lost.specs());
        all.filter(|spec| !self.specs.contains_key(spec)).count()
    }
}
