//! The execution book against a naive model, event by event: same facts, same replies, same answers, same rows.
//! And the two ways to a book that must agree: `restore(rows)` and applying every fact.

#[allow(dead_code, unreachable_pub)]
mod naive;

use std::{sync::Arc, time::Duration};

use berth_core::{
    Affinity, Again, Answer, Asking, AttemptAction, Book, BotStatus, Decided, Digest, Effect, Event, Fact,
    InstanceName, JobId, LaneKey, LeaseId, LeaseReport, Limit, Matched, NewPlace, OpenSession, OperationId, Place,
    PoliciesChanged, PolicyChanged, PollId, Pools, Property, PropertySet, Question, ReportedState, SessionId, Settings,
    Submit, Timestamp, UnmatchedDecided, UnmatchedVerdict, UpdateSession, Verdict, WorkerChange,
};
use naive::{Expected, Naive, State, choice::Whim, matching::pairs_of};
use proptest::prelude::*;

/// One random step. Numbers pick among what is there, so that shrinking keeps a step meaningful.
#[derive(Clone, Debug)]
enum Act {
    Submit {
        action: u8,
        needs: u8,
        lane: u8,
        weight: u32,
        rank: i64,
        flags: u8,
        lookup_age_s: u64,
        timeouts: u8,
        again: u8,
        wish: bool,
    },
    Cached {
        action: u8,
    },
    Cancel {
        pick: usize,
    },
    Delete {
        pick: usize,
    },
    Open {
        bot: u8,
        offers: u8,
        slots: u32,
        flags: u8,
        score: u32,
        hold_s: Option<u64>,
    },
    Update {
        pick: usize,
        keep: u8,
        states: u64,
        status: u8,
        change: u8,
        hold_s: Option<u64>,
    },
    PollEnded {
        pick: usize,
    },
    Undelivered {
        pick: usize,
    },
    Drain {
        bot: u8,
        on: bool,
    },
    Pause {
        label: u8,
        on: bool,
    },
    Requeue {
        pick: usize,
        counts: bool,
    },
    Kick {
        pick: usize,
    },
    Asking {
        attempts: bool,
        unmatched: bool,
        choosing: bool,
        matching: u64,
    },
    Match {
        pick: usize,
        fault: u8,
        scores: u64,
    },
    Decide {
        pick: usize,
        stale: bool,
        verdict: Option<u32>,
        quarantine_s: u64,
    },
    Unmatched {
        pick: usize,
        refuse: bool,
    },
    Release {
        bot: u8,
    },
    SetLimit {
        name: bool,
        number: Option<u8>,
    },
    Place {
        newer: u8,
        picks: u64,
    },
    Pass {
        ms: u64,
    },
    EndBatch,
    Restart,
}

