//! What an operator may set of the services.

use std::{collections::HashMap, time::Duration};

/// Numbers of the services. The defaults suit a team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The longest `Action.timeout` that is accepted, and what an action without one gets: 2 h.
    pub execution_timeout_max: Duration,
    /// What an attempt gets on top of its action's timeout, for fetching inputs and uploading outputs: 10 min. The
    /// bot ends the command itself; this bound is for bots that do not.
    pub execution_grace: Duration,
    /// How long a job may wait for a bot; `None`, the default: for ever.
    pub queue_timeout: Option<Duration>,
    /// Where results can be looked at: an ExecuteResponse's message is this and `/action/HASH/SIZE/`. `None`: nowhere.
    pub action_browser_url: Option<String>,
    /// What holds for an instance instead, by its name.
    pub own: HashMap<String, Own>,
    /// The header, in lower case, whose value is the client's tenant; `None`, the default: nobody says.
    pub tenant_header: Option<String>,
    /// The largest request that is decoded: 16 MiB.
    pub message_bytes_max: usize,
    /// The largest Action or Command that is read: 4 MiB.
    pub action_bytes_max: usize,
    /// After this much silence a stream repeats its state, so that proxies keep it open: 60 s.
    pub stream_keepalive: Duration,
    /// How long a list may look for its page before it answers with what it has: 1 s.
    pub list_time_max: Duration,
    /// What the storage beside us accepts, for Capabilities.
    pub cache: CacheLimits,
}

/// What may differ by instance. `None`: as for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// See [`Config::execution_timeout_max`].
    pub execution_timeout_max: Option<Duration>,
    /// See [`Config::queue_timeout`]; zero: for ever.
    pub queue_timeout: Option<Duration>,
    /// See [`Config::action_browser_url`]; empty: nowhere.
    pub action_browser_url: Option<String>,
}

impl Config {
    /// The longest `Action.timeout` in an instance.
    pub(crate) fn execution_timeout_max_of(&self, instance: &str) -> Duration {
        self.own.get(instance).and_then(|own| own.execution_timeout_max).unwrap_or(self.execution_timeout_max)
    }

    /// How long a job of an instance may wait for a bot.
    pub(crate) fn queue_timeout_of(&self, instance: &str) -> Option<Duration> {
        let own = self.own.get(instance).and_then(|own| own.queue_timeout);
        own.or(self.queue_timeout).filter(|timeout| !timeout.is_zero())
    }

    /// Where results of an instance can be looked at.
    pub(crate) fn action_browser_url_of(&self, instance: &str) -> Option<&str> {
        let own = self.own.get(instance).and_then(|own| own.action_browser_url.as_deref());
        own.or(self.action_browser_url.as_deref()).filter(|url| !url.is_empty())
    }
}

/// What the storage beside us accepts. Only told to clients here; the storage enforces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// The most bytes of content in one batch of blobs.
    pub batch_bytes_max: u64,
    /// Whether clients may write action cache entries.
    pub update_enabled: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            execution_timeout_max: Duration::from_secs(7_200),
            execution_grace: Duration::from_secs(600),
            queue_timeout: None,
            action_browser_url: None,
            own: HashMap::new(),
            tenant_header: None,
            message_bytes_max: 16 << 20,
            action_bytes_max: 4 << 20,
            stream_keepalive: Duration::from_secs(60),
            list_time_max: Duration::from_secs(1),
            cache: CacheLimits::default(),
        }
    }
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self { batch_bytes_max: (4 << 20) - (256 << 10), update_enabled: true }
    }
}
