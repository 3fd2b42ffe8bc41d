//! A file of cases: TOML, a list of `[[case]]`.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde_json::Value;

use crate::common::Refusal;
use crate::function::{Answer, Function, Question};
use crate::surroundings::{Stats, Surroundings};

/// A question with the answer that is expected.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// What the policy finds around it.
    pub surroundings: Surroundings,
    /// The question.
    pub question: Question,
    /// The answer.
    pub expected: Answer,
}

/// What is wrong with a file of cases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileError {
    /// It is no list of cases. The message shows the place.
    Toml(String),
    /// A case is wrong: its name, and what is wrong.
    Case(String, String),
}

impl fmt::Display for FileError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Toml(message) => write!(out, "not a file of cases: {}", message.trim_end()),
            Self::Case(name, message) => write!(out, "case {name:?}: {message}"),
        }
    }
}

impl std::error::Error for FileError {}

/// Reads a file of cases. The empty text has none.
pub fn read(text: &str) -> Result<Vec<Case>, FileError> {
    let file: File = toml::from_str(text).map_err(|error| FileError::Toml(error.to_string()))?;
    let mut cases: Vec<Case> = Vec::with_capacity(file.case.len());
    for written in file.case {
        let name = written.name.clone();
        if cases.iter().any(|case| case.name == name) {
            return Err(FileError::Case(name, "there is another case of this name".to_owned()));
        }
        cases.push(Case::read(written).map_err(|message| FileError::Case(name, message))?);
    }
    Ok(cases)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    case: Vec<Written>,
}

/// A case as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Written {
    name: String,
    function: String,
    #[serde(default)]
    config: serde_json::Map<String, Value>,
    #[serde(default)]
    now_ms: u64,
    #[serde(default)]
    kv: std::collections::BTreeMap<String, crate::bytes::Bytes>,
    #[serde(default)]
    stats: Stats,
    #[serde(default = "empty_table")]
    question: Value,
    answer: Option<Value>,
    refusal: Option<Value>,
}

fn empty_table() -> Value {
    Value::Object(serde_json::Map::new())
}

impl Case {
    fn read(written: Written) -> Result<Self, String> {
        let function = Function::from_str(&written.function).map_err(|error| error.to_string())?;
        let question = Question::read(function, written.question).map_err(|error| format!("question: {error}"))?;
        let expected = match (written.answer, written.refusal) {
            (Some(answer), None) => Answer::read(function, answer).map_err(|error| format!("answer: {error}"))?,
            (None, Some(_)) if !function.may_refuse() => return Err(format!("{function} cannot refuse")),
            (None, Some(refusal)) => {
                let refusal: Result<Refusal, _> = serde_json::from_value(refusal);
                Answer::Refused(refusal.map_err(|error| format!("refusal: {error}"))?)
            }
            (None, None) => return Err("it has neither `answer` nor `refusal`".to_owned()),
            (Some(_), Some(_)) => return Err("it has both `answer` and `refusal`".to_owned()),
        };
        let surroundings =
            Surroundings { config: written.config, now_ms: written.now_ms, kv: written.kv, stats: written.stats };
        Ok(Self { name: written.name, surroundings, question, expected })
    }
}
