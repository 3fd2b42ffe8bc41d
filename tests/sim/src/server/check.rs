//! What a step must be: held against the model, event by event, and against what can be seen from outside.

use berth_core::{BotStatus, JobRowState, JobView, Outcome, PAIRS_MAX, SessionView, Why};
use berth_proto::{rpc, store as pb};
use prost::Message;

use super::*;
use crate::naive::matching::{Pair, pairs_of};

pub(super) enum Told {
    Event { event: Event, attachment: Attachment, token: Token },
    Look { operation: OperationId },
}

pub(super) struct Facts {
    pub(super) by_event: Vec<Vec<Fact>>,
    pub(super) records: Vec<(u64, Bytes)>,
}

impl Server {
    /// The facts of each event, and of the tick after the last.
    pub(super) fn facts(&mut self, batch: &Batch, marks: &[usize]) -> Checked<Facts> {
        let mut facts = Facts { by_event: vec![Vec::new(); marks.len() + 1], records: Vec::new() };
        for (position, change) in batch.changes().iter().enumerate() {
            if let Change::Feed { sequence, record } = change {
                rule!(
                    *sequence == self.next_sequence,
                    "the feed is dense: {} was due, not {sequence}",
                    self.next_sequence
                );
                self.next_sequence += 1;
                let bytes = batch.bytes(record);
                let (_, fact) =
                    codec::decode_feed(bytes).map_err(|error| Violation(format!("a feed record: {error}")))?;
                let event = marks.iter().position(|mark| position < *mark).unwrap_or(marks.len());
                facts.by_event[event].push(fact);
                facts.records.push((*sequence, Bytes::copy_from_slice(bytes)));
            }
        }
        Ok(facts)
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn check(
        &mut self,
        now: Timestamp,
        inputs: Option<(u64, u64)>,
        events: Vec<Told>,
        facts: Facts,
        batch: Batch,
        releases: Vec<Release<u64>>,
        looks: &Mutex<VecDeque<Option<Stage>>>,
    ) -> Checked<Work> {
        let before = self.stages();
        let mut releases = releases.into_iter().peekable();
        let mut by_event = facts.by_event.iter();
        let (mut leaves, mut bodies, mut results) = (Vec::new(), Vec::new(), Vec::new());
        let mut changed = BTreeSet::new();
        let mut last_number = 0;
        let mut answers = Vec::new();
        let (mut asks, mut expected_asks) = (Vec::new(), Asks::default());
        for told in events {
            let (event, attachment, token) = match told {
                Told::Event { event, attachment, token } => (event, attachment, token),
                Told::Look { operation } => {
                    let Some(Release::Run(run)) = releases.next() else {
                        return Err(Violation("a read is released in its turn".into()));
                    };
                    run();
                    let seen = looks.lock().expect("nobody panics with it").pop_front();
                    let seen = seen.expect("it just ran");
                    if let Some(model) = &self.model {
                        let stage = model.stage(operation);
                        rule!(seen == stage, "a read of {operation:?} saw {seen:?}, not {stage:?}");
                    }
                    leaves.push(Leave::Looked { operation, stage: seen });
                    continue;
                }
            };
            let seen = by_event.next().expect("each event has its facts");
            let Some(Release::Reply { token: number, result }) = releases.next() else {
                return Err(Violation(format!("{event:?} has no reply in its turn")));
            };
            rule!(number > last_number, "replies leave in the order of their inputs");
            last_number = number;
            let mut early = Vec::new();
            if let Some(model) = &mut self.model {
                let (facts, reply, answers) = match model.handle(now, &event, seen) {
                    Ok(expected) => {
                        expected_asks.add(expected.asks, expected.places, expected.pairs);
                        (expected.facts, Ok(expected.reply), expected.answers)
                    }
                    Err(rejection) => (Vec::new(), Err(rejection), Vec::new()),
                };
                rule!(*seen == facts, "{event:?}\n  made     {seen:?}\n  not      {facts:?}");
                rule!(result == reply, "{event:?} was answered by {result:?}, not {reply:?}");
                early = answers;
            }
            self.stored(seen, &attachment, &mut bodies, &mut results);
            leaves.push(Leave::Reply { token, event, result });
            answers = self.effects(&mut releases, &mut changed, &mut asks, &mut leaves);
            if self.model.is_some() {
                let first: Vec<_> = answers.iter().take(early.len()).cloned().map(unversioned).collect();
                rule!(first == early, "answers within an event: {first:?}, not {early:?}");
                answers.drain(..early.len());
                let more = releases.peek().is_some();
                rule!(!more || answers.is_empty(), "answers leave at the end of the batch, not {answers:?}");
            }
        }
        if inputs.is_none() || releases.peek().is_some() {
            answers.extend(self.effects(&mut releases, &mut changed, &mut asks, &mut leaves));
        }
        let ticked = facts.by_event.last().expect("the tick has its facts");
        self.stored(ticked, &Attachment::default(), &mut bodies, &mut results);
        if let Some(model) = &mut self.model {
            let seen = facts.by_event.last().expect("the tick has its facts");
            let tick = model.handle(now, &Event::Tick, seen).expect("time is never refused");
            rule!(*seen == tick.facts, "deadlines at {now:?}\n  made     {seen:?}\n  not      {:?}", tick.facts);
            expected_asks.add(tick.asks, tick.places, tick.pairs);
            check_asks(model, now, asks, expected_asks)?;
            let mut expected = model.finish_batch(now);
            let mut given: Vec<_> = answers.into_iter().map(unversioned).collect();
            given.sort_by_key(|answer| (answer.session, answer.poll));
            expected.sort_by_key(|answer| (answer.session, answer.poll));
            rule!(given == expected, "answers at the end of the batch: {given:?}\n  not {expected:?}");
            let (deadline, due) = (self.partition.book().next_deadline(), model.next_deadline());
            rule!(due.is_none() || (deadline.is_some() && deadline <= due), "{deadline:?} is set, but {due:?} is due");
        }
        self.work_conserving()?;
        let stages = self.stages();
        self.tell_watchers(&before, &stages, &changed, &mut leaves)?;
        Ok(Work {
            batch,
            inputs,
            leaves,
            facts: facts.by_event.into_iter().flatten().collect(),
            records: facts.records,
            bodies,
            results,
            stages,
            model: self.model.clone(),
            next_sequence: self.next_sequence,
        })
    }

    /// Bodies and results as they should be on disk after these facts. No result: there should be none.
    fn stored(
        &self,
        facts: &[Fact],
        attachment: &Attachment,
        bodies: &mut Vec<(JobId, Bytes)>,
        results: &mut Vec<(JobId, Option<Bytes>)>,
    ) {
        let attached = |lease: LeaseId| attachment.results.iter().find(|(of, _)| *of == lease).map(|(_, b)| b.clone());
        for fact in facts {
            match fact {
                Fact::JobCreated(created) => bodies.push((created.job, attachment.body.clone())),
                Fact::AttemptFailed(failed) => {
                    let result = attached(failed.lease);
                    results.extend(result.map(|bytes| (failed.lease.job, Some(bytes))));
                }
                Fact::AttemptDecided(decided) => results.push((decided.job, None)),
                Fact::JobRefused { job, text, .. } => {
                    let status = rpc::Status { code: 9, message: text.to_string(), details: Vec::new() };
                    let status = status.encode_to_vec().into();
                    let result = pb::JobResult { status, ..pb::JobResult::default() };
                    results.push((*job, Some(result.encode_to_vec().into())));
                }
                Fact::JobCompleted { job, outcome, .. } => {
                    let row = self.partition.book().job_row(*job).expect("it just ended");
                    match (attached(LeaseId { job: *job, attempt: row.offers }), outcome) {
                        (Some(bytes), _) => results.push((*job, Some(bytes))),
                        // As it was reported: what was stored while a policy was asked stays.
                        (None, Outcome::Reported { .. }) => {}
                        (None, _) => results.push((*job, None)),
                    }
                }
                _ => {}
            }
        }
    }

    /// Takes the effects up to the next reply; answers come back apart.
    pub(super) fn effects(
        &mut self,
        releases: &mut std::iter::Peekable<std::vec::IntoIter<Release<u64>>>,
        changed: &mut BTreeSet<(JobId, Option<OperationId>)>,
        asks: &mut Vec<Question>,
        leaves: &mut Vec<Leave>,
    ) -> Vec<Answer> {
        let mut answers = Vec::new();
        while let Some(Release::Effect(effect)) = releases.next_if(|release| matches!(release, Release::Effect(_))) {
            match effect {
                Effect::JobChanged { job } => drop(changed.insert((job, None))),
                Effect::OperationCancelled { operation, job } => drop(changed.insert((job, Some(operation)))),
                Effect::Answer(answer) => {
                    answers.push(answer.clone());
                    leaves.push(Leave::Answer(answer));
                }
                Effect::Ask(question) => {
                    asks.push(question.clone());
                    leaves.push(Leave::Ask(question));
                }
            }
        }
        answers
    }

    /// No job waits while a bot that fits it asks, once all jobs are known, unless a limit of it is reached, it waits for a
    /// bot that served its keys, or an operator paused it.
    pub(super) fn work_conserving(&self) -> Checked {
        let book = self.partition.book();
        let asking: Vec<_> = book.sessions().into_iter().filter(|session| session.asking).collect();
        if asking.is_empty() || book.counts().queued == 0 || book.loading().is_some() {
            return Ok(());
        }
        // What fits is for a policy to say where one judges; the model knows that.
        let judged = |job: &JobView| self.judged.contains(&job.instance);
        for job in book.jobs(usize::MAX).into_iter().filter(|job| job.stage == Stage::Queued && !judged(job)) {
            let row = book.job_row(job.job).expect("it is among the jobs");
            let known = self.model.as_ref().and_then(|model| Some((model, model.job(job.job)?)));
            if row.state != JobRowState::Queued || known.is_some_and(|(model, job)| model.is_blocked(job)) {
                continue;
            }
            let kept = |why: &Why| matches!(why, Why::NearBots { .. } | Why::Paused { .. });
            if book.explain(job.job).is_some_and(|waiting| kept(&waiting.why)) {
                continue;
            }
            let fits = |session: &&SessionView| {
                self.pools.serves(&session.instance, &job.instance)
                    && session.capabilities.iter().any(|set| set.contains_all(&job.requirements))
            };
            let failed_it = |session: &SessionView| {
                row.setbacks.as_ref().is_some_and(|s| s.elsewhere && s.failed_on.contains(&session.bot_id))
            };
            let willing = |s: &SessionView| s.status == BotStatus::Ok && !s.drained && s.quarantined.is_none();
            let has_others = book.sessions().iter().any(|other| fits(&other) && willing(other) && !failed_it(other));
            let fitting = asking.iter().filter(fits).find(|session| !failed_it(session) || !has_others);
            rule!(fitting.is_none(), "{:?} waits though {:?} asks", job.job, fitting.map(|session| session.session));
        }
        Ok(())
    }

    /// As the driver does: watchers hear the state at the end of the batch. Whoever sees a change must be told.
    pub(super) fn tell_watchers(
        &mut self,
        before: &[(OperationId, Stage)],
        after: &[(OperationId, Stage)],
        changed: &BTreeSet<(JobId, Option<OperationId>)>,
        leaves: &mut Vec<Leave>,
    ) -> Checked {
        let book = self.partition.book();
        for (job, watchers) in &self.watchers {
            for (operation, watcher) in watchers {
                let told = changed.contains(&(*job, None)) || changed.contains(&(*job, Some(*operation)));
                let stage = |of: &[(OperationId, Stage)]| {
                    of.iter().find(|(known, _)| known == operation).map(|(_, stage)| stage.clone())
                };
                let (was, is) = (stage(before), stage(after));
                rule!(was == is || told, "{operation:?} went from {was:?} to {is:?} and nobody was told");
                if told && let Some(view) = book.operation(*operation) {
                    leaves.push(Leave::Update { watcher: *watcher, stage: view.stage });
                }
            }
        }
        self.watchers.retain(|job, _| book.job_view(*job).is_some_and(|job| !matches!(job.stage, Stage::Completed(_))));
        Ok(())
    }

    /// Of what is watched.
    pub(super) fn stages(&self) -> Vec<(OperationId, Stage)> {
        let watched: BTreeSet<_> = self.watchers.values().flatten().map(|(operation, _)| *operation).collect();
        let stage = |operation| self.partition.book().operation(operation).map(|view| (operation, view.stage));
        watched.into_iter().filter_map(stage).collect()
    }

    /// Subscribes, and reads, at the end of the batch.
    pub(super) fn watch(&mut self, watches: Vec<(OperationId, u64)>) -> Checked {
        let last = self.queue.back_mut().expect("the step was just queued");
        for (operation, watcher) in watches {
            let view = self.partition.book().operation(operation);
            let stage = view.as_ref().map(|view| view.stage.clone());
            if let Some(stage) = &stage {
                last.stages.push((operation, stage.clone()));
            }
            if let Some(view) = view.filter(|view| !matches!(view.stage, Stage::Completed(_))) {
                self.watchers.entry(view.job).or_default().push((operation, watcher));
            }
            last.leaves.push(Leave::Watching { watcher, operation, stage });
        }
        Ok(())
    }
}

/// What policies are asked.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asks {
    attempts: Vec<(JobId, u32)>,
    places: Vec<JobId>,
    pairs: Vec<Pair>,
}

