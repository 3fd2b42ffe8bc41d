//! All services together, and the transport that carries them.

use std::{sync::Arc, time::Duration};

use berth_proto::{
    FILE_DESCRIPTOR_SET, admin,
    bots::bots_server::BotsServer,
    buildgrid::{introspection_server::IntrospectionServer, quota_server::QuotaServer},
    longrunning::operations_server::OperationsServer,
    reapi::{capabilities_server::CapabilitiesServer, execution_server::ExecutionServer},
};
use berth_runtime::{cas::Cas, policy::Policy};
use tonic::{server::NamedService, service::RoutesBuilder, transport::Server};
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{
    admin::{AdminBots, AdminJobs, AdminPauses, AdminQuotas},
    bots::Bots,
    buildgrid_quota::BuildGridQuota,
    capabilities::Capabilities,
    config::Config,
    execution::Execution,
    instances::Instances,
    introspection::Introspection,
    operations::Operations,
    phases::Phases,
    trailers::WithTrailers,
};

/// Everything that this crate serves.
pub struct Services {
    instances: Instances,
    policy: Arc<dyn Policy>,
    cas: Arc<dyn Cas>,
    config: Arc<Config>,
    phases: Arc<Phases>,
}

impl Services {
    /// The services of these instances.
    pub fn new(instances: Instances, policy: Arc<dyn Policy>, cas: Arc<dyn Cas>, config: Config) -> Self {
        Self { instances, policy, cas, config: Arc::new(config), phases: Arc::default() }
    }

    /// How long bots take, as they say.
    pub fn phases(&self) -> Arc<Phases> {
        self.phases.clone()
    }

    /// Adds Execution, Operations, Bots, Capabilities, Introspection, the operators' services, health and reflection to a server.
    /// Health says that they are serving from the start.
    pub async fn add_services(&self, routes: &mut RoutesBuilder) -> Health {
        let (instances, config, bytes) = (&self.instances, &self.config, self.config.message_bytes_max);
        let execution = Execution {
            instances: instances.clone(),
            policy: self.policy.clone(),
            cas: self.cas.clone(),
            config: config.clone(),
        };
        let bots = Bots {
            instances: instances.clone(),
            policy: self.policy.clone(),
            cas: self.cas.clone(),
            phases: self.phases.clone(),
        };
        let operations = Operations { instances: instances.clone(), config: config.clone() };
        let capabilities = Capabilities { instances: instances.clone(), config: config.clone() };
        let (reporter, health) = tonic_health::server::health_reporter();
        routes
            .add_service(ExecutionServer::new(execution).max_decoding_message_size(bytes))
            .add_service(BotsServer::new(bots).max_decoding_message_size(bytes))
            .add_service(WithTrailers(OperationsServer::new(operations).max_decoding_message_size(bytes)))
            .add_service(CapabilitiesServer::new(capabilities))
            .add_service(admin::jobs_server::JobsServer::new(AdminJobs { instances: instances.clone() }))
            .add_service(admin::bots_server::BotsServer::new(AdminBots { instances: instances.clone() }))
            .add_service(admin::pauses_server::PausesServer::new(AdminPauses { instances: instances.clone() }))
            .add_service(IntrospectionServer::new(Introspection { instances: instances.clone() }))
            .add_service(admin::quotas_server::QuotasServer::new(AdminQuotas { instances: instances.clone() }))
            .add_service(QuotaServer::new(BuildGridQuota { instances: instances.clone() }))
            .add_service(health);
        add_reflection(routes);
        let health = Health(reporter);
        health.start_serving().await;
        health
    }
}

/// What the health service says.
pub struct Health(HealthReporter);

impl Health {
    /// Says that everything is served.
    pub async fn start_serving(&self) {
        self.set(ServingStatus::Serving).await;
    }

    /// Says that nothing is served any more: for the begin of a shutdown, so that balancers look elsewhere.
    pub async fn stop_serving(&self) {
        self.set(ServingStatus::NotServing).await;
    }

    async fn set(&self, status: ServingStatus) {
        // The empty name is the server as a whole.
        let names = [
            "",
            ExecutionServer::<Execution>::NAME,
            BotsServer::<Bots>::NAME,
            OperationsServer::<Operations>::NAME,
            IntrospectionServer::<Introspection>::NAME,
            CapabilitiesServer::<Capabilities>::NAME,
        ];
        for name in names {
            self.0.set_service_status(name, status).await;
        }
    }
}

/// Both versions: most tools know the older one only.
fn add_reflection(routes: &mut RoutesBuilder) {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    routes
        .add_service(builder().build_v1().expect("our own descriptors are whole"))
        .add_service(builder().build_v1alpha().expect("our own descriptors are whole"));
}

/// A server as these services want it. Small messages leave at once; a client may have as many open Executes as it
/// likes on one connection; a peer that is gone without a word is noticed, because a bot that is not there must not
/// be given work.
pub fn transport() -> Server {
    Server::builder()
        .tcp_nodelay(true)
        .max_concurrent_streams(u32::MAX)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(16 << 20)
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
}
