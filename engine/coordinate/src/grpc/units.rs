//! Work units: add, list, update, delete.

use berth_core::work::{
    Book, DeleteUnits, NewUnit, Prioritize, Priority, Refusal, STEP_MAX, SpecName, UnitKey, UnitQuery, UnitView,
    UpdateUnit, WorkerId,
};
use berth_proto::work as pb;
use berth_runtime::work::Stopping;
use tonic::Status;

use super::{
    WorkService,
    convert::{bytes, duration, limit, name, names, refused, seconds, state, timestamp, value, value_or_empty},
    resent::{self, Name},
};

impl WorkService {
    pub(super) async fn add(&self, request: pb::AddUnitsRequest, call: Name) -> Result<pb::AddUnitsResponse, Status> {
        (self.takes_work)().map_err(Status::resource_exhausted)?;
        let spec = SpecName::from(&request.spec[..]);
        let units = request.units.into_iter().map(new_unit).collect::<Result<Vec<NewUnit>, Status>>()?;
        let done = move |book: &mut Book| book.add_units(&spec, units).map(|()| pb::AddUnitsResponse {});
        Self::once(self.book(&request.namespace)?, call, done).await
    }

    pub(super) async fn units(&self, request: pb::ListUnitsRequest) -> Result<pb::ListUnitsResponse, Status> {
        let spec = SpecName::from(&request.spec[..]);
        let keys = names::<UnitKey>(&request.keys);
        let states = request.states.iter().map(|number| state(*number)).collect::<Result<Vec<_>, Status>>()?;
        let limit = limit(request.limit);
        let query = UnitQuery {
            states: states.into_iter().flatten().collect(),
            start: name(&request.start),
            // One more, to know where the next page starts.
            limit: limit + 1,
        };
        let listed = self.ask(&request.namespace, move |book| {
            let (keys, next) = if keys.is_empty() {
                let mut keys: Vec<UnitKey> = book.units(&spec, &query)?.into_iter().map(|(key, _)| key).collect();
                let next = keys.get(limit).cloned();
                keys.truncate(limit);
                (keys, next)
            } else {
                (keys, None)
            };
            let views = book.unit_status(&spec, &keys)?;
            let units = keys.iter().zip(views).filter_map(|(key, view)| Some(show(key, view?))).collect();
            let next = next.map(|key| bytes(key.as_bytes())).unwrap_or_default();
            Ok::<_, Refusal>(pb::ListUnitsResponse { units, next })
        });
        listed.await?.map_err(|refusal| refused(&refusal))
    }

    pub(super) async fn update(
        &self,
        request: pb::UpdateUnitsRequest,
        call: Name,
    ) -> Result<pb::UpdateUnitsResponse, Status> {
        let updates = request.updates.into_iter().map(update).collect::<Result<Vec<_>, Status>>()?;
        let change = move |book: &mut Book, (spec, key, update): (SpecName, UnitKey, UpdateUnit)| match book
            .update_unit(&spec, &key, update)
        {
            Ok(done) => pb::UpdateOutcome { done, refusal: String::new() },
            Err(refusal) => pb::UpdateOutcome { done: false, refusal: refusal.to_string() },
        };
        let changed = move |book: &mut Book| {
            let outcomes = updates.into_iter().map(|update| change(book, update)).collect();
            Ok(pb::UpdateUnitsResponse { outcomes })
        };
        Self::once(self.book(&request.namespace)?, call, changed).await
    }

