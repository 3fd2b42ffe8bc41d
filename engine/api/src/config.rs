//! What an operator may set of the services.

use std::time::Duration;

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
