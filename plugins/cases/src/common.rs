//! What the questions and answers of several functions share.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A question or an answer.
pub trait Record: Serialize + DeserializeOwned {
    /// Brings what may be written in several ways into one, as Berth would: so that answers can be compared, and that
    /// a policy is asked what it would be asked.
    fn tidy(&mut self) {}
}

/// Why a policy says no.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// There is a property that the policy does not know.
    UnknownProperty(UnknownProperty),
    /// A property that may be given only once was given more often: its name.
    DuplicateProperty(String),
    /// A name or a value that cannot be right.
    MalformedProperty(MalformedProperty),
    /// No bot could ever do this, or not in the state that things are in.
    FailedPrecondition(String),
    /// The policy does not allow this.
    Denied(String),
    /// Too much at a time.
    Exhausted(Exhausted),
}

/// The details of [`Refusal::UnknownProperty`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct UnknownProperty {
    /// The property that is not known.
    pub name: String,
    /// Which names are known, for a person to read.
    pub known: String,
}

/// The details of [`Refusal::MalformedProperty`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MalformedProperty {
    /// The property that is wrong.
    pub name: String,
    /// What would have been accepted, for a person to read.
    pub expected: String,
}

/// The details of [`Refusal::Exhausted`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Exhausted {
    /// What there is too much of, for a person to read.
    pub reason: String,
    /// After how many milliseconds it is worth to try again; 0: nobody knows.
    pub retry_after_ms: u64,
}

/// Who asks for a job. A text is empty where nobody said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Requester {
    /// The instance name of the request.
    pub instance: String,
    /// Who the client is.
    pub tenant: String,
    /// The invocation of the build tool: one build.
    pub invocation: String,
    /// What several invocations share, such as a CI pipeline.
    pub correlated_invocations: String,
    /// The name of the build tool.
    pub tool: String,
    /// What kind of action it is, such as `CppCompile`.
    pub mnemonic: String,
    /// The target that is being built.
    pub target: String,
}
