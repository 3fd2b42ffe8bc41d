//! Finds the job that an operator means: by its id, by the name of an operation, or by the first digits of either.

use berth_core::{JobId, JobRow, JobView, OperationId};
use berth_runtime::Engine;

use crate::{
    error::Error,
    instances::{Instances, shown},
    names,
    walk::walk_incomplete,
};

/// Fewer digits fit too much.
const DIGITS_MIN: usize = 4;
const DIGITS: usize = 32;

/// Among so many finished jobs, the newest, first digits are looked for.
const FINISHED_MAX: usize = 10_000;

/// Where a job was found.
pub(super) enum Found {
    /// In the book: it is not over, or only just.
    Known(Box<JobView>),
    /// In the store: it is over.
    Stored(Box<JobRow>),
}

impl Found {
    /// The job's id.
    pub(super) fn id(&self) -> JobId {
        match self {
            Self::Known(view) => view.job,
            Self::Stored(row) => row.job,
        }
    }
}

pub(super) async fn job(instances: &Instances, text: &str) -> Result<(Engine, Found), Error> {
    let unknown = || Error::UnknownName { what: "job", name: shown(text) };
    let digits: String = names::split(text.trim()).1.chars().filter(|digit| *digit != '-').collect();
    let digits = digits.to_ascii_lowercase();
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !is_hex || !(DIGITS_MIN..=DIGITS).contains(&digits.len()) {
        let problem = format!("{:?} is neither a job, nor an operation, nor the first 4 or more digits", shown(text));
        return Err(Error::field("job", problem));
    }
    if digits.len() == DIGITS {
        let id = u128::from_str_radix(&digits, 16).map_err(|_| unknown())?;
        for engine in instances.engines() {
            if let Some(found) = by_id(&engine, id).await? {
                return Ok((engine, found));
            }
        }
        return Err(unknown());
    }
    by_first_digits(instances, &digits, unknown).await
}

/// A job has the id of its first operation, so both kinds of ids are one look.
async fn by_id(engine: &Engine, id: u128) -> Result<Option<Found>, Error> {
    let look = move |book: &berth_core::Book| {
        let by_operation = || book.operation(OperationId(id)).and_then(|operation| book.job_view(operation.job));
        book.job_view(JobId(id)).or_else(by_operation)
    };
    if let Some(view) = engine.read(look).await? {
        return Ok(Some(Found::Known(Box::new(view))));
    }
    let history = engine.history();
    let job = match history.operation(OperationId(id)).await? {
        Some(operation) => operation.job,
        None => JobId(id),
    };
    Ok(history.finished(job).await?.map(|row| Found::Stored(Box::new(row))))
}

async fn by_first_digits(
    instances: &Instances,
    digits: &str,
    unknown: impl Fn() -> Error,
) -> Result<(Engine, Found), Error> {
    let fits = |job: JobId, mut operations: Box<dyn Iterator<Item = OperationId> + '_>| {
        job.to_string().starts_with(digits) || operations.any(|id| id.to_string().starts_with(digits))
    };
    let mut fitting: Option<(Engine, JobId, Found)> = None;
    let ambiguous = || Error::field("job", format!("{digits} fits more than one job: give more digits"));
    for engine in instances.engines() {
        let mut views = Vec::new();
        walk_incomplete(&engine, |view| {
            if fits(view.job, Box::new(view.operations.iter().map(|row| row.operation))) {
                views.push(view);
            }
        })
        .await?;
        let rows = engine.history().recent(FINISHED_MAX).await?;
        let rows =
            rows.into_iter().filter(|row| fits(row.job, Box::new(row.operations.iter().map(|row| row.operation))));
        let found = views.into_iter().map(|view| (view.job, Found::Known(Box::new(view))));
        for (job, found) in found.chain(rows.map(|row| (row.job, Found::Stored(Box::new(row))))) {
            match &fitting {
                // It ended while we looked: the newer state replaces the older one.
                Some((_, same, _)) if *same == job => fitting = Some((engine.clone(), job, found)),
                Some(_) => return Err(ambiguous()),
                None => fitting = Some((engine.clone(), job, found)),
            }
        }
    }
    fitting.map(|(engine, _, found)| (engine, found)).ok_or_else(unknown)
}
