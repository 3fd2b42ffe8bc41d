//! Operators pause jobs, take them from their bots, and end sessions.

use super::*;

/// What operators decide by; in most runs there are none.
pub(super) fn hands(seed: u64) -> Option<Rng> {
    let mut hands = Rng::new(seed ^ 0x6f70_6572_6174_6f72);
    hands.chance(400).then_some(hands)
}

impl World {
    pub(super) fn operate(&mut self) {
        let Some(mut hands) = self.hands.take() else { return };
        if hands.chance(15) {
            self.act(&mut hands);
        }
        self.hands = Some(hands);
    }

    fn act(&mut self, hands: &mut Rng) {
        let event = match hands.below(10) {
            0..4 => {
                let on = hands.chance(450);
                pause(hands.index(2), hands.index(3), on)
            }
            4..8 => {
                let Some(server) = &self.server else { return };
                let leased = server.partition.book().sessions().into_iter().flat_map(|session| session.leases);
                let mut jobs: Vec<_> = leased.map(|lease| lease.job).collect();
                jobs.sort_unstable();
                let Some(job) = hands.pick(&jobs) else { return };
                Event::Requeue { job: *job, counts: hands.chance(300) }
            }
            _ => {
                let bot = hands.index(self.bots.len());
                let Some(session) = self.bots[bot].session else { return };
                Event::Kick { session }
            }
        };
        self.trace(|| format!("an operator: {event:?}"));
        self.send(event, Attachment::default(), Token::Nobody);
    }

    /// Where there are operators: they end what they paused.
    pub(super) fn end_pauses(&mut self) {
        if self.hands.is_none() {
            return;
        }
        for instance in 0..2 {
            for label in 0..3 {
                self.send(pause(instance, label, false), Attachment::default(), Token::Nobody);
            }
        }
    }
}

fn pause(instance: usize, label: usize, on: bool) -> Event {
    let label = [None, Some("".into()), Some("linux".into())][label].clone();
    Event::Pause { instance: ["main", "side"][instance].into(), label, on }
}
