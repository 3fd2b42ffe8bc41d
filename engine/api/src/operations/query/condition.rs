//! A condition: a key, an operator, and what the key's value is compared with.

use std::{cmp::Ordering, fmt};

use berth_core::Timestamp;
use berth_runtime::operations::Listed;

use super::{
    key::{Key, STAGES},
    order::Value,
    parse::quoted,
    time::show,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::operations) struct Condition {
    pub(in crate::operations) key: Key,
    pub(in crate::operations) operator: Operator,
    pub(in crate::operations) operand: Operand,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::operations) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What a value is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::operations) enum Operand {
    /// A stage, or a priority.
    Number(i64),
    Text(String),
    /// A platform property.
    Property {
        name: String,
        value: String,
    },
    /// A time; none: whether there is one.
    Time(Option<Timestamp>),
}

impl Operator {
    /// The longer ones first, because the shorter ones begin them.
    pub(super) const ALL: [(&'static str, Operator); 6] = [
        ("<=", Self::LessOrEqual),
        (">=", Self::GreaterOrEqual),
        ("!=", Self::NotEqual),
        ("=", Self::Equal),
        ("<", Self::Less),
        (">", Self::Greater),
    ];

    pub(in crate::operations) fn holds(self, ordering: Ordering) -> bool {
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

impl Condition {
    /// Whether it holds for the operation as it is.
    pub(in crate::operations) fn holds(&self, listed: &Listed) -> bool {
        match &self.operand {
            Operand::Number(number) => self.operator.holds(self.key.value(listed, None).cmp(&Value::Number(*number))),
            Operand::Text(text) if self.key == Key::Command => {
                let command = self.key.text(listed);
                match self.operator {
                    Operator::Equal => command.contains(text),
                    Operator::NotEqual => !command.contains(text),
                    other => other.holds((*command).cmp(text)),
                }
            }
            Operand::Text(text) => self.operator.holds((*self.key.text(listed)).cmp(text)),
            Operand::Property { name, value } => {
                let mut of_name = listed.stored.body.platform.iter().filter(|property| property.name == *name);
                of_name.any(|property| self.operator.holds(property.value.cmp(value)))
            }
            Operand::Time(time) => {
                let Value::Time(of) = self.key.value(listed, None) else { return false };
                match (of, time) {
                    (Some(of), Some(time)) => self.operator.holds(of.cmp(time)),
                    // What has no time is neither before nor after one, and differs from each.
                    (Some(_), None) | (None, Some(_)) => self.operator == Operator::NotEqual,
                    (None, None) => self.operator == Operator::Equal,
                }
            }
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(Self::ALL.iter().find(|(_, operator)| operator == self).expect("every operator has a sign").0)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {} ", self.key.name(), self.operator)?;
        match &self.operand {
            Operand::Number(number) if self.key == Key::Stage => {
                out.write_str(usize::try_from(*number).ok().and_then(|at| STAGES.get(at)).unwrap_or(&STAGES[0]))
            }
            Operand::Number(number) => write!(out, "{number}"),
            Operand::Text(text) => out.write_str(&quoted(text)),
            Operand::Property { name, value } => out.write_str(&quoted(&format!("{name}:{value}"))),
            Operand::Time(None) => out.write_str("\"\""),
            Operand::Time(Some(time)) => out.write_str(&show(*time)),
        }
    }
}
