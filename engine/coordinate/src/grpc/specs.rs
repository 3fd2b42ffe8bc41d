//! Work specs: set, list, control, delete.

use berth_core::work::{Book, Control, SpecName, SpecSettings};
use berth_proto::work as pb;
use tonic::Status;

use super::{
    WorkService,
    convert::{bytes, counts, duration, limit, name, names, to_duration},
    resent::Name,
};
use crate::{cbor, methods};

impl WorkService {
    pub(super) async fn set(&self, request: pb::SetSpecsRequest, call: Name) -> Result<pb::SetSpecsResponse, Status> {
        let settings = request.dictionaries.iter().map(|dictionary| settings(dictionary));
        let settings = settings.collect::<Result<Vec<SpecSettings>, Status>>()?;
        let set = move |book: &mut Book| {
            settings.into_iter().for_each(|one| book.set_spec(one));
            Ok(pb::SetSpecsResponse {})
        };
        Self::once(self.first(&request.namespace).await?, call, set).await
    }

    pub(super) async fn list(&self, request: pb::ListSpecsRequest) -> Result<pb::ListSpecsResponse, Status> {
        let (start, limit) = (name::<SpecName>(&request.start), limit(request.limit));
        self.ask(&request.namespace, move |book| {
            let book = &*book;
            let mut names = book.spec_names_from(start.as_ref());
            let specs = names.by_ref().take(limit).filter_map(|name| show(book, name)).collect();
            pb::ListSpecsResponse { specs, next: names.next().map(|name| bytes(name.as_bytes())).unwrap_or_default() }
        })
        .await
    }

    pub(super) async fn control(
        &self,
        request: pb::ControlSpecRequest,
        call: Name,
    ) -> Result<pb::ControlSpecResponse, Status> {
        let name = SpecName::from(&request.name[..]);
        let control = Control {
            continuous: request.continuous,
            paused: request.paused,
            weight: request.weight,
            interval: request.interval.as_ref().map(|interval| Some(duration(interval))),
            max_running: request.max_running.map(|most| (most > 0).then_some(most)),
        };
        let done = move |book: &mut Book| book.control_spec(&name, control).map(|()| pb::ControlSpecResponse {});
        Self::once(self.book(&request.namespace)?, call, done).await
    }

    pub(super) async fn delete(
        &self,
        request: pb::DeleteSpecsRequest,
        call: Name,
    ) -> Result<pb::DeleteSpecsResponse, Status> {
        let names = names::<SpecName>(&request.names);
        let delete = move |book: &mut Book| {
            let deleted = names.iter().filter(|name| book.delete_spec(name).is_ok()).count() as u64;
            Ok(pb::DeleteSpecsResponse { deleted })
        };
        Self::once(self.book(&request.namespace)?, call, delete).await
    }
}

fn settings(dictionary: &[u8]) -> Result<SpecSettings, Status> {
    let bad = |why: String| Status::invalid_argument(format!("dictionaries: {why}"));
    let value = cbor::Value::check(dictionary).map_err(|why| bad(why.to_string()))?;
    methods::settings(value).map_err(|refusal| bad(String::from_utf8_lossy(refusal.message()).into_owned()))
}

fn show(book: &Book, name: &SpecName) -> Option<pb::Spec> {
    let (settings, meta) = (book.spec_settings(name).ok()?, book.spec_meta(name).ok()?);
    Some(pb::Spec {
        name: bytes(name.as_bytes()),
        dictionary: bytes(&settings.raw),
        paused: meta.paused,
        continuous: meta.continuous,
        weight: meta.weight,
        priority: settings.priority,
        max_running: meta.max_running,
        interval: meta.interval.map(to_duration),
        counts: Some(counts(book.count_units(name).ok()?)),
    })
}
