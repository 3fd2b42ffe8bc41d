//! Commands that ask a running server: `berth jobs`, `berth operations`, `berth bots`; and what all such commands share.

pub(crate) mod bots;
mod history;
mod introspection;
pub(crate) mod jobs;
pub(crate) mod operations;
mod pauses;
pub(crate) mod plugins;
pub(crate) mod quotas;
pub(crate) mod table;

use anyhow::{Context, bail};
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};

/// Connects, and runs one question to its end.
pub(crate) fn ask<R>(server: &str, question: impl AsyncFnOnce(Channel) -> anyhow::Result<R>) -> anyhow::Result<R> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let channel = Endpoint::from_shared(format!("http://{server}"))
            .with_context(|| format!("--server {server:?}: expected HOST:PORT"))?
            .connect_timeout(std::time::Duration::from_secs(5))
            .connect()
            .await
            .with_context(|| {
                format!(
                    "no server answers on {server}: start one with `berth serve`, or name it with --server HOST:PORT"
                )
            })?;
        question(channel).await
    })
}

/// What the server said, without the words of the transport.
pub(crate) fn answer<R>(result: Result<tonic::Response<R>, tonic::Status>) -> anyhow::Result<R> {
    match result {
        Ok(response) => Ok(response.into_inner()),
        Err(status) if status.code() == Code::Unimplemented => {
            bail!("this server does not offer it: it is older, or runs without plugins (policy.kind = \"built-in\")")
        }
        Err(status) => bail!("{}", status.message()),
    }
}

/// Seconds since then, for people.
pub(crate) fn ago(time: Option<&prost_types::Timestamp>) -> String {
    let Some(time) = time else { return "-".to_owned() };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let seconds = (now.as_secs() as i64 - time.seconds).max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

/// RFC 3339 in UTC, for scripts.
pub(crate) fn rfc3339(time: Option<&prost_types::Timestamp>) -> serde_json::Value {
    time.map_or(serde_json::Value::Null, |time| time.to_string().into())
}

fn pairs(properties: &[berth_proto::admin::Property]) -> String {
    properties.iter().map(|p| format!("{}={}", p.name, p.value)).collect::<Vec<_>>().join(", ")
}
