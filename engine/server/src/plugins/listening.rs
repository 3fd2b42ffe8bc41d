//! Plugins that hear events, and the engine's own statistics: who listens follows the set that is active.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use berth_plugin_host::{EventsFault, Generation, Grant, Plugin, PluginPolicy};
use berth_runtime::{
    EngineError,
    feed::{Begin, ListenOptions, Listeners, OnFault},
};

/// The consumers of the feed that are plugins.
pub(crate) struct Hearing {
    pub(crate) listeners: Arc<Listeners>,
    /// Kept from the first plugin on that reads them: they cost a look at each event.
    stats: AtomicBool,
}

impl Hearing {
    pub(crate) fn new(listeners: Arc<Listeners>) -> Self {
        Self { listeners, stats: AtomicBool::new(false) }
    }

    /// Those that will not listen any more stop: before the set is swapped, so that nothing calls who is not there.
    pub(crate) async fn leave(&self, before: &Generation, next: &Generation) {
        for name in before.spec().events.iter().filter(|name| !next.spec().events.contains(name)) {
            self.listeners.silence(name).await;
        }
    }

    /// Those that listen from now on, or do it in another version: after the set is swapped. One that stopped because of
    /// an event that it could not take tries again.
    pub(crate) async fn join(
        &self,
        policy: &Arc<PluginPolicy>,
        before: Option<&Generation>,
        next: &Generation,
    ) -> Result<(), EngineError> {
        for name in &next.spec().events {
            let plugin = &next.plugins()[name];
            let listened = before.filter(|before| before.spec().events.contains(name));
            let same = listened.is_some_and(|before| Arc::ptr_eq(&before.plugins()[name], plugin));
            if !same {
                let consumer = Arc::new(policy.listener(name.as_str()));
                self.listeners.listen(name, consumer, options(plugin, Begin::Now)).await?;
            }
        }
        if next.plugins().values().any(|plugin| plugin.imports().has(Grant::Stats)) {
            self.keep_stats();
        }
        Ok(())
    }

    /// In the background: they begin with all jobs that there are, which a restart may take a while to load.
    fn keep_stats(&self) {
        if self.stats.swap(true, Relaxed) {
            return;
        }
        let listeners = Arc::clone(&self.listeners);
        tokio::spawn(async move {
            if let Err(error) = listeners.keep_stats().await {
                tracing::warn!(%error, "jobs are not counted for plugins");
            }
        });
    }
}

/// How a plugin listens.
pub(crate) fn options(plugin: &Plugin, begin: Begin) -> ListenOptions {
    let on_fault = match plugin.on_fault().events {
        EventsFault::Stop => OnFault::Stop,
        EventsFault::Skip => OnFault::Skip,
    };
    ListenOptions { begin, limits: plugin.limits().kv, on_fault }
}
