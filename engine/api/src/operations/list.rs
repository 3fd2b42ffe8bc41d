//! ListOperations: what a filter asks for, page by page. A page begins after the place of the last operation of the one
//! before, so that what comes and goes between two pages moves nothing.
//!
//! What is not finished is in the book and is looked at first, what is finished is in the store: an operation that ends
//! meanwhile is met there, and none is left out. A page that would take too long is answered as it is, or empty, with a
//! token that goes on from there.

use std::time::Duration;

use berth_core::{JobView, OperationId, OperationRow, OperationView, Outcome, Stage};
use berth_proto::longrunning::{ListOperationsRequest, ListOperationsResponse, Operation};
use berth_runtime::operations::{Listed, Need, Stored};
use prost::Message;
use tokio::time::Instant;

use super::{
    page::Page,
    plan::{Plan, Sequence, Wanted},
    query::{Carry, Key, Ordered, Query, Reached, Token, Value},
};
use crate::{config::Config, error::Error, instances::Instance, operation};

/// The most operations of a page, and what a request gets that names no number.
const PAGE_MAX: usize = 1_000;

/// Clients take messages of 4 MiB unless told otherwise; a page with more than this is cut.
const PAGE_BYTES_MAX: usize = 3 << 20;

/// Rows of an order that one step reads.
const ROWS_A_STEP: usize = 512;

/// Places of the book that one step looks at: some hundred microseconds of the writer's time.
const PLACES_A_STEP: usize = 1_024;

pub(super) async fn list(
    instance: &Instance,
    request: &ListOperationsRequest,
    config: &Config,
) -> Result<ListOperationsResponse, Error> {
    let query = Query::parse(&request.filter)?;
    let size = page_size(request.page_size)?;
    let token = match request.page_token.as_str() {
        "" => Token { as_of: instance.engine.now(), after: None, carry: None },
        text => Token::read(text, &instance.name, &query)?,
    };
    let (views, next) = Listing::new(instance, &query, &token, size, config.list_time_max).run().await?;
    let (operations, next) = render(instance, views, next, config).await?;
    let next = next.map(|(after, carry)| Token { as_of: token.as_of, after, carry });
    let next_page_token = next.map(|token| token.write(&instance.name, &query)).unwrap_or_default();
    Ok(ListOperationsResponse { operations, next_page_token, unreachable: Vec::new() })
}

/// What the next page is told: the place after which it begins, and how far it is.
type Next = Option<(Option<Vec<Value>>, Option<Carry>)>;

struct Listing<'a> {
    instance: &'a Instance,
    query: &'a Query,
    token: &'a Token,
    page: Page<'a>,
    need: Need,
    deadline: Instant,
}

impl<'a> Listing<'a> {
    fn new(instance: &'a Instance, query: &'a Query, token: &'a Token, size: usize, time: Duration) -> Self {
        let keys = query.conditions.iter().map(|condition| condition.key).chain(query.sort.iter().map(|part| part.key));
        let need = keys.map(Key::need).fold(Need::default(), |all, need| Need {
            operation: all.operation || need.operation,
            body: all.body || need.body,
        });
        let page = Page::new(query, token.as_of, token.after.as_deref(), size);
        Self { instance, query, token, page, need, deadline: Instant::now() + time }
    }

    async fn run(mut self) -> Result<(Vec<Ordered>, Next), Error> {
        let mut reached = Reached::Live(0);
        if let Some(carry) = &self.token.carry {
            self.recall(&carry.candidates).await?;
            reached = carry.reached.clone();
        }
        if let Reached::Live(place) = reached {
            match self.look_at_live(place).await? {
                Some(place) => return Ok(self.put_off(Reached::Live(place))),
                None => reached = Reached::Finished { part: 0, after: None },
            }
        }
        let Reached::Finished { part, after } = reached else { unreachable!("the live ones were looked at") };
        let (query, token) = (self.query, self.token);
        let wanted = Wanted { instance: &self.instance.name, query, after: token.after.as_deref(), as_of: token.as_of };
        let plan = wanted.plan(self.instance.engine.history()).await?;
        self.look_at_finished(plan, part, after).await
    }

    /// The candidates of a page that was begun, as they are now.
    async fn recall(&mut self, candidates: &[OperationId]) -> Result<(), Error> {
        let engine = &self.instance.engine;
        let ids = candidates.to_vec();
        let look =
            move |book: &berth_core::Book| ids.into_iter().map(|id| (id, book.operation(id))).collect::<Vec<_>>();
        let mut views = Vec::with_capacity(candidates.len());
        for (id, view) in engine.read(look).await? {
            match view {
                Some(view) => views.push(view),
                None => views.extend(engine.history().operation(id).await?),
            }
        }
        // A token may name any operation.
        views.retain(|view| view.instance == self.instance.name);
        self.offer_live(views).await
    }

    /// Answers with the place to go on from if time is up.
    async fn look_at_live(&mut self, mut place: usize) -> Result<Option<usize>, Error> {
        loop {
            let (jobs, next) = self.instance.engine.read(move |book| book.jobs_from(place, PLACES_A_STEP)).await?;
            let views = jobs.iter().filter(|job| job.instance == self.instance.name).flat_map(views).collect();
            self.offer_live(views).await?;
            match next {
                None => return Ok(None),
                Some(next) if Instant::now() >= self.deadline => return Ok(Some(next)),
                Some(next) => place = next,
            }
        }
    }