fn acts() -> impl Strategy<Value = Act> {
    let hold = || proptest::option::weighted(0.85, 0..40_u64);
    prop_oneof![
        8 => (0..6_u8, 0..5_u8, 0..3_u8, 1..4_u32, -1..2_i64, 0..16_u8, 0..15_u64, 0..9_u8, (any::<u8>(), any::<bool>()))
            .prop_map(|(action, needs, lane, weight, rank, flags, lookup_age_s, timeouts, (again, wish))| Act::Submit {
                action, needs, lane, weight, rank, flags, lookup_age_s, timeouts, again, wish
            }
        ),
        4 => (0..4_u8, any::<u64>()).prop_map(|(newer, picks)| Act::Place { newer, picks }),
        1 => (0..6_u8).prop_map(|action| Act::Cached { action }),
        2 => any::<usize>().prop_map(|pick| Act::Cancel { pick }),
        1 => any::<usize>().prop_map(|pick| Act::Delete { pick }),
        3 => (0..4_u8, 0..4_u8, 0..4_u32, 0..8_u8, 0..3_u32, hold()).prop_map(
            |(bot, offers, slots, flags, score, hold_s)| Act::Open { bot, offers, slots, flags, score, hold_s }
        ),
        12 => (any::<usize>(), any::<u8>(), any::<u64>(), 0..12_u8, 0..24_u8, hold()).prop_map(
            |(pick, keep, states, status, change, hold_s)| Act::Update { pick, keep, states, status, change, hold_s }
        ),
        2 => any::<usize>().prop_map(|pick| Act::PollEnded { pick }),
        2 => any::<usize>().prop_map(|pick| Act::Undelivered { pick }),
        1 => (0..4_u8, any::<bool>()).prop_map(|(bot, on)| Act::Drain { bot, on }),
        2 => (0..3_u8, any::<bool>()).prop_map(|(label, on)| Act::Pause { label, on }),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(pick, counts)| Act::Requeue { pick, counts }),
        1 => any::<usize>().prop_map(|pick| Act::Kick { pick }),
        2 => (any::<bool>(), any::<bool>(), any::<bool>(), 0..4_u64).prop_map(
            |(attempts, unmatched, choosing, matching)| Act::Asking { attempts, unmatched, choosing, matching }
        ),
        5 => (any::<usize>(), 0..6_u8, any::<u64>())
            .prop_map(|(pick, fault, scores)| Act::Match { pick, fault, scores }),
        5 => (any::<usize>(), 0..8_u8, proptest::option::weighted(0.9, any::<u32>()), 0..90_u64).prop_map(
            |(pick, stale, verdict, quarantine_s)| Act::Decide {
                pick,
                stale: stale == 0,
                verdict,
                quarantine_s: if quarantine_s > 40 { 0 } else { quarantine_s },
            }
        ),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(pick, refuse)| Act::Unmatched { pick, refuse }),
        1 => (0..4_u8).prop_map(|bot| Act::Release { bot }),
        1 => (any::<bool>(), proptest::option::weighted(0.6, any::<u8>()))
            .prop_map(|(name, number)| Act::SetLimit { name, number }),
        4 => prop_oneof![0..100_u64, 0..1_500_u64, 0..60_000_u64].prop_map(|ms| Act::Pass { ms }),
        10 => Just(Act::EndBatch),
        1 => Just(Act::Restart),
    ]
}

/// The book, the model, a book that only ever applied facts, and what random steps pick from.
struct Pair {
    settings: Settings,
    now: Timestamp,
    book: Book,
    model: Naive,
    applied: Book,
    operations: Vec<OperationId>,
    /// Answers that left, newest last.
    answered: Vec<(SessionId, PollId)>,
    /// Leases that were ever offered.
    leases: Vec<LeaseId>,
    /// Questions that were ever asked.
    questions: Vec<Question>,
    /// The newest set of policies.
    generation: u64,
    ids: u128,
}

impl Pair {
    fn new() -> Self {
        let pools = Pools::new([vec!["main".into(), "side".into()]]);
        let settings =
            Settings { attempts_max: 3, failures_max: 5, ask_command_failed: true, pools, ..Settings::default() };
        Self {
            settings: settings.clone(),
            now: Timestamp(1_000_000_000),
            book: choosing(Book::new(settings.clone())),
            model: Naive::new(settings.clone()),
            applied: Book::new(settings),
            operations: Vec::new(),
            answered: Vec::new(),
            leases: Vec::new(),
            questions: Vec::new(),
            generation: 0,
            ids: 0,
        }
    }

    fn id(&mut self) -> u128 {
        // Scattered, because recovery meets rows in the order of their ids.
        self.ids += 1;
        self.ids.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    }

    fn run(&mut self, act: Act) {
        match act {
            Act::Pass { ms } => {
                // Odd microseconds, so that deadlines rarely coincide.
                self.now = self.now.after(Duration::from_micros(ms * 1_000 + 7));
                self.end_batch();
            }
            Act::EndBatch => self.end_batch(),
            Act::Restart => {
                self.end_batch();
                self.book = choosing(Book::restore(self.settings.clone(), self.now, self.book.rows()));
                self.model.restart(self.now);
                self.generation = 0;
            }
            act => {
                if let Some(event) = self.event(act) {
                    self.handle(event);
                }
            }
        }
        self.compare();
    }

