//! `berth.admin.v1.Plugins` over the registry. Answers loopback peers only, as all of `berth.admin`.

use std::{collections::HashMap, sync::Arc};

use berth_plugin_host::{Difference, Differing, FaultKind, FaultRecord, Function, Plugin};
use berth_proto::admin::{self as pb, load_request::Part, plugins_server};
use berth_runtime::{feed::ListenerState, plugins::KvView};
use bytes::{Bytes, BytesMut};
use tokio_stream::StreamExt;
use tonic::{Request, Response, Status, Streaming};

use super::{
    bundled,
    ledger::{Refused, VersionKey},
    registry::{Kept, Registry, RegistryError, Wanted},
    rows::{SetRow, VersionRow},
    settings::{Settings, on_fault_pb},
    versions::{component_of, exports_of, grants_of},
};

/// The largest component that is taken.
const COMPONENT_BYTES_MAX: usize = 64 << 20;

/// The service.
pub(crate) struct PluginService {
    pub(crate) registry: Arc<Registry>,
}

#[tonic::async_trait]
impl plugins_server::Plugins for PluginService {
    async fn load(&self, request: Request<Streaming<pb::LoadRequest>>) -> Result<Response<pb::LoadResponse>, Status> {
        berth_api::check_local_peer(&request)?;
        let wanted = receive(request.into_inner()).await?;
        let (key, unchanged) = self.registry.load(wanted).await.map_err(status)?;
        Ok(Response::new(pb::LoadResponse { version: Some(self.version(&key)?), unchanged }))
    }

    async fn check(&self, request: Request<Streaming<pb::LoadRequest>>) -> Result<Response<pb::CheckResponse>, Status> {
        berth_api::check_local_peer(&request)?;
        let wanted = receive(request.into_inner()).await?;
        let registry = Arc::clone(&self.registry);
        let checked = tokio::task::spawn_blocking(move || {
            let (plugin, report) = registry.check(&wanted)?;
            let mut version = described(&plugin);
            version.source = "api".to_owned();
            version.grants = plugin.grants().iter().map(|grant| grant.name().to_owned()).collect();
            version.config_json = wanted.settings.config_json();
            Ok::<_, RegistryError>((version, report))
        });
        let (version, report) = checked.await.map_err(|error| Status::internal(error.to_string()))?.map_err(status)?;
        Ok(Response::new(pb::CheckResponse { version: Some(version), examples: report.run, failures: report.failures }))
    }

    async fn list(
        &self,
        request: Request<pb::ListPluginsRequest>,
    ) -> Result<Response<pb::ListPluginsResponse>, Status> {
        berth_api::check_local_peer(&request)?;
        let rows: Vec<VersionRow> = self.registry.look(|ledger, _| ledger.versions().cloned().collect());
        let versions = rows.into_iter().map(|row| self.version(&(row.name, row.digest))).collect::<Result<_, _>>()?;
        let active = Some(set_pb(&self.registry.active(), true));
        Ok(Response::new(pb::ListPluginsResponse { versions, active }))
    }

    async fn show(&self, request: Request<pb::ShowPluginRequest>) -> Result<Response<pb::PluginVersion>, Status> {
        berth_api::check_local_peer(&request)?;
        let pb::ShowPluginRequest { name, digest } = request.into_inner();
        let key = self.registry.look(|ledger, _| ledger.find(&name, &digest)).map_err(refused)?;
        Ok(Response::new(self.version(&key)?))
    }

    async fn observe(&self, request: Request<pb::ObserveRequest>) -> Result<Response<pb::ObserveResponse>, Status> {
        berth_api::check_local_peer(&request)?;
        let pb::ObserveRequest { name, digest, stop } = request.into_inner();
        let key = self.registry.observe(&name, &digest, !stop).await.map_err(status)?;
        Ok(Response::new(pb::ObserveResponse { version: Some(self.version(&key)?) }))
    }

    async fn diff(&self, request: Request<pb::DiffRequest>) -> Result<Response<pb::DiffResponse>, Status> {
        berth_api::check_local_peer(&request)?;
        let pb::DiffRequest { name, limit } = request.into_inner();
        let limit = if limit == 0 { 100 } else { limit as usize };
        let found = self.registry.findings(&name).map_err(status)?;
        let newest_first = found.differences.into_iter().rev().take(limit);
        let difference = |one: Difference| pb::Difference {
            function: one.function.name().to_owned(),
            question_digest: one.question_digest,
            question: one.question,
            active: one.active,
            candidate: one.candidate,
            fields: one.place,
        };
        let differing = |one: Differing| pb::Differing {
            function: one.function.name().to_owned(),
            fields: one.place,
            count: one.count,
        };
        Ok(Response::new(pb::DiffResponse {
            asked: found.summary.asked,
            same: found.summary.same,
            different: found.summary.different,
            faults: found.faults,
            dropped: found.summary.dropped,
            p50: Some(duration(found.summary.p50)),
            differences: newest_first.map(difference).collect(),
            differing: found.differing.into_iter().map(differing).collect(),
            digest: found.key.1,
            ended: found.ended.unwrap_or_default().to_owned(),
        }))
    }