    /// Reads what is stored of them only if what is known rules nothing out.
    async fn offer_live(&mut self, views: Vec<OperationView>) -> Result<(), Error> {
        let known = |view| Listed { view, stored: Stored::default() };
        let mut listed: Vec<Listed> = views.into_iter().map(known).collect();
        let cheap = self.query.conditions.iter().filter(|condition| condition.key.need() == Need::default());
        let cheap: Vec<_> = cheap.collect();
        listed.retain(|listed| cheap.iter().all(|condition| condition.holds(listed)));
        if self.need != Need::default() {
            let ids = listed.iter().map(|listed| (listed.view.operation, listed.view.job)).collect();
            let stored = self.instance.engine.history().stored(ids, self.need).await?;
            listed.iter_mut().zip(stored).for_each(|(listed, stored)| listed.stored = stored);
        }
        listed.into_iter().for_each(|listed| self.page.offer(listed));
        Ok(())
    }

    async fn look_at_finished(
        mut self,
        plan: Plan,
        from: usize,
        mut after: Option<Vec<u8>>,
    ) -> Result<(Vec<Ordered>, Next), Error> {
        let history = self.instance.engine.history();
        let is_simple = plan.primary == 0;
        for (number, part) in plan.parts.into_iter().enumerate().skip(from) {
            if part.floor.as_ref().is_some_and(|floor| is_simple && self.page.is_past(0, floor)) {
                break;
            }
            let mut walk = part.walk;
            walk.after = after.take().or(walk.after);
            loop {
                let chunk = history.walk(walk.clone(), ROWS_A_STEP, self.need).await?;
                // Those that ended after the first page was made do not stand where the walk has them.
                let in_place =
                    |listed: &&Listed| is_simple || listed.view.completed_at.is_some_and(|at| at <= self.token.as_of);
                let place = chunk.operations.iter().rev().find(in_place).map(|listed| self.page.place(listed));
                chunk.operations.into_iter().for_each(|listed| self.page.offer(listed));
                let is_enough = place.as_ref().is_some_and(|place| match part.sequence {
                    Sequence::None => false,
                    Sequence::Primary => {
                        self.page.is_past(plan.primary, &place[plan.primary]) && self.is_level(place, plan.primary)
                    }
                    Sequence::Total => self.page.is_past_place(place),
                });
                if is_enough {
                    let (views, next) = self.page.finish(None);
                    return Ok((views, next.map(|after| (Some(after), None))));
                }
                let Some(next) = chunk.next else { break };
                if Instant::now() >= self.deadline {
                    return Ok(match place.filter(|_| part.sequence == Sequence::Total) {
                        Some(place) => {
                            let (views, next) = self.page.finish(Some(place));
                            (views, next.map(|after| (Some(after), None)))
                        }
                        None => self.put_off(Reached::Finished { part: number, after: Some(next) }),
                    });
                }
                walk.after = Some(next);
            }
        }
        let (views, next) = self.page.finish(None);
        Ok((views, next.map(|after| (Some(after), None))))
    }

    /// Whether the last of a full page is equal to the place in all keys before this one.
    fn is_level(&self, place: &[Value], primary: usize) -> bool {
        self.page.last().is_some_and(|last| last[..primary] == place[..primary])
    }

    /// Time is up, and nothing of the page is certain yet: the next call goes on.
    fn put_off(&self, reached: Reached) -> (Vec<Ordered>, Next) {
        let candidates = self.page.candidates().map(|listed| listed.view.operation).collect();
        (Vec::new(), Some((self.token.after.clone(), Some(Carry { reached, candidates }))))
    }
}

/// What clients see of the handles of a job that is not over.
pub(super) fn views(job: &JobView) -> impl Iterator<Item = OperationView> + '_ {
    let stage = |handle: &OperationRow| match handle.cancelled {
        Some(_) => Stage::Completed(Outcome::Cancelled),
        None => job.stage.clone(),
    };
    job.operations.iter().filter(|handle| !handle.deleted).map(move |handle| OperationView {
        operation: handle.operation,
        job: job.job,
        instance: job.instance.clone(),
        action: job.action,
        stage: stage(handle),
        queued_at: job.queued_at,
        started_at: job.lease.as_ref().map(|lease| lease.offered_at),
        completed_at: handle.cancelled,
    })
}

/// As many of the operations as fit into a message, at least one.
async fn render(
    instance: &Instance,
    page: Vec<Ordered>,
    next: Next,
    config: &Config,
) -> Result<(Vec<Operation>, Next), Error> {
    let mut operations = Vec::with_capacity(page.len());
    let mut bytes = 0;
    // Results may be large: a few at a time.
    for some in page.chunks(RESULTS_A_STEP) {
        let results =
            operation::results(instance.engine.history(), some.iter().map(|known| &known.listed.view)).await?;
        for (known, result) in some.iter().zip(results) {
            let operation = operation::with_result(instance.engine.history(), &known.listed.view, result, config);
            bytes += operation.encoded_len();
            if bytes > PAGE_BYTES_MAX && !operations.is_empty() {
                let last = &page[operations.len() - 1];
                return Ok((operations, Some((Some(last.place.clone()), None))));
            }
            operations.push(operation);
        }
    }
    Ok((operations, next))
}

/// Results that are in memory at a time, beside the page.
const RESULTS_A_STEP: usize = 64;

fn page_size(asked: i32) -> Result<usize, Error> {
    match usize::try_from(asked) {
        Ok(0) => Ok(PAGE_MAX),
        Ok(asked) => Ok(asked.min(PAGE_MAX)),
        Err(_) => Err(Error::field("page_size", format!("{asked} must not be negative"))),
    }
}