    fn event(&mut self, act: Act) -> Option<Event> {
        Some(match act {
            Act::Submit { action, needs, lane, weight, rank, flags, lookup_age_s, timeouts, again, wish } => {
                let operation = self.new_operation();
                let ago = Timestamp(self.now.0 - Duration::from_secs(lookup_age_s).as_micros() as u64);
                let timeout = |n: u8| (n > 0).then(|| Duration::from_secs(u64::from(n) * 20));
                Event::Submit(Box::new(Submit {
                    do_not_cache: flags & 3 == 1,
                    skip_cache_lookup: flags & 12 == 4,
                    lookup_began: ago,
                    requirements: needed(needs),
                    preferred: (wish && needs < 3).then(|| needed(needs.max(1) + 1)),
                    lane: lane_key(lane),
                    weight,
                    rank,
                    limits: limits_of(lane, again.rotate_left(3) ^ flags),
                    affinities: affinities_of(weight as u8 ^ flags.rotate_left(3) ^ action),
                    again: Again {
                        after: again_after(again),
                        generation: self.generation.saturating_sub(u64::from(again & 24 == 24)),
                    },
                    queue_timeout: timeout(timeouts % 3),
                    execution_timeout: timeout(timeouts / 3),
                    ..submit(operation, action)
                }))
            }
            Act::Cached { action } => {
                let operation = self.new_operation();
                Event::SubmitCached(Box::new(submit(operation, action)))
            }
            Act::Cancel { pick } => Event::Cancel { operation: *choose(&self.operations, pick)? },
            Act::Delete { pick } => {
                let operation = *choose(&self.operations, pick)?;
                let job = self.book.operation(operation).map_or(JobId(operation.0), |view| view.job);
                Event::Delete { operation, job }
            }
            Act::Open { bot, offers, slots, flags, score, hold_s } => Event::OpenSession(Box::new(OpenSession {
                session: SessionId(self.id()),
                instance: home_of(bot),
                bot_id: bot_name(bot),
                identity: "".into(),
                capabilities: offered(offers),
                slots,
                hold_when_full: flags & 1 == 1,
                status: if flags & 6 == 6 { BotStatus::Unhealthy } else { BotStatus::Ok },
                score,
                poll: PollId(self.id() as u64),
                hold_until: hold_s.map(|s| self.now.after(Duration::from_secs(s))),
            })),
            Act::Update { pick, keep, states, status, change, hold_s } => {
                let session = choose(&self.model.sessions, pick)?.id;
                Event::UpdateSession(Box::new(self.update(session, keep, states, status, change, hold_s)))
            }
            Act::PollEnded { pick } => {
                let session = choose(&self.model.sessions, pick)?;
                Event::PollEnded { session: session.id, poll: session.poll.map_or(PollId(0), |poll| poll.id) }
            }
            Act::Undelivered { pick } => {
                let (session, poll) = *choose(&self.answered, self.answered.len().saturating_sub(1 + pick % 4))?;
                Event::Undelivered { session, poll }
            }
            Act::Drain { bot, on } => Event::Drain { instance: home_of(bot), bot_id: bot_name(bot), on },
            Act::Pause { label, on } => Event::Pause {
                instance: "main".into(),
                label: [None, Some("".into()), Some("linux".into())][usize::from(label)].clone(),
                on,
            },
            // Mostly one that runs.
            Act::Requeue { pick, counts } => {
                let runs = |job: &&naive::Job| matches!(job.state, State::Leased { .. });
                let running: Vec<_> = self.model.jobs.iter().filter(runs).map(|job| job.id).collect();
                let all: Vec<_> = self.model.jobs.iter().map(|job| job.id).collect();
                let job = if pick % 8 == 7 { choose(&all, pick) } else { choose(&running, pick) };
                Event::Requeue { job: job.copied().unwrap_or(JobId(1)), counts }
            }
            Act::Kick { pick } => {
                let session = choose(&self.model.sessions, pick).map_or(SessionId(1), |session| session.id);
                Event::Kick { session }
            }
            Act::Asking { attempts, unmatched, choosing, matching } => {
                let matching = (matching > 0).then_some(matching / 2);
                Event::Asking { instance: "main".into(), asking: Asking { attempts, unmatched, matching, choosing } }
            }
            Act::Match { pick, fault, scores } => {
                let asked = self.questions.iter().filter_map(|question| match question {
                    Question::Match(asked) => Some(asked),
                    Question::Attempt(_) | Question::Unmatched(_) | Question::Place(_) => None,
                });
                let asked: Vec<_> = asked.collect();
                let asked = (**choose(&asked, asked.len().saturating_sub(1 + pick % 4))?).clone();
                let score = |at: usize| (scores >> (at % 20 * 3)) as u32 % 4;
                let scores = (fault > 0).then(|| (0..asked.pairs.len()).map(score).collect());
                Event::Matched(Box::new(Matched { asked: *asked, scores }))
            }
            Act::Decide { pick, stale, verdict, quarantine_s } => {
                // The newest mostly: they may be open.
                let asked = self.questions.iter().filter_map(|question| match question {
                    Question::Attempt(asked) => Some((asked.lease.job, asked.revision)),
                    Question::Unmatched(_) | Question::Match(_) | Question::Place(_) => None,
                });
                let asked: Vec<_> = asked.collect();
                let (job, revision) = *choose(&asked, asked.len().saturating_sub(1 + pick % 4))?;
                let revision = if stale { revision.wrapping_sub(1) } else { revision };
                let quarantine = Duration::from_secs(quarantine_s);
                let verdict = verdict.map(|number| Verdict { action: action(number), quarantine });
                Event::Decided(Box::new(Decided { job, revision, verdict }))
            }
            Act::Unmatched { pick, refuse } => {
                let asked = self.questions.iter().filter_map(|question| match question {
                    Question::Unmatched(asked) => Some((asked.class.clone(), asked.revision)),
                    Question::Attempt(_) | Question::Match(_) | Question::Place(_) => None,
                });
                let asked: Vec<_> = asked.collect();
                let (class, revision) = choose(&asked, asked.len().saturating_sub(1 + pick % 4))?.clone();
                let wait = UnmatchedVerdict::Wait(Duration::from_millis(pick as u64 % 5_000));
                let verdict = if refuse { UnmatchedVerdict::Refuse("no".into()) } else { wait };
                Event::Unmatched(Box::new(UnmatchedDecided {
                    class,
                    revision,
                    verdict: (pick % 8 > 0).then_some(verdict),
                }))
            }
            Act::Place { newer, picks } if picks % 5 == 4 => {
                let Place { generation, items } = self.places(newer, picks);
                let changes = items.iter().map(|item| policy_changed(&item.lane)).collect();
                Event::PoliciesChanged(Box::new(PoliciesChanged { generation, changes }))
            }
            Act::Place { newer, picks } => Event::Place(Box::new(self.places(newer, picks))),
            Act::SetLimit { name, number } => {
                let counter = if name { "x" } else { "y" };
                let limit = number.map(|number| limit(counter, number));
                Event::SetLimit { instance: "main".into(), counter: counter.into(), limit }
            }
            Act::Release { bot } => Event::Release { instance: home_of(bot), bot_id: bot_name(bot) },
            Act::Pass { .. } | Act::EndBatch | Act::Restart => return None,
        })
    }

