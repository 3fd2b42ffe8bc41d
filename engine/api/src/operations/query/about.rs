//! What the keys of a filter mean, for programs that help people to write one.

use super::{
    condition::Operator,
    key::{Key, STAGES},
    parse::SORT_ORDER,
};

/// A key of a filter.
pub(crate) struct About {
    /// As it stands in a filter.
    pub(crate) key: &'static str,
    /// For people.
    pub(crate) name: &'static str,
    /// Whether its values are times.
    pub(crate) is_time: bool,
    pub(crate) description: &'static str,
    pub(crate) comparators: Vec<&'static str>,
    /// The values that there are, if they are few.
    pub(crate) values: &'static [&'static str],
}

/// Every key, in the order in which BuildGrid has them; the one for orders last.
pub(crate) fn about() -> Vec<About> {
    let all = Key::ALL.map(|(key, word)| {
        let (name, description) = describe(key);
        About {
            key: word,
            name,
            is_time: matches!(key, Key::QueuedTime | Key::StartTime | Key::CompletedTime),
            description,
            comparators: Operator::ALL.map(|(sign, _)| sign).to_vec(),
            values: if key == Key::Stage { &STAGES } else { &[] },
        }
    });
    let order = About {
        key: SORT_ORDER,
        name: "Sort Order",
        is_time: false,
        description: "A key to order by, as KEY, KEY(asc) or KEY(desc); may be given several times.",
        comparators: vec!["="],
        values: &[],
    };
    all.into_iter().chain([order]).collect()
}

fn describe(key: Key) -> (&'static str, &'static str) {
    match key {
        Key::Stage => ("Stage", "How far the operation is."),
        Key::Name => ("Name", "The operation's id, with or without its instance."),
        Key::Command => ("Command", "A part of the command line, or with an order all of it."),
        Key::Platform => ("Platform", "A property of the platform, as NAME:VALUE."),
        Key::ActionDigest => ("Action Digest", "Digest of the Action, as HASH/SIZE."),
        Key::InvocationId => ("Invocation ID", "The run of a build tool that asked for it."),
        Key::CorrelatedInvocationsId => ("Correlated Invocations ID", "What several runs of build tools belong to."),
        Key::ToolName => ("Tool Name", "The build tool that asked for it."),
        Key::ToolVersion => ("Tool Version", "The version of that build tool."),
        Key::ActionMnemonic => ("Action Mnemonic", "The build tool's word for this kind of action."),
        Key::TargetId => ("Target ID", "The target that the action is a part of."),
        Key::ConfigurationId => ("Configuration ID", "The configuration in which that target is built."),
        Key::ClientWorkflow => ("Client Workflow", "In which kind of work its client was."),
        Key::ClientActor => ("Client Actor", "Who asked for it."),
        Key::ClientSubject => ("Client Subject", "For whom it was asked for."),
        Key::Priority => ("Priority", "Priority of the request, as it was decided; smaller is more urgent."),
        Key::QueuedTime => ("Queued Time", "When it was accepted."),
        Key::StartTime => ("Start Time", "When its last attempt was given to a bot."),
        Key::CompletedTime => ("Completed Time", "When it ended."),
    }
}
