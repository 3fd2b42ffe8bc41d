//! Jobs that an operator keeps from bots: all of an instance, or those with a label.
//!
//! A requirement class is of one instance and one label, so that classes are paused as a whole, and their lines with them: a
//! line that is paused counts as empty where heads are looked for. Its jobs keep their places. Where nothing is paused
//! nothing is looked up.

use std::sync::Arc;

use super::{LineIx, Queue, RequirementIx, class::RequirementKey};
use crate::{
    InstanceName,
    mutant::{Mutant, broken},
};

/// An instance, or a label of it.
pub(crate) type Pause = (InstanceName, Option<Arc<str>>);

impl Queue {
    /// Pauses jobs, or ends that. Lines that are paused no more tell of their heads.
    pub(crate) fn set_paused(&mut self, pause: Pause, on: bool) {
        let classes = self.classes_of(&pause);
        if on {
            self.paused.insert(pause);
        } else {
            self.paused.remove(&pause);
        }
        for class in classes {
            let paused = self.rests(&self.requirements[class.0 as usize].key);
            let known = &mut self.requirements[class.0 as usize];
            if known.paused == paused {
                continue;
            }
            known.paused = paused;
            for index in known.lines.values().copied().collect::<Vec<_>>() {
                let line = &mut self.lines[index.0 as usize];
                line.paused = paused;
                if !paused && line.waiting.len() > 0 {
                    self.announce(index);
                }
            }
        }
    }

    /// Everything that is paused.
    pub(crate) fn pauses(&self) -> impl Iterator<Item = &Pause> {
        self.paused.iter()
    }

    /// Whether this very thing is paused: jobs may rest all the same, because their whole instance does.
    pub(crate) fn has_pause(&self, pause: &Pause) -> bool {
        self.paused.contains(pause)
    }

    /// Classes of jobs that it is about, in the order of what they are.
    pub(crate) fn classes_of(&self, (instance, label): &Pause) -> Vec<RequirementIx> {
        let mut classes = self.needs_of(instance);
        let key = |class: &RequirementIx| &self.requirements[class.0 as usize].key;
        classes.retain(|class| label.as_ref().is_none_or(|label| key(class).label == *label));
        classes
    }

    /// Whether the jobs of a line are kept from bots.
    pub(crate) fn is_paused(&self, line: LineIx) -> bool {
        self.lines[line.0 as usize].paused
    }

    /// The same of a class.
    pub(crate) fn is_class_paused(&self, class: RequirementIx) -> bool {
        self.requirements[class.0 as usize].paused
    }

    /// Whether jobs of such a class are to be kept from bots.
    pub(super) fn rests(&self, key: &RequirementKey) -> bool {
        if self.paused.is_empty() || broken(Mutant::PauseIgnored) {
            return false;
        }
        let is_paused = |label| self.paused.contains(&(key.instance.clone(), label));
        is_paused(None) || is_paused(Some(key.label.clone()))
    }
}