    pub(super) async fn remove(
        &self,
        request: pb::DeleteUnitsRequest,
        call: Name,
    ) -> Result<pb::DeleteUnitsResponse, Status> {
        let spec = SpecName::from(&request.spec[..]);
        let mut which = match (request.all, request.keys.is_empty(), state(request.state)?) {
            (true, ..) => DeleteUnits::All,
            (false, true, Some(state)) => DeleteUnits::State(state),
            (false, true, None) => return Err(Status::invalid_argument("one of all, keys and state is expected")),
            (false, false, state) => DeleteUnits::Keys(names(&request.keys), state),
        };
        let book = self.book(&request.namespace)?;
        let call = call.call(&book);
        let (mut begun, mut deleted) = (false, 0);
        let steps = move |book: &mut Book| {
            if !std::mem::replace(&mut begun, true)
                && let Some(answer) = resent::before(book, call)
            {
                return Some(Ok(answer));
            }
            let answer = match book.delete_units(&spec, &mut which, STEP_MAX) {
                Ok((count, more)) => {
                    deleted += count;
                    if more {
                        return None;
                    }
                    Ok(pb::DeleteUnitsResponse { deleted })
                }
                // It was deleted meanwhile, as a whole.
                Err(_) if deleted > 0 => Ok(pb::DeleteUnitsResponse { deleted }),
                Err(refusal) => Err(refusal),
            };
            resent::keep(book, call, &answer);
            Some(answer)
        };
        let stopping = |error: Stopping| Status::unavailable(error.to_string());
        let over = book.begin_steps(steps).await.map_err(stopping)?;
        over.await.map_err(stopping)?.map_err(|refusal| refused(&refusal))
    }

    pub(super) async fn prioritize(
        &self,
        request: pb::PrioritizeUnitsRequest,
        call: Name,
    ) -> Result<pb::PrioritizeUnitsResponse, Status> {
        use pb::prioritize_units_request::How;
        let (spec, keys) = (SpecName::from(&request.spec[..]), names::<UnitKey>(&request.keys));
        let how = match request.how {
            Some(How::Priority(priority)) => Prioritize::To(Priority::new(priority)),
            Some(How::Adjustment(adjustment)) => Prioritize::By(adjustment),
            None => return Err(Status::invalid_argument("one of priority and adjustment is expected")),
        };
        let done =
            move |book: &mut Book| book.prioritize_units(&spec, &keys, how).map(|()| pb::PrioritizeUnitsResponse {});
        Self::once(self.book(&request.namespace)?, call, done).await
    }

    pub(super) async fn archive(&self, request: pb::ArchiveUnitsRequest) -> Result<pb::ArchiveUnitsResponse, Status> {
        let specs = (!request.specs.is_empty()).then(|| names::<SpecName>(&request.specs));
        let steps = move |book: &mut Book| (!book.archive(specs.as_deref(), STEP_MAX)).then_some(());
        let stopping = |error: Stopping| Status::unavailable(error.to_string());
        self.book(&request.namespace)?.begin_steps(steps).await.map_err(stopping)?.await.map_err(stopping)?;
        Ok(pb::ArchiveUnitsResponse {})
    }
}

fn new_unit(unit: pb::NewUnit) -> Result<NewUnit, Status> {
    Ok(NewUnit {
        key: (&unit.key[..]).into(),
        data: value_or_empty("units.data", &unit.data)?,
        priority: Some(Priority::new(unit.priority)),
        delay: unit.delay.as_ref().map(duration),
    })
}

fn update(update: pb::UnitUpdate) -> Result<(SpecName, UnitKey, UpdateUnit), Status> {
    let changes = UpdateUnit {
        lease_s: update.lease.as_ref().map(seconds),
        state: state(update.state)?,
        data: update.data.map(|data| value("updates.data", &data)).transpose()?,
        worker: name::<WorkerId>(&update.worker),
    };
    Ok(((&update.spec[..]).into(), (&update.key[..]).into(), changes))
}

fn show(key: &UnitKey, view: UnitView) -> pb::Unit {
    pb::Unit {
        key: bytes(key.as_bytes()),
        data: bytes(&view.data),
        priority: view.priority.get(),
        state: view.state.number().into(),
        at: view.expiration.map(timestamp),
        worker: view.worker.map(|worker| bytes(worker.as_bytes())).unwrap_or_default(),
        attempts: view.attempts,
    }
}
