//! The condition of ListOperations: `KEY OP VALUE [& KEY OP VALUE ...]`.
//!
//! Keys are `stage`, `name` and `action_digest`; operators `=`, `!=`, `<`, `<=`, `>`, `>=`. Stages have the order in
//! which a job goes through them, everything else is compared as text. Without a condition: what is not completed.

use std::cmp::Ordering;

use berth_core::{OperationView, Stage};
use uuid::Uuid;

use crate::{error::Error, instances::shown};

/// All conditions must hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Filter(Vec<Condition>);

#[derive(Debug, PartialEq, Eq)]
struct Condition {
    operand: Operand,
    operator: Operator,
}

#[derive(Debug, PartialEq, Eq)]
enum Operand {
    /// REAPI's number of the stage.
    Stage(u8),
    /// The operation's id as a UUID.
    Name(String),
    /// `hash/size`.
    ActionDigest(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The longer ones first, because the shorter ones begin them.
const OPERATORS: [(&str, Operator); 6] = [
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("!=", Operator::NotEqual),
    ("=", Operator::Equal),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

/// REAPI's stages; what we never report can be asked for and is never found.
const STAGES: [&str; 5] = ["UNKNOWN", "CACHE_CHECK", "QUEUED", "EXECUTING", "COMPLETED"];
const QUEUED: u8 = 2;
const EXECUTING: u8 = 3;
const COMPLETED: u8 = 4;

impl Filter {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        if text.trim().is_empty() {
            return Ok(Self(vec![Condition { operand: Operand::Stage(COMPLETED), operator: Operator::NotEqual }]));
        }
        text.split('&').map(Condition::parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether operations that are over can match.
    pub(super) fn wants_completed(&self) -> bool {
        let mut stages = self.0.iter().filter_map(|condition| match condition.operand {
            Operand::Stage(stage) => Some((condition.operator, stage)),
            Operand::Name(_) | Operand::ActionDigest(_) => None,
        });
        stages.all(|(operator, stage)| operator.holds(COMPLETED.cmp(&stage)))
    }

    pub(super) fn matches(&self, view: &OperationView) -> bool {
        self.0.iter().all(|condition| condition.matches(view))
    }
}

impl Condition {
    fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |problem: &str| Error::field("filter", format!("{:?}: {problem}", shown(text.trim())));
        let at = text.find(['<', '>', '!', '=']).ok_or_else(|| refuse("expected KEY OPERATOR VALUE"))?;
        let (key, rest) = text.split_at(at);
        let known = OPERATORS.iter().find_map(|(sign, operator)| Some((rest.strip_prefix(sign)?, *operator)));
        let (value, operator) = known.ok_or_else(|| refuse("the operators are = != < <= > >="))?;
        let (key, value) = (key.trim(), value.trim());
        if value.is_empty() {
            return Err(refuse("the value is missing"));
        }
        let operand = match key {
            "stage" => {
                let stage = STAGES.iter().position(|name| name.eq_ignore_ascii_case(value));
                let stage = stage.ok_or_else(|| refuse("the stages are QUEUED, EXECUTING and COMPLETED"))?;
                Operand::Stage(u8::try_from(stage).expect("there are five"))
            }
            "name" => Operand::Name(crate::names::split(value).1.to_ascii_lowercase()),
            "action_digest" => Operand::ActionDigest(value.to_owned()),
            _ => return Err(refuse("the keys are stage, name and action_digest")),
        };
        Ok(Self { operand, operator })
    }

    fn matches(&self, view: &OperationView) -> bool {
        let ordering = match &self.operand {
            Operand::Stage(stage) => number(&view.stage).cmp(stage),
            Operand::Name(name) => Uuid::from_u128(view.operation.0).hyphenated().to_string().cmp(name),
            Operand::ActionDigest(digest) => view.action.to_string().cmp(digest),
        };
        self.operator.holds(ordering)
    }
}

impl Operator {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

fn number(stage: &Stage) -> u8 {
    match stage {
        Stage::Queued => QUEUED,
        Stage::Executing => EXECUTING,
        Stage::Completed(_) => COMPLETED,
    }
}

#[cfg(test)]
mod tests {
    use berth_core::{Digest, JobId, OperationId, Outcome, Timestamp};

    use super::*;

    fn view(stage: Stage) -> OperationView {
        OperationView {
            operation: OperationId(0xff),
            job: JobId(1),
            instance: "main".into(),
            action: Digest { hash: [0xab; 32], size_bytes: 7 },
            stage,
            queued_at: Timestamp(5),
        }
    }

    #[test]
    fn without_a_condition_it_is_what_is_not_completed() {
        let filter = Filter::parse(" ").unwrap();
        assert!(filter.matches(&view(Stage::Queued)) && filter.matches(&view(Stage::Executing)));
        assert!(!filter.matches(&view(Stage::Completed(Outcome::Cached))));
        assert!(!filter.wants_completed());
    }

    #[test]
    fn stages_have_an_order_and_any_case() {
        let filter = Filter::parse("stage>=executing & stage != COMPLETED").unwrap();
        assert!(filter.matches(&view(Stage::Executing)) && !filter.matches(&view(Stage::Queued)));
        assert!(!filter.wants_completed());
        assert!(Filter::parse("stage >= EXECUTING").unwrap().wants_completed());
        assert!(Filter::parse("name=x").unwrap().wants_completed());
    }

    #[test]
    fn an_operation_is_found_by_name_and_by_action() {
        let (name, action) = ("00000000-0000-0000-0000-0000000000ff", format!("{}/7", "ab".repeat(32)));
        for text in [format!("name = {name}"), format!("name=main/{name}"), format!("action_digest={action}")] {
            assert!(Filter::parse(&text).unwrap().matches(&view(Stage::Queued)), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_what_could() {
        for text in ["stage", "stage=", "stage=LATE", "=x", "pet=cat", "stage ! QUEUED", "a&b"] {
            assert!(Filter::parse(text).is_err(), "{text}");
        }
    }
}
