//! Operators pause jobs: those of an instance, or those of it that have a label. Nobody is given one; what runs goes on, and
//! what waits grows older, so that its queue timeout may come. A pause outlasts restarts.

use super::Book;
use crate::{
    Fact, Step, Timestamp,
    mutant::{Mutant, broken},
    queue::Pause,
};

impl Book {
    /// Whether an operator paused the instance, or this label of it. Jobs of a label rest too where their instance is
    /// paused.
    pub fn is_paused(&self, instance: &crate::InstanceName, label: Option<&str>) -> bool {
        self.queue.has_pause(&(instance.clone(), label.map(Into::into)))
    }

    /// Everything that operators have paused, in order.
    pub fn pauses(&self) -> Vec<crate::PauseRow> {
        let row = |(instance, label): &Pause| crate::PauseRow { instance: instance.clone(), label: label.clone() };
        self.queue.pauses().map(row).collect()
    }

    pub(super) fn pause(&mut self, now: Timestamp, pause: Pause, on: bool, step: &mut Step) {
        if self.queue.has_pause(&pause) == on {
            return;
        }
        let (instance, label) = pause.clone();
        self.emit(Fact::PauseSet { instance, label, on }, step);
        if on || broken(Mutant::ResumedNotServed) {
            return;
        }
        // As where bots serve classes that they did not serve before; very many bots in more than one step.
        let classes = self.queue.classes_of(&pause);
        self.matching.announce(classes);
        self.fewer_bots = true;
        self.serve_news(now, step);
    }
}
