//! Bots with an open session, and what they are at: one look at the book, however many there are.

use berth_core::{Book, BotStatus, JobView, SessionView};
use berth_proto::{
    bots as wire,
    buildgrid::{ListWorkersRequest, ListWorkersResponse, RegisteredWorker, WorkerOperation},
};
use uuid::Uuid;

use super::{Page, count};
use crate::{convert, error::Error, instances::Instance, names};

/// The most workers of a page, and what a request gets that names no number.
const PAGE_MAX: i32 = 100;

pub(super) async fn list(instance: &Instance, request: &ListWorkersRequest) -> Result<ListWorkersResponse, Error> {
    let size = if request.page_size == 0 { PAGE_MAX } else { request.page_size.min(PAGE_MAX) };
    let page = Page::read(request.page, size)?;
    let (name, wanted) = (instance.name.clone(), request.worker_name.to_lowercase());
    let (skip, take) = (page.skip(), page.take());
    let look = move |book: &Book| {
        let session_name = |session: &SessionView| names::session(&name.0, session.session);
        let mut sessions = book.sessions();
        sessions.retain(|session| {
            let part_of = |text: &str| text.to_lowercase().contains(&wanted);
            session.instance == name && (part_of(&session.bot_id) || part_of(&session_name(session)))
        });
        sessions.sort_by(|a, b| a.bot_id.cmp(&b.bot_id));
        let total = sessions.len();
        let shown = sessions.into_iter().skip(skip).take(take);
        let jobs_of = |session: &SessionView| -> Vec<JobView> {
            session.leases.iter().filter_map(|lease| book.job_view(lease.job)).collect()
        };
        let shown: Vec<_> = shown.map(|session| (jobs_of(&session), session)).collect();
        (shown, total, book.settings().session_timeout)
    };
    let (shown, total, timeout) = instance.engine.read_promptly(look).await?;
    let now = instance.engine.now();
    let worker = |(jobs, session): (Vec<JobView>, SessionView)| {
        let heard = if session.held { now } else { session.contact };
        RegisteredWorker {
            session_name: names::session(&instance.name.0, session.session),
            worker_name: session.bot_id.to_string(),
            last_updated: Some(convert::timestamp(heard)),
            bot_status: status(session.status) as i32,
            expiry_time: Some(convert::timestamp(heard.after(timeout))),
            action_digest: jobs.last().map(|job| convert::to_wire(&job.action)),
            operations: jobs.iter().flat_map(operations).collect(),
        }
    };
    Ok(ListWorkersResponse {
        page: page.number,
        page_size: page.size,
        total: count(total),
        workers: shown.into_iter().map(worker).collect(),
    })
}

/// The handles that clients hold on a job.
fn operations(job: &JobView) -> impl Iterator<Item = WorkerOperation> + '_ {
    let live = job.operations.iter().filter(|handle| !handle.deleted);
    live.map(|handle| WorkerOperation {
        operation_name: Uuid::from_u128(handle.operation.0).hyphenated().to_string(),
        action_digest: Some(convert::to_wire(&job.action)),
    })
}

fn status(status: BotStatus) -> wire::BotStatus {
    match status {
        BotStatus::Ok => wire::BotStatus::Ok,
        BotStatus::Unhealthy => wire::BotStatus::Unhealthy,
        BotStatus::HostRebooting => wire::BotStatus::HostRebooting,
        BotStatus::Terminating => wire::BotStatus::BotTerminating,
        BotStatus::Initializing => wire::BotStatus::Initializing,
    }
}
