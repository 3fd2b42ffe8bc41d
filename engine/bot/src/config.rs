//! What a bot needs to know, and how its addresses become connections.

use std::path::PathBuf;
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

use crate::error::Error;

/// Everything that tells one bot from another. [`BotConfig::new`] fills in the defaults.
#[derive(Clone, Debug)]
pub struct BotConfig {
    /// Address of the Bots service: `host:port` or `http://host:port`.
    pub server: String,
    /// Address of CAS and ByteStream, where it is not `server`.
    pub cas: Option<String>,
    /// Instance name to work for.
    pub instance: String,
    /// Instance name under which the CAS is asked, if that is another one.
    pub cas_instance: Option<String>,
    /// Name of this bot: unique among the bots of a server, stable over restarts.
    pub bot_id: String,
    /// What this machine offers, as platform properties. A key may repeat.
    pub properties: Vec<(String, String)>,
    /// How many leases run at the same time; at least 1.
    pub slots: usize,
    /// Folder for input roots. Belongs to this bot alone; what an earlier run left there is removed.
    pub work_dir: PathBuf,
    /// Folder of the file cache; `cache` inside `work_dir` if not given. On the same file system as `work_dir`, or
    /// else every input is copied.
    pub cache_dir: Option<PathBuf>,
    /// Size to which the file cache is cut back. The inputs of running actions may exceed it for their time.
    pub cache_bytes_max: u64,
    /// Deadline of an update call: how long the server may hold it.
    pub poll: Duration,
    /// How long the server or the CAS may be unreachable before work in progress is given up.
    pub give_up: Duration,
}

impl BotConfig {
    /// One slot, no properties, 8 GiB of cache, 30 s polls, 5 minutes of patience.
    pub fn new(
        server: impl Into<String>,
        instance: impl Into<String>,
        bot_id: impl Into<String>,
        work_dir: impl Into<PathBuf>,
    ) -> Self {
        Self {
            server: server.into(),
            cas: None,
            instance: instance.into(),
            cas_instance: None,
            bot_id: bot_id.into(),
            properties: Vec::new(),
            slots: 1,
            work_dir: work_dir.into(),
            cache_dir: None,
            cache_bytes_max: 8 << 30,
            poll: Duration::from_secs(30),
            give_up: Duration::from_secs(300),
        }
    }

    pub(crate) fn cache_dir(&self) -> PathBuf {
        self.cache_dir.clone().unwrap_or_else(|| self.work_dir.join("cache"))
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.bot_id.is_empty() {
            return Err(Error::Config("bot_id must not be empty".into()));
        }
        if self.slots == 0 {
            return Err(Error::Config("slots must be at least 1".into()));
        }
        Ok(())
    }
}

/// A connection that is made on first use and again whenever it breaks.
pub(crate) fn connect(address: &str) -> Result<Channel, Error> {
    let url = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    if !url.starts_with("http://") {
        return Err(Error::Config(format!("address {address:?}: expected host:port or http://host:port")));
    }
    let endpoint = Endpoint::from_shared(url)
        .map_err(|error| Error::Config(format!("address {address:?}: expected host:port ({error})")))?
        .connect_timeout(Duration::from_secs(5))
        .tcp_nodelay(true)
        // A server that vanished without a word must not hold a poll for minutes.
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        // The default of 64 KiB a stream would throttle large blobs on anything but loopback.
        .initial_stream_window_size(2 << 20)
        .initial_connection_window_size(16 << 20);
    Ok(endpoint.connect_lazy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_are_taken_with_and_without_scheme_and_refused_with_another_one() {
        assert!(connect("127.0.0.1:8980").is_ok());
        assert!(connect("http://localhost:8980").is_ok());
        assert!(connect("https://localhost:8980").unwrap_err().to_string().contains("host:port"));
        assert!(connect("not an address").is_err());
    }

    #[test]
    fn a_bot_without_slots_or_name_is_refused() {
        let mut config = BotConfig::new("127.0.0.1:1", "", "b", "/tmp/x");
        assert!(config.check().is_ok());
        config.slots = 0;
        assert!(config.check().is_err());
        assert!(BotConfig::new("127.0.0.1:1", "", "", "/tmp/x").check().is_err());
    }
}