    /// Places for some jobs, mostly of the newest policies.
    fn places(&mut self, newer: u8, picks: u64) -> Place {
        self.generation += u64::from(newer == 3);
        let generation = self.generation.saturating_sub(u64::from(newer == 2));
        let item = |n: u64| {
            let bits = picks >> (n * 16);
            let job = choose(&self.model.jobs, bits as usize & 0xff)?;
            let same = bits >> 8 & 3 == 0;
            Some(NewPlace {
                job: if bits & 0xf0 == 0xf0 { JobId(1) } else { job.id },
                lane: if same { job.lane.clone() } else { lane_key((bits >> 10) as u8 % 3) },
                weight: if same { job.weight } else { (bits >> 12) as u32 % 4 },
                rank: if same { job.rank } else { (bits >> 13) as i64 % 3 - 1 },
                limits: if same { job.limits.clone() } else { limits_of((bits >> 4) as u8 % 3, (bits >> 6) as u8) },
                affinities: if same { job.affinities.clone() } else { affinities_of((bits >> 9) as u8) },
                again: again_after(bits as u8),
            })
        };
        Place { generation, items: (0..picks % 4).filter_map(item).collect() }
    }

    /// What a bot may say: mostly of its own leases, sometimes of any.
    fn update(
        &mut self,
        id: SessionId,
        keep: u8,
        states: u64,
        status: u8,
        change: u8,
        hold_s: Option<u64>,
    ) -> UpdateSession {
        let session = self.model.session(id).expect("picked among those that are there");
        let mut listed: Vec<LeaseId> =
            session.leases.iter().map(|job| self.model.job(*job).expect("it is leased").lease()).collect();
        listed.extend(&session.ghosts);
        if keep & 7 == 7 {
            listed.extend(choose(&self.leases, usize::from(keep)));
        }
        if keep & 24 == 24 && !listed.is_empty() {
            listed.remove(usize::from(keep) % listed.len());
        }
        let state = |n: u64| match n % 16 {
            0 | 1 => ReportedState::Pending,
            2..=8 => ReportedState::Active,
            9..=11 => ReportedState::Completed { code: 0, cacheable: n & 16 == 0 },
            12 if n & 16 == 0 => ReportedState::CommandFailed,
            13 if n & 16 == 0 => ReportedState::Completed { code: 9, cacheable: false },
            13 => ReportedState::Completed { code: 3, cacheable: false },
            12 | 14 => ReportedState::Completed { code: 13, cacheable: false },
            _ => ReportedState::Cancelled,
        };
        let report =
            |(at, lease): (usize, &LeaseId)| LeaseReport { lease: *lease, state: state(states >> (5 * (at % 12))) };
        let leases = listed.iter().enumerate().map(report).collect();
        let worker = (change < 2).then(|| WorkerChange {
            capabilities: offered(change + 1),
            slots: u32::from(keep) % 4,
            hold_when_full: keep & 32 == 0,
            score: u32::from(keep) / 64,
        });
        UpdateSession {
            session: id,
            bot_id: if change == 23 { "impostor".into() } else { session.bot_id.clone() },
            identity: "".into(),
            status: match status {
                0 => BotStatus::Unhealthy,
                1 => BotStatus::Terminating,
                _ => BotStatus::Ok,
            },
            worker,
            leases,
            poll: PollId(self.id() as u64),
            hold_until: hold_s.map(|s| self.now.after(Duration::from_secs(s))),
        }
    }

