//! Asking what the cases say, and comparing.

use std::fmt;

use crate::diff::differences;
use crate::file::Case;
use crate::function::{Answerer, Fault};

/// What came of a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The name of the case.
    pub name: String,
    /// Nothing, or what is wrong.
    pub result: Result<(), Failure>,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// Another answer came: a line for each difference.
    Different(Vec<String>),
    /// No answer came.
    Fault(Fault),
}

/// Asks what each case says, in their order.
pub fn run(cases: &[Case], answerer: &mut impl Answerer) -> Vec<Outcome> {
    cases.iter().map(|case| Outcome { name: case.name.clone(), result: run_one(case, answerer) }).collect()
}

fn run_one(case: &Case, answerer: &mut impl Answerer) -> Result<(), Failure> {
    answerer.surround(&case.surroundings).map_err(Failure::Fault)?;
    let got = answerer.ask(&case.question).map_err(Failure::Fault)?;
    let lines = differences(&case.expected.to_json(), &got.to_json());
    if lines.is_empty() { Ok(()) } else { Err(Failure::Different(lines)) }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            Ok(()) => write!(out, "ok      {}", self.name),
            Err(failure) => write!(out, "FAILED  {}\n{failure}", self.name),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Different(lines) => write!(out, "        {}", lines.join("\n        ")),
            Self::Fault(fault) => write!(out, "        {fault}"),
        }
    }
}
