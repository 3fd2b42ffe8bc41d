//! Before there is a job: the request is parsed, its Action and Command are read, its input tree is complete.

use std::time::Duration;

use berth_core::{Digest, Timestamp};
use berth_proto::{
    reapi::{Action, Command, ExecuteRequest, RequestMetadata},
    store as pb,
};
use bytes::Bytes;
use prost::Message;
use tonic::metadata::MetadataMap;

use super::Execution;
use crate::{convert, error::Error, identity, instances::Instance, pins};

/// As much of a command line as lists show.
const COMMAND_LINE_BYTES_MAX: usize = 512;

const TIMEOUT: &str = "action.timeout";

/// A request that may become a job.
pub(super) struct Prepared {
    pub(super) action_digest: Digest,
    pub(super) do_not_cache: bool,
    pub(super) skip_cache_lookup: bool,
    pub(super) priority: i32,
    pub(super) execution_timeout: Duration,
    /// As the action has it.
    pub(super) timeout: Option<Duration>,
    /// How long it may wait for a bot.
    pub(super) queue_timeout: Option<Duration>,
    pub(super) command: Command,
    pub(super) locality_hint: String,
    /// Name and value of each platform property.
    pub(super) platform: Vec<(String, String)>,
    pub(super) metadata: RequestMetadata,
    /// Everything that is pinned with the job: Action, Command and input root.
    pub(super) blobs: [Digest; 3],
    /// What is stored.
    pub(super) body: pb::JobBody,
    /// The answer of the action cache, if it has one.
    pub(super) cached: Option<Bytes>,
    /// When the action cache was asked.
    pub(super) lookup_began: Timestamp,
}

impl Execution {
    pub(super) async fn prepare(
        &self,
        instance: &Instance,
        request: ExecuteRequest,
        headers: &MetadataMap,
    ) -> Result<Prepared, Error> {
        convert::check_function(request.digest_function)?;
        let action_digest = convert::digest("action_digest", request.action_digest.as_ref())?;
        let name = &*instance.name.0;

        let Some(action_bytes) = self.cas.read(name, &action_digest, self.config.action_bytes_max).await? else {
            return Err(Error::Missing(vec![action_digest]));
        };
        let action: Action = parse("action_digest", "an Action", action_bytes.clone())?;
        let command_digest = convert::digest("action.command_digest", action.command_digest.as_ref())?;
        let input_root = convert::digest("action.input_root_digest", action.input_root_digest.as_ref())?;
        let timeout = action_timeout(action.timeout)?;
        let execution_timeout = self.execution_timeout(name, timeout)?;

        // A client that must upload something learns of all of it at once.
        let command_bytes = self.cas.read(name, &command_digest, self.config.action_bytes_max).await?;
        let mut missing = self.cas.check_tree(name, &input_root).await?.missing;
        let Some(command_bytes) = command_bytes else {
            missing.insert(0, command_digest);
            return Err(Error::Missing(missing));
        };
        if !missing.is_empty() {
            return Err(Error::Missing(missing));
        }
        let command: Command = parse("action.command_digest", "a Command", command_bytes)?;
        if command.arguments.is_empty() {
            return Err(Error::field("command.arguments", "is empty: there is nothing to run"));
        }

        let command_line = command_line(&command.arguments);
        let platform = action
            .platform
            .or_else(|| command.platform.clone())
            .map(|platform| platform.properties)
            .unwrap_or_default();
        let platform: Vec<_> = platform.into_iter().map(|property| (property.name, property.value)).collect();
        let property = |(name, value): &(String, String)| pb::Property { name: name.clone(), value: value.clone() };

        let lookup_began = instance.engine.now();
        let cached = if action.do_not_cache || request.skip_cache_lookup {
            None
        } else {
            self.cas.action_result(name, &action_digest).await?
        };
        let (metadata, request_metadata) = convert::request_metadata(headers);
        Ok(Prepared {
            action_digest,
            do_not_cache: action.do_not_cache,
            skip_cache_lookup: request.skip_cache_lookup,
            priority: request.execution_policy.map_or(0, |policy| policy.priority),
            execution_timeout,
            timeout,
            queue_timeout: self.config.queue_timeout_of(name),
            command,
            locality_hint: convert::locality_hint(headers),
            body: pb::JobBody {
                action: action_bytes,
                command_line,
                platform: platform.iter().map(property).collect(),
                command_digest: Some(pins::to_store(&command_digest)),
                input_root: Some(pins::to_store(&input_root)),
                request_metadata,
                client: identity::client(headers),
                tenant: convert::tenant(headers, self.config.tenant_header.as_deref()),
                ..pb::JobBody::default()
            },
            platform,
            metadata,
            blobs: [action_digest, command_digest, input_root],
            cached: cached.map(|result| result.encode_to_vec().into()),
            lookup_began,
        })
    }

    /// How long one attempt may take by our clock.
    fn execution_timeout(&self, instance: &str, asked: Option<Duration>) -> Result<Duration, Error> {
        let longest = self.config.execution_timeout_max_of(instance);
        let timeout = asked.unwrap_or(longest);
        if timeout > longest {
            let problem = format!("{} s is longer than the limit of {} s", timeout.as_secs_f64(), longest.as_secs());
            return Err(Error::field(TIMEOUT, problem));
        }
        Ok(self.with_grace(timeout))
    }
}

/// No action ends in no time: clients that mean "no limit of mine" send zero as well as nothing.
fn action_timeout(asked: Option<prost_types::Duration>) -> Result<Option<Duration>, Error> {
    let asked = asked.map(|asked| convert::duration(TIMEOUT, asked)).transpose()?;
    Ok(asked.filter(|asked| !asked.is_zero()))
}

fn parse<M: Message + Default>(field: &'static str, what: &str, bytes: Bytes) -> Result<M, Error> {
    M::decode(bytes).map_err(|error| Error::field(field, format!("the blob is not {what}: {error}")))
}

fn command_line(arguments: &[String]) -> String {
    let mut line = String::new();
    for (index, argument) in arguments.iter().enumerate() {
        if index > 0 {
            line.push(' ');
        }
        let room = COMMAND_LINE_BYTES_MAX.saturating_sub(line.len());
        if argument.len() > room {
            line.push_str(&argument[..argument.floor_char_boundary(room)]);
            line.push('…');
            break;
        }
        line.push_str(argument);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_command_line_is_cut_between_characters() {
        let line = command_line(&["gcc".into(), "é".repeat(1_000)]);
        assert!(line.starts_with("gcc é") && line.ends_with("é…"));
        assert!(line.len() <= COMMAND_LINE_BYTES_MAX + '…'.len_utf8());
        assert_eq!(command_line(&["a".into(), "b c".into()]), "a b c");
    }
}