    fn handle(&mut self, event: Event) {
        self.book.begin_batch();
        match self.book.handle(self.now, event.clone()) {
            Ok(step) => {
                let expected = self.model.handle(self.now, &event, &step.facts).expect("the book accepted it");
                assert_eq!(step.facts, expected.facts, "facts of {event:?}");
                assert_eq!(step.reply, expected.reply, "reply to {event:?}");
                let answers = step.effects.iter().filter_map(|effect| match effect {
                    berth_core::Effect::Answer(answer) => Some(unversioned(answer)),
                    _ => None,
                });
                assert_eq!(answers.collect::<Vec<_>>(), expected.answers, "answers within {event:?}");
                self.note_questions(&step.effects, expected, &event);
                self.note(&step.facts);
            }
            Err(rejection) => {
                assert_eq!(self.model.handle(self.now, &event, &[]).err(), Some(rejection), "{event:?}");
            }
        }
    }

    fn note_questions(&mut self, effects: &[Effect], expected: Expected, event: &Event) {
        let (mut asks, mut places, mut pairs) = (Vec::new(), Vec::new(), Vec::new());
        for effect in effects {
            let Effect::Ask(question) = effect else { continue };
            match question {
                Question::Attempt(asked) => asks.push((asked.lease.job, asked.revision)),
                Question::Match(asked) => pairs.extend(pairs_of(asked)),
                Question::Unmatched(asked) => {
                    self.model.asked_unmatched(self.now, asked).expect("the question may be asked");
                }
                Question::Place(asked) => places.extend(asked.iter().map(|asked| asked.job)),
            }
            self.questions.push(question.clone());
        }
        // Deadlines that come together have no order of their own.
        assert_eq!(sorted(asks), sorted(expected.asks), "questions of {event:?}");
        assert_eq!(sorted(places), sorted(expected.places), "jobs whose place is asked for by {event:?}");
        assert_eq!(sorted(pairs), sorted(expected.pairs), "pairs of {event:?}");
    }

