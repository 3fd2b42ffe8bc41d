//! Plugins that hear events, and the engine's own statistics: who listens follows the set that is active. A plugin hears
//! of executions and of the work of each namespace, with a place and a table for each of them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use berth_plugin_host::{EventsFault, Generation, Grant, Plugin, PluginPolicy};
use berth_runtime::{
    EngineError,
    feed::{Begin, ListenOptions, ListenerState, Listeners, OnFault},
    work::WorkBook,
};
use tokio::sync::Mutex;

/// How long events of work gather before plugins are asked: units come and go by the thousand.
const WORK_LINGER: Duration = Duration::from_millis(50);

/// The consumers of the feed that are plugins.
pub(crate) struct Hearing {
    /// Of executions.
    pub(crate) listeners: Arc<Listeners>,
    /// Of work, by namespace.
    work: Mutex<BTreeMap<String, Arc<Listeners>>>,
    /// Kept from the first plugin on that reads them: they cost a look at each event.
    stats: AtomicBool,
}

impl Hearing {
    pub(crate) fn new(listeners: Arc<Listeners>) -> Self {
        Self { listeners, work: Mutex::default(), stats: AtomicBool::new(false) }
    }

    /// Those that will not listen any more stop: before the set is swapped, so that nothing calls who is not there.
    pub(crate) async fn leave(&self, before: &Generation, next: &Generation) {
        for name in before.spec().events.iter().filter(|name| !next.spec().events.contains(name)) {
            for listeners in self.all().await {
                listeners.silence(name).await;
            }
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
                for listeners in self.all().await {
                    let consumer = Arc::new(policy.listener(name.as_str()));
                    let listens = listeners.listen(name, consumer, options(plugin, Begin::Now)).await;
                    // A namespace may be deleted just now; the engine may not.
                    if Arc::ptr_eq(&listeners, &self.listeners) {
                        listens?;
                    }
                }
            }
        }
        if next.plugins().values().any(|plugin| plugin.imports().has(Grant::Stats)) {
            self.keep_stats();
        }
        Ok(())
    }

    /// The namespaces of work are these now: those that are new are heard from this place on.
    pub(crate) async fn follow(
        &self,
        policy: &Arc<PluginPolicy>,
        namespaces: Vec<(String, WorkBook)>,
        begin: &Begin,
    ) -> Result<(), EngineError> {
        let mut work = self.work.lock().await;
        let gone = work.extract_if(.., |name, _| !namespaces.iter().any(|(namespace, _)| namespace == name));
        let gone: Vec<_> = gone.map(|(_, listeners)| listeners).collect();
        for listeners in gone {
            listeners.close().await;
        }
        let active = policy.active();
        for (namespace, book) in namespaces {
            if work.contains_key(&namespace) {
                continue;
            }
            let listeners = Arc::new(Listeners::of_work(book, &namespace, WORK_LINGER));
            for name in &active.spec().events {
                let consumer = Arc::new(policy.listener(name.as_str()));
                listeners.listen(name, consumer, options(&active.plugins()[name], begin.clone())).await?;
            }
            work.insert(namespace, listeners);
        }
        Ok(())
    }

    /// Of executions, and then of each namespace.
    async fn all(&self) -> Vec<Arc<Listeners>> {
        let work = self.work.lock().await;
        std::iter::once(&self.listeners).chain(work.values()).cloned().collect()
    }

    /// Of the work of a namespace, if there is such a one.
    pub(crate) async fn of_work(&self, namespace: &str) -> Option<Arc<Listeners>> {
        self.work.lock().await.get(namespace).cloned()
    }

    /// Where a plugin stays that failed on an event of work: the namespace, and why.
    pub(crate) fn problem_of_work(&self, plugin: &str) -> Option<String> {
        // Somebody begins or ends to listen just now: the next look tells.
        let work = self.work.try_lock().ok()?;
        work.iter().find_map(|(namespace, listeners)| {
            let status = listeners.status().into_iter().find(|status| *status.name == *plugin)?;
            match status.state {
                ListenerState::Running => None,
                ListenerState::Stopped { sequence, error } => {
                    Some(format!("stopped at event {sequence} of the work of namespace {namespace}: {error}"))
                }
            }
        })
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
