//! `GetWork`: waits until there is some.

use berth_core::work::{Assignment, GetWork, Value, WorkerId};
use berth_proto::work as pb;
use futures::{StreamExt, stream};
use tonic::Status;

use super::{
    Replies, WorkService,
    convert::{bytes, names, seconds},
    resent::Name,
};

/// The most units at a time.
const UNITS_MAX: u32 = 10_000;

impl WorkService {
    pub(super) fn get(&self, request: pb::GetWorkRequest, call: Name) -> Result<Replies<pb::GetWorkResponse>, Status> {
        let book = self.book(&request.namespace)?;
        let runtimes: Vec<Value> = request.runtimes.iter().map(|runtime| runtime[..].into()).collect();
        let ask = GetWork {
            worker: WorkerId::from(&request.worker[..]),
            lease_s: request.lease.as_ref().map(seconds),
            max_jobs: request.max_units.min(UNITS_MAX).into(),
            specs: names(&request.specs),
            runtimes: if runtimes.is_empty() { vec![Value::default()] } else { runtimes },
            available_gb: request.available_gb,
            call: None,
        };
        // Units that are left to hand out; `None`: those of one message, however many.
        let total = (request.total_units > 0).then_some(u64::from(request.total_units));
        // Each message is known again by its number.
        let replies = stream::unfold(Some((total, 0)), move |state| {
            let (book, mut ask) = (book.clone(), ask.clone());
            async move {
                let (left, number) = state?;
                ask.call = call.part(number).call(&book);
                if let Some(left) = left {
                    ask.max_jobs = ask.max_jobs.max(1).min(left);
                }
                Some(match book.wait_for_work(ask).await {
                    Ok(units) => {
                        let left = left.map(|left| left.saturating_sub(units.len() as u64)).filter(|left| *left > 0);
                        (Ok(response(units)), left.map(|left| (Some(left), number + 1)))
                    }
                    Err(stopping) => (Err(Status::unavailable(stopping.to_string())), None),
                })
            }
        });
        Ok(replies.boxed())
    }
}

/// All of them are of one spec.
fn response(units: Vec<Assignment>) -> pb::GetWorkResponse {
    let spec = units.first().map(|unit| bytes(unit.spec.as_bytes())).unwrap_or_default();
    let assignment = |unit: Assignment| pb::Assignment { key: bytes(unit.key.as_bytes()), data: bytes(&unit.data) };
    pb::GetWorkResponse { spec, units: units.into_iter().map(assignment).collect() }
}