    fn end_batch(&mut self) {
        let due = self.book.next_deadline();
        assert!(due <= self.model.next_deadline() || self.model.next_deadline().is_none(), "a deadline is missed");
        while self.book.next_deadline().is_some_and(|at| at <= self.now) {
            self.handle(Event::Tick);
        }
        let mut answers: Vec<_> = self.book.finish_batch(self.now).iter().map(unversioned).collect();
        let mut expected = self.model.finish_batch(self.now);
        // Deadlines that come together have no order of their own.
        answers.sort_by_key(|answer| (answer.session, answer.poll));
        expected.sort_by_key(|answer| (answer.session, answer.poll));
        assert_eq!(answers, expected, "answers at the end of the batch");
        self.answered.extend(answers.iter().map(|answer| (answer.session, answer.poll)));
    }

    fn note(&mut self, facts: &[Fact]) {
        for fact in facts {
            self.applied.apply(fact);
            if let Fact::LeaseOffered { lease, .. } = fact {
                self.leases.push(*lease);
            }
        }
    }

    fn compare(&self) {
        let rows = self.book.rows();
        assert_eq!(rows, self.model.rows(), "rows");
        assert_eq!(rows, self.applied.rows(), "rows of the applied facts");
        assert_eq!(
            rows,
            Book::restore(self.settings.clone(), self.now, rows.clone()).rows(),
            "rows of a restored book"
        );
        for operation in &self.operations {
            let stage = self.book.operation(*operation).map(|view| view.stage);
            assert_eq!(stage, self.model.stage(*operation), "{operation:?}");
        }
        for session in &self.model.sessions {
            let view = self.book.session_view(session.id).expect("the rows are equal");
            let leases: Vec<_> =
                session.leases.iter().map(|job| self.model.job(*job).expect("it is leased").lease()).collect();
            assert_eq!(view.leases, leases);
            assert_eq!(view.ghosts, session.ghosts);
            assert_eq!(view.asking, session.ticket.is_some());
        }
        let waits = |state: &State| !matches!(state, State::Leased { .. } | State::Completed { .. });
        let waiting = self.model.jobs.iter().filter(|job| waits(&job.state)).count();
        assert_eq!(self.book.counts().queued, waiting);
    }

    fn new_operation(&mut self) -> OperationId {
        let operation = OperationId(self.id());
        self.operations.push(operation);
        operation
    }
}

fn choosing(mut book: Book) -> Book {
    book.set_chooser(Box::new(Whim));
    book
}

fn action(number: u32) -> AttemptAction {
    match number % 8 {
        0 => AttemptAction::Complete,
        1 => AttemptAction::Fail { message: "enough".into() },
        _ => AttemptAction::Retry {
            after: Duration::from_millis(if number & 8 == 0 { 0 } else { u64::from(number >> 8) % 50_000 }),
            elsewhere: number & 16 == 0,
            requirements: (number & 96 == 0).then(|| needed((number >> 8) as u8 % 5)),
            counts: number & 128 == 0,
        },
    }
}

fn submit(operation: OperationId, action: u8) -> Submit {
    Submit {
        operation,
        instance: "main".into(),
        action: Digest { hash: [action; 32], size_bytes: 1 },
        do_not_cache: false,
        skip_cache_lookup: false,
        lookup_began: Timestamp(0),
        requirements: PropertySet::default(),
        preferred: None,
        label: if action & 1 == 0 { "" } else { "linux" }.into(),
        lane: LaneKey::default(),
        weight: 1,
        rank: 0,
        limits: Vec::new(),
        affinities: Vec::new(),
        again: Again::default(),
        queue_timeout: None,
        execution_timeout: None,
    }
}

