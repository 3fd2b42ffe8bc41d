//! A moody policy: it answers late, twice, an older question, nonsense, or never. Which questions it wants changes too.

use berth_core::{
    Asking, AttemptAction, AttemptAsked, Decided, MatchAsked, Matched, Question, UnmatchedAsked, UnmatchedDecided,
    UnmatchedVerdict, Verdict,
};

use super::*;

impl World {
    /// Other policies are active from now on.
    pub(super) fn change_policy(&mut self) {
        for instance in ["main", "side"] {
            let asking = Asking {
                attempts: self.rng.chance(800),
                unmatched: self.rng.chance(700),
                matching: self.edition(instance),
                choosing: self.rng.chance(500),
            };
            self.set_policy(instance, asking);
        }
    }

    /// Nobody is asked any more, and no bot is kept out of service.
    pub(super) fn calm_policy(&mut self) {
        for instance in ["main", "side"] {
            self.set_policy(instance, Asking::default());
        }
        for bot in 0..self.bots.len() {
            self.end_quarantine(bot);
        }
    }

    /// Which set of policies judges pairs: another one, the same, or none.
    fn edition(&mut self, instance: &str) -> Option<u64> {
        if self.rng.chance(350) {
            self.editions += 1;
        }
        self.rng.chance(500).then_some(self.editions / 2 + u64::from(instance == "side"))
    }

    pub(super) fn release_bot(&mut self) {
        let bot = self.rng.index(self.bots.len());
        self.end_quarantine(bot);
    }

    fn set_policy(&mut self, instance: &str, asking: Asking) {
        self.send(Event::Asking { instance: instance.into(), asking }, Attachment::default(), Token::Nobody);
    }

    fn end_quarantine(&mut self, bot: usize) {
        let (instance, bot_id) = (self.bots[bot].instance.clone(), self.bots[bot].id.clone());
        self.send(Event::Release { instance, bot_id }, Attachment::default(), Token::Nobody);
    }

    pub(super) fn answer_question(&mut self, question: Question) {
        self.trace(|| format!("a policy is asked {question:?}"));
        // Never.
        if self.rng.chance(150) {
            return;
        }
        // An answer waits in the network for its turn, with everything else: so it is late now and then.
        let times = if self.rng.chance(100) { 2 } else { 1 };
        for _ in 0..times {
            match &question {
                Question::Attempt(asked) => self.answer_attempt(asked),
                Question::Match(asked) => self.answer_match(asked),
                Question::Unmatched(asked) => self.answer_unmatched(asked),
                Question::Place(asked) => {
                    let place = self.answers(asked);
                    self.send_places(place, Token::Nobody);
                }
            }
        }
    }

    fn answer_attempt(&mut self, asked: &AttemptAsked) {
        let (job, mut revision) = (asked.lease.job, asked.revision);
        if self.rng.chance(80) {
            revision = revision.wrapping_add_signed(if self.rng.chance(500) { 1 } else { -1 });
        }
        let action = match self.rng.below(8) {
            0 => AttemptAction::Complete,
            1 => AttemptAction::Fail { message: "enough".into() },
            _ => AttemptAction::Retry {
                after: Duration::from_millis(if self.rng.chance(500) { 0 } else { self.rng.below(20_000) }),
                elsewhere: self.rng.chance(500),
                requirements: self.rng.chance(150).then(|| clients::needed(self.rng.next())),
                counts: self.rng.chance(300),
            },
        };
        let quarantine = Duration::from_millis(if self.rng.chance(250) { self.rng.below(30_000) } else { 0 });
        let mut attachment = Attachment::default();
        if matches!(action, AttemptAction::Fail { .. }) {
            attachment.results.push((asked.lease, format!("{} ended by policy", asked.lease).into()));
        }
        let verdict = (!self.rng.chance(100)).then_some(Verdict { action, quarantine });
        self.send(Event::Decided(Box::new(Decided { job, revision, verdict })), attachment, Token::Nobody);
    }

    fn answer_match(&mut self, asked: &MatchAsked) {
        // Another answer each time; mostly what containment says, and how well.
        let mut score = |(need, offer): &(u32, u32)| {
            let needed = &asked.needs[*need as usize].1;
            let contained = asked.offers[*offer as usize].1.iter().any(|set| set.contains_all(needed));
            if self.rng.chance(if contained { 900 } else { 200 }) { 1 + self.rng.below(3) as u32 } else { 0 }
        };
        let scores: Vec<_> = asked.pairs.iter().map(&mut score).collect();
        let scores = (!self.rng.chance(150)).then_some(scores);
        let matched = Matched { asked: asked.clone(), scores };
        self.send(Event::Matched(Box::new(matched)), Attachment::default(), Token::Nobody);
    }

    fn answer_unmatched(&mut self, asked: &UnmatchedAsked) {
        let revision = if self.rng.chance(80) { asked.revision.wrapping_sub(1) } else { asked.revision };
        // Just then a bot comes that could, and may say so before the answer is there.
        if self.rng.chance(400) {
            let bot = self.rng.index(self.bots.len());
            self.bots[bot].capabilities = clients::everything();
            self.end_call(bot);
            self.bots[bot].asleep_until = self.now;
            self.call_of(bot, false);
        }
        let verdict = match self.rng.below(5) {
            0 => None,
            1 | 2 => Some(UnmatchedVerdict::Wait(Duration::from_millis(self.rng.below(5_000)))),
            _ => Some(UnmatchedVerdict::Refuse("no such bot".into())),
        };
        let decided = UnmatchedDecided { class: asked.class.clone(), revision, verdict };
        self.send(Event::Unmatched(Box::new(decided)), Attachment::default(), Token::Nobody);
    }
}