    async fn activate(&self, request: Request<pb::ActivateRequest>) -> Result<Response<pb::PolicySet>, Status> {
        berth_api::check_local_peer(&request)?;
        let pb::ActivateRequest { name, digest, roles, instances } = request.into_inner();
        let row = self.registry.activate(&name, &digest, &roles, &instances).await.map_err(status)?;
        Ok(Response::new(set_pb(&row, true)))
    }

    async fn rollback(&self, request: Request<pb::RollbackRequest>) -> Result<Response<pb::PolicySet>, Status> {
        berth_api::check_local_peer(&request)?;
        let row = self.registry.rollback(request.into_inner().set).await.map_err(status)?;
        Ok(Response::new(set_pb(&row, true)))
    }

    async fn quarantine(&self, request: Request<pb::QuarantineRequest>) -> Result<Response<pb::PolicySet>, Status> {
        berth_api::check_local_peer(&request)?;
        let pb::QuarantineRequest { name, digest, reason, release } = request.into_inner();
        let reason = if reason.is_empty() { "by an operator".to_owned() } else { reason };
        let reason = (!release).then_some(reason);
        let row = self.registry.quarantine(&name, &digest, reason).await.map_err(status)?;
        Ok(Response::new(set_pb(&row, true)))
    }

    async fn unload(&self, request: Request<pb::UnloadRequest>) -> Result<Response<pb::UnloadResponse>, Status> {
        berth_api::check_local_peer(&request)?;
        let pb::UnloadRequest { name, digest } = request.into_inner();
        self.registry.unload(&name, &digest).await.map_err(status)?;
        Ok(Response::new(pb::UnloadResponse {}))
    }

    async fn list_sets(&self, request: Request<pb::ListSetsRequest>) -> Result<Response<pb::ListSetsResponse>, Status> {
        berth_api::check_local_peer(&request)?;
        let sets = self.registry.look(|ledger, _| {
            let active = ledger.active().map(|row| row.number);
            ledger.sets().map(|row| set_pb(row, active == Some(row.number))).collect()
        });
        Ok(Response::new(pb::ListSetsResponse { sets }))
    }

    async fn list_keys(&self, request: Request<pb::ListKeysRequest>) -> Result<Response<pb::ListKeysResponse>, Status> {
        berth_api::check_local_peer(&request)?;
        let pb::ListKeysRequest { name, prefix, after, limit, observed, namespace } = request.into_inner();
        let kept = match (observed, namespace.as_str()) {
            (false, "") => Kept::Executions,
            (true, "") => Kept::Observed,
            (false, namespace) => Kept::Work(namespace),
            (true, _) => {
                return Err(Status::invalid_argument(
                    "namespace: an observed version hears of executions only; leave out namespace, or observed",
                ));
            }
        };
        let limit = if limit == 0 { 100 } else { limit as usize };
        let after = (!after.is_empty()).then_some(after.as_str());
        let rows = self.registry.table(&name, kept).await.map_err(status)?.scan(&prefix, after, limit);
        let rows = rows.into_iter().map(|(key, value)| pb::KeyValue { key: key.to_string(), value }).collect();
        Ok(Response::new(pb::ListKeysResponse { rows }))
    }
}

impl PluginService {
    fn version(&self, key: &VersionKey) -> Result<pb::PluginVersion, Status> {
        let plugin = self.registry.serving(key);
        let listening = self.registry.hearing().listeners.status();
        self.registry.look(|ledger, _| {
            let row = ledger.version(key).ok_or_else(|| Status::not_found(format!("{} is not loaded", key.0)))?;
            let mut version = plugin.as_ref().map_or_else(pb::PluginVersion::default, described);
            version.name = row.name.clone();
            version.digest = row.digest.clone();
            version.source = row.source.clone();
            version.state = ledger.state_of(row).to_owned();
            version.loaded_at = (row.loaded_at > 0).then(|| timestamp(row.loaded_at));
            version.config_json = row.settings.config_json();
            let bundled = bundled::component(component_of(&row.digest)).is_some();
            version.grants = grants_of(&row.settings, bundled).iter().map(|grant| grant.name().to_owned()).collect();
            version.limits = Some(row.settings.limits_pb());
            version.on_fault = on_fault_pb(&row.settings.on_fault);
            version.quarantine_reason = row.quarantine.clone().unwrap_or_default();
            let own = ledger.is_active(key).then(|| listening.iter().find(|status| *status.name == *key.0)).flatten();
            if let Some(status) = own {
                version.feed_cursor = status.next;
                version.feed_end = status.next + status.lag;
                version.kv_bytes = status.kv_bytes;
                version.feed_problem = match &status.state {
                    ListenerState::Running => self.registry.hearing().problem_of_work(&key.0).unwrap_or_default(),
                    ListenerState::Stopped { sequence, error } => format!("stopped at event {sequence}: {error}"),
                };
            }
            Ok(version)
        })
    }
}