/// None, one or two of four keys.
fn affinities_of(bits: u8) -> Vec<Arc<Affinity>> {
    let affinity = |number: u8| {
        let key = ["a", "b", "c", "d"][usize::from(number & 3)].into();
        let wait = [0, 500, 5_000, 10_000][usize::from(number >> 2 & 3)];
        Arc::new(Affinity { key, weight: u32::from(number >> 4), wait: Duration::from_millis(wait) })
    };
    match bits >> 6 {
        0 | 1 => Vec::new(),
        2 => vec![affinity(bits)],
        _ => vec![affinity(bits), affinity(bits.rotate_right(2))],
    }
}

fn limit(name: &str, number: u8) -> Arc<Limit> {
    let bound = |from: u32, number: u8| (number & 1 == 0).then_some(from + u32::from(number >> 1 & 1));
    Arc::new(Limit {
        name: name.into(),
        max_running: bound(1, number),
        max_queued: bound(3, number >> 2),
        min_running: u32::from(number >> 4 & 1),
        evict_after: (number & 96 != 0).then(|| Duration::from_millis(u64::from(number >> 5) * 700)),
        cool_down: Duration::from_secs(u64::from(number >> 5 & 1) * 30),
    })
}

/// Two counters, whose numbers change with each job.
fn limits_of(lane: u8, flags: u8) -> Vec<Arc<Limit>> {
    match flags >> 4 & 3 {
        0 | 1 => Vec::new(),
        2 => vec![limit(["x", "y", "x"][usize::from(lane)], flags.rotate_left(2))],
        _ => vec![limit("x", flags >> 5), limit("y", flags.rotate_left(3))],
    }
}

fn lane_key(lane: u8) -> LaneKey {
    LaneKey(["", "a", "b"][usize::from(lane)].into())
}

fn policy_changed(lane: &LaneKey) -> PolicyChanged {
    let (none, lane) = (Arc::<str>::from(""), lane.0.clone());
    PolicyChanged {
        policy: lane.clone(),
        before: none.clone(),
        after: lane,
        instances: none.clone(),
        role: none,
        what: "activated".into(),
    }
}

fn again_after(number: u8) -> Option<Duration> {
    (number & 6 == 6).then(|| Duration::from_millis(u64::from(number >> 3) * 500))
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort();
    list
}

fn choose<T>(from: &[T], pick: usize) -> Option<&T> {
    from.get(pick.checked_rem(from.len())?)
}

/// Most bots are of the jobs' own instance, one is of another of its pool, and one of all.
fn home_of(bot: u8) -> InstanceName {
    InstanceName::from(match bot {
        2 => "side",
        3 => InstanceName::ALL,
        _ => "main",
    })
}

fn bot_name(bot: u8) -> Arc<str> {
    format!("bot-{bot}").into()
}

fn set(properties: &[(&str, &str)]) -> PropertySet {
    properties.iter().map(|(name, value)| Property::new(*name, *value)).collect()
}

fn needed(needs: u8) -> PropertySet {
    match needs {
        0 | 1 => set(&[]),
        2 => set(&[("os", "linux")]),
        3 => set(&[("os", "linux"), ("pool", "big")]),
        _ => set(&[("os", "mac")]),
    }
}

fn offered(offers: u8) -> Vec<PropertySet> {
    match offers {
        0 => vec![set(&[])],
        1 => vec![set(&[("os", "linux")])],
        2 => vec![set(&[("os", "linux"), ("pool", "big")])],
        _ => vec![set(&[("os", "mac")]), set(&[("os", "linux")])],
    }
}

fn unversioned(answer: &Answer) -> Answer {
    Answer { version: 0, ..answer.clone() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn the_book_does_what_the_naive_model_says(acts in proptest::collection::vec(acts(), 1..150)) {
        let mut pair = Pair::new();
        for act in acts {
            pair.run(act);
        }
    }
}
