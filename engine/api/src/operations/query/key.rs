//! The words of the filter: what can be asked of an operation, and what its value is.

use std::borrow::Cow;

use berth_core::{Stage, Timestamp};
use berth_proto::reapi::RequestMetadata;
use berth_runtime::operations::{Index, Listed, Need, cut};
use prost::Message;
use uuid::Uuid;

use super::order::Value;

/// Something that is known of each operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    Stage,
    Name,
    Command,
    Platform,
    ActionDigest,
    InvocationId,
    CorrelatedInvocationsId,
    ToolName,
    ToolVersion,
    ActionMnemonic,
    TargetId,
    ConfigurationId,
    ClientWorkflow,
    ClientActor,
    ClientSubject,
    Priority,
    QueuedTime,
    StartTime,
    CompletedTime,
}

/// Numbers of REAPI's stages; the first two are never reported, but can be asked for.
pub(super) const STAGES: [&str; 5] = ["UNKNOWN", "CACHE_CHECK", "QUEUED", "EXECUTING", "COMPLETED"];
pub(super) const QUEUED: i64 = 2;
pub(super) const EXECUTING: i64 = 3;
pub(in crate::operations) const COMPLETED: i64 = 4;

impl Key {
    pub(in crate::operations) const ALL: [(Key, &'static str); 19] = [
        (Key::Stage, "stage"),
        (Key::Name, "name"),
        (Key::Command, "command"),
        (Key::Platform, "platform"),
        (Key::ActionDigest, "action_digest"),
        (Key::InvocationId, "invocation_id"),
        (Key::CorrelatedInvocationsId, "correlated_invocations_id"),
        (Key::ToolName, "tool_name"),
        (Key::ToolVersion, "tool_version"),
        (Key::ActionMnemonic, "action_mnemonic"),
        (Key::TargetId, "target_id"),
        (Key::ConfigurationId, "configuration_id"),
        (Key::ClientWorkflow, "client_workflow"),
        (Key::ClientActor, "client_actor"),
        (Key::ClientSubject, "client_subject"),
        (Key::Priority, "priority"),
        (Key::QueuedTime, "queued_time"),
        (Key::StartTime, "start_time"),
        (Key::CompletedTime, "completed_time"),
    ];

    pub(in crate::operations) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(key, _)| *key)
    }

    pub(in crate::operations) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(key, _)| *key == self).expect("every key has a name").1
    }

    /// All names, for a message.
    pub(super) fn names() -> String {
        Self::ALL.map(|(_, name)| name).join(", ")
    }

    /// What must be read to know it.
    pub(in crate::operations) fn need(self) -> Need {
        match self {
            Self::Stage
            | Self::Name
            | Self::ActionDigest
            | Self::QueuedTime
            | Self::StartTime
            | Self::CompletedTime => Need::default(),
            Self::Command | Self::Platform => Need { body: true, operation: false },
            Self::InvocationId
            | Self::CorrelatedInvocationsId
            | Self::ToolName
            | Self::ToolVersion
            | Self::ActionMnemonic
            | Self::TargetId
            | Self::ConfigurationId
            | Self::ClientWorkflow
            | Self::ClientActor
            | Self::ClientSubject
            | Self::Priority => Need { body: false, operation: true },
        }
    }

    /// The order in which finished operations can be walked by it. Stages need none: all that is finished is COMPLETED.
    pub(in crate::operations) fn index(self) -> Option<Index> {
        match self {
            Self::Name => Some(Index::Name),
            Self::ActionDigest => Some(Index::Action),
            Self::InvocationId => Some(Index::Invocation),
            Self::QueuedTime => Some(Index::Queued),
            Self::StartTime => Some(Index::Started),
            Self::CompletedTime => Some(Index::Completed),
            Self::Stage
            | Self::Command
            | Self::Platform
            | Self::CorrelatedInvocationsId
            | Self::ToolName
            | Self::ToolVersion
            | Self::ActionMnemonic
            | Self::TargetId
            | Self::ConfigurationId
            | Self::ClientWorkflow
            | Self::ClientActor
            | Self::ClientSubject
            | Self::Priority => None,
        }
    }

    /// Its value as it was at `as_of`, as far as that is known: what happened later counts as not having happened.
    /// `None`: as it is.
    pub(in crate::operations) fn value(self, listed: &Listed, as_of: Option<Timestamp>) -> Value {
        let view = &listed.view;
        let seen = |at: Option<Timestamp>| at.filter(|at| as_of.is_none_or(|as_of| *at <= as_of));
        match self {
            Self::Stage => Value::Number(match view.stage {
                Stage::Completed(_) if seen(view.completed_at).is_some() || view.completed_at.is_none() => COMPLETED,
                Stage::Executing | Stage::Completed(_) if seen(view.started_at).is_some() => EXECUTING,
                Stage::Queued | Stage::Executing | Stage::Completed(_) => QUEUED,
            }),
            Self::Name => Value::Name(view.operation.0),
            Self::Priority => Value::Number(listed.stored.operation.priority.into()),
            Self::QueuedTime => Value::Time(Some(view.queued_at)),
            Self::StartTime => Value::Time(seen(view.started_at)),
            Self::CompletedTime => Value::Time(seen(view.completed_at)),
            Self::Platform => {
                let properties = listed.stored.body.platform.iter();
                let pairs: Vec<_> = properties.map(|pair| format!("{}:{}", pair.name, pair.value)).collect();
                Value::Text(pairs.join(" "))
            }
            Self::Command
            | Self::ActionDigest
            | Self::InvocationId
            | Self::CorrelatedInvocationsId
            | Self::ToolName
            | Self::ToolVersion
            | Self::ActionMnemonic
            | Self::TargetId
            | Self::ConfigurationId
            | Self::ClientWorkflow
            | Self::ClientActor
            | Self::ClientSubject => Value::Text(self.text(listed).into_owned()),
        }
    }

    /// Its value as clients write it, where it is a text.
    pub(crate) fn text(self, listed: &Listed) -> Cow<'_, str> {
        let stored = &listed.stored;
        // What cannot be read counts as what was not sent.
        let metadata = || RequestMetadata::decode(stored.operation.request_metadata.clone()).unwrap_or_default();
        let tool = || metadata().tool_details.unwrap_or_default();
        let client = |part: fn(&berth_proto::store::ClientIdentity) -> &String| {
            Cow::Borrowed(stored.operation.client.as_ref().map_or("", |client| cut(part(client))))
        };
        let own = |text: String| Cow::Owned(cut(&text).to_owned());
        match self {
            Self::Name => Cow::Owned(Uuid::from_u128(listed.view.operation.0).hyphenated().to_string()),
            Self::ActionDigest => Cow::Owned(listed.view.action.to_string()),
            Self::Command => Cow::Borrowed(stored.body.command_line.as_str()),
            Self::InvocationId => own(metadata().tool_invocation_id),
            Self::CorrelatedInvocationsId => own(metadata().correlated_invocations_id),
            Self::ToolName => own(tool().tool_name),
            Self::ToolVersion => own(tool().tool_version),
            Self::ActionMnemonic => own(metadata().action_mnemonic),
            Self::TargetId => own(metadata().target_id),
            Self::ConfigurationId => own(metadata().configuration_id),
            Self::ClientWorkflow => client(|client| &client.workflow),
            Self::ClientActor => client(|client| &client.actor),
            Self::ClientSubject => client(|client| &client.subject),
            Self::Stage
            | Self::Platform
            | Self::Priority
            | Self::QueuedTime
            | Self::StartTime
            | Self::CompletedTime => Cow::Borrowed(""),
        }
    }
}