impl Asks {
    fn add(&mut self, attempts: Vec<(JobId, u32)>, places: Vec<JobId>, pairs: Vec<Pair>) {
        self.attempts.extend(attempts);
        self.places.extend(places);
        self.pairs.extend(pairs);
    }

    fn sort(&mut self) {
        self.attempts.sort();
        self.places.sort();
        self.pairs.sort();
    }
}

/// Policies are asked what they should be asked, once each.
fn check_asks(model: &mut Naive, now: Timestamp, asks: Vec<Question>, mut expected: Asks) -> Checked {
    let mut asked_about = Asks::default();
    let Asks { attempts, places, pairs } = &mut asked_about;
    for question in asks {
        match question {
            Question::Attempt(asked) => attempts.push((asked.lease.job, asked.revision)),
            Question::Match(asked) => {
                rule!(asked.pairs.len() <= PAIRS_MAX, "{} pairs in one question", asked.pairs.len());
                pairs.extend(pairs_of(&asked));
            }
            Question::Unmatched(asked) => model.asked_unmatched(now, &asked).map_err(Violation)?,
            Question::Place(asked) => places.extend(asked.iter().map(|asked| asked.job)),
        }
    }
    // Deadlines that come together have no order of their own.
    asked_about.sort();
    expected.sort();
    rule!(asked_about == expected, "asked {asked_about:?}\n  not {expected:?}");
    Ok(())
}

fn unversioned(answer: Answer) -> Answer {
    Answer { version: 0, ..answer }
}
