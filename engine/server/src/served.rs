//! What the services are told of the configuration: instances, and their numbers.

use std::time::Duration;

use berth_api::{CacheLimits, Instances};
use berth_runtime::Engine;

use crate::config::Config;

/// The instances, and bots of all of them where the operator lets such in.
pub(crate) fn instances(config: &Config, engine: &Engine) -> Instances {
    let instances = Instances::new(config.instances.iter().map(|name| (name.clone(), engine.clone())));
    if config.raw.scheduler.bots_for_all_instances { instances.with_bots_for_all() } else { instances }
}

/// The services' numbers.
pub(crate) fn config(config: &Config) -> berth_api::Config {
    let scheduler = &config.raw.scheduler;
    berth_api::Config {
        execution_timeout_max: Duration::from_secs(scheduler.execution_timeout_max_s),
        queue_timeout: (scheduler.queue_timeout_s > 0).then(|| Duration::from_secs(scheduler.queue_timeout_s)),
        action_browser_url: Some(scheduler.action_browser_url.clone()).filter(|url| !url.is_empty()),
        own: scheduler.instances.iter().map(|(name, own)| (name.clone(), own.for_api())).collect(),
        tenant_header: Some(scheduler.tenant_header.clone()).filter(|header| !header.is_empty()),
        cache: CacheLimits {
            batch_bytes_max: berth_cas::BATCH_BYTES_MAX,
            update_enabled: config.raw.cas.clients_may_update_actions,
        },
        ..berth_api::Config::default()
    }
}