/// What the plugin itself tells.
fn described(plugin: &Arc<Plugin>) -> pb::PluginVersion {
    let (stats, cost) = (plugin.stats(), plugin.load_cost());
    let functions = Function::ALL.into_iter().map(|function| (function, stats.function(function)));
    let asked = functions.filter(|(_, stats)| stats.questions > 0 || stats.faults_all() > 0);
    let functions = asked.map(|(function, stats)| {
        let faults = FaultKind::ALL.into_iter().map(|kind| (kind.name().to_owned(), stats.faults_of(kind)));
        pb::FunctionStats {
            function: function.name().to_owned(),
            questions: stats.questions,
            memo_hits: stats.memo_hits,
            calls: stats.guest_calls,
            faults: faults.filter(|(_, count)| *count > 0).collect::<HashMap<_, _>>(),
            p50: Some(duration(stats.guest_time_p50)),
            p99: Some(duration(stats.guest_time_p99)),
        }
    });
    pb::PluginVersion {
        name: plugin.name().to_owned(),
        digest: plugin.digest().to_owned(),
        contract: plugin.exports().contract.version().to_owned(),
        exports: exports_of(plugin),
        imports: plugin.imports().iter().map(|import| import.name().to_owned()).collect(),
        component_bytes: cost.bytes as u64,
        load_time: Some(duration(cost.total)),
        precompiled: cost.cached,
        functions: functions.collect(),
        instances: stats.instances,
        memo_entries: stats.memo_entries as u64,
        recent_faults: plugin.recent_faults().into_iter().map(fault).collect(),
        ..pb::PluginVersion::default()
    }
}

fn fault(record: FaultRecord) -> pb::Fault {
    pb::Fault {
        at: Some(timestamp(record.at.0 / 1000)),
        function: record.function.name().to_owned(),
        kind: record.kind.name().to_owned(),
        details: record.details,
    }
}

fn set_pb(row: &SetRow, active: bool) -> pb::PolicySet {
    let plugins = row.set.plugins.iter();
    let plugins = plugins.map(|(name, digest)| pb::PluginUse { name: name.clone(), digest: digest.clone() });
    let chains = row.set.instances.iter().map(|(pattern, roles)| {
        let roles = roles.iter().map(|(role, plugins)| pb::Role { role: role.to_string(), plugins: plugins.clone() });
        pb::Chain { instances: pattern.clone(), roles: roles.collect() }
    });
    pb::PolicySet {
        number: row.number,
        activated_at: Some(timestamp(row.activated_at)),
        why: row.why.clone(),
        active,
        plugins: plugins.collect(),
        chains: chains.collect(),
    }
}

fn duration(time: std::time::Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        nanos: time.subsec_nanos().cast_signed(),
    }
}

fn timestamp(millis: u64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: i64::try_from(millis / 1000).unwrap_or(i64::MAX),
        nanos: i32::try_from(millis % 1000).expect("less than 1000") * 1_000_000,
    }
}

/// The settings, then the component in pieces.
async fn receive(mut stream: Streaming<pb::LoadRequest>) -> Result<Wanted, Status> {
    let mut settings: Option<pb::PluginSettings> = None;
    let mut component = BytesMut::new();
    while let Some(message) = stream.next().await {
        match (message?.part, &settings) {
            (Some(Part::Settings(first)), None) => settings = Some(first),
            (Some(Part::Settings(_)), Some(_)) => return Err(Status::invalid_argument("settings: sent twice")),
            (Some(Part::Component(_)), None) => {
                return Err(Status::invalid_argument("settings: expected in the first message"));
            }
            (Some(Part::Component(piece)), Some(_)) if component.len() + piece.len() > COMPONENT_BYTES_MAX => {
                return Err(Status::invalid_argument(format!("component: at most {COMPONENT_BYTES_MAX} bytes")));
            }
            (Some(Part::Component(piece)), Some(_)) => component.extend_from_slice(&piece),
            (None, _) => return Err(Status::invalid_argument("part: expected settings or component")),
        }
    }
    let settings = settings.ok_or_else(|| Status::invalid_argument("settings: expected in the first message"))?;
    let component = match settings.bundled.as_str() {
        "" => component.freeze(),
        _ if !component.is_empty() => {
            return Err(Status::invalid_argument(
                "bundled: names a policy of the server, and a component was sent too",
            ));
        }
        name => bundled::find(name)
            .map(|own| Bytes::from_static(own.component))
            .ok_or_else(|| Status::not_found(format!("bundled = {name:?}: expected one of {}", bundled::names())))?,
    };
    Ok(Wanted {
        component,
        digest: settings.digest.clone(),
        signature: settings.signature.to_vec(),
        settings: Settings::from_pb(&settings).map_err(Status::invalid_argument)?,
        name: settings.name,
    })
}

fn status(error: RegistryError) -> Status {
    match error {
        RegistryError::Refused(refusal) => refused(refusal),
        RegistryError::Plugin(why) => Status::failed_precondition(why),
        RegistryError::Server(why) => Status::unavailable(why),
    }
}

fn refused(refusal: Refused) -> Status {
    match refusal {
        Refused::Unknown(what) => Status::not_found(what),
        Refused::Wrong(what) => Status::invalid_argument(what),
        Refused::Not(what) => Status::failed_precondition(what),
    }
}
