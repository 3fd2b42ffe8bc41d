//! What an operator asks of the server, over `berth.admin.v1.Plugins`.

use std::time::Duration;

use berth_proto::admin::{
    ActivateRequest, ListPluginsRequest, LoadRequest, PluginSettings, PluginVersion, QuarantineRequest,
    RollbackRequest, ShowPluginRequest, load_request::Part, plugins_client::PluginsClient,
};
use bytes::Bytes;
use tonic::{Status, transport::Channel};

/// Between two looks at what a version has come to.
const LOOK: Duration = Duration::from_millis(10);

/// An operator.
pub(crate) struct Admin(PluginsClient<Channel>);

impl Admin {
    pub(crate) fn new(channel: Channel) -> Self {
        Self(PluginsClient::new(channel).max_decoding_message_size(16 << 20))
    }

    /// Loads a version and answers its digest.
    pub(crate) async fn load(&mut self, settings: PluginSettings, component: &[u8]) -> Result<String, Status> {
        let mut parts = vec![LoadRequest { part: Some(Part::Settings(settings)) }];
        let pieces = component.chunks(1 << 20).map(Bytes::copy_from_slice);
        parts.extend(pieces.map(|piece| LoadRequest { part: Some(Part::Component(piece)) }));
        let loaded = self.0.load(futures::stream::iter(parts)).await?.into_inner();
        Ok(loaded.version.expect("a version was loaded").digest)
    }

    pub(crate) async fn activate(&mut self, name: &str, digest: &str, roles: &[&str]) {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let request = ActivateRequest { name: name.into(), digest: digest.into(), roles, ..Default::default() };
        self.0.activate(request).await.expect("it is activated");
    }

    pub(crate) async fn rollback(&mut self) {
        self.0.rollback(RollbackRequest::default()).await.expect("there is a set to go back to");
    }

    pub(crate) async fn release(&mut self, name: &str, digest: &str) {
        let request =
            QuarantineRequest { name: name.into(), digest: digest.into(), release: true, ..Default::default() };
        self.0.quarantine(request).await.expect("it is released");
    }

    /// Waits until the version is in quarantine, and is not asked any more.
    pub(crate) async fn quarantined(&mut self, name: &str, digest: &str) -> PluginVersion {
        loop {
            let request = ShowPluginRequest { name: name.into(), digest: digest.into() };
            let shown = self.0.show(request).await.expect("it is loaded").into_inner();
            if shown.state == "QUARANTINED" {
                return shown;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// How many versions of a name are in quarantine.
    pub(crate) async fn quarantined_versions(&mut self, name: &str) -> usize {
        let listed = self.0.list(ListPluginsRequest {}).await.expect("plugins are listed").into_inner();
        listed.versions.iter().filter(|one| one.name == name && one.state == "QUARANTINED").count()
    }

    /// The version of a name that is active.
    pub(crate) async fn active(&mut self, name: &str) -> Option<String> {
        let listed = self.0.list(ListPluginsRequest {}).await.expect("plugins are listed").into_inner();
        let active = listed.active.expect("a set is active");
        active.plugins.into_iter().find(|plugin| plugin.name == name).map(|plugin| plugin.digest)
    }
}
