//! What must hold. A violation ends the run: it is a bug in the engine, or in the rule as it is stated here.

use std::fmt;

/// A rule that was broken.
#[derive(Clone, Debug)]
pub(crate) struct Violation(pub(crate) String);

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// What checks answer.
pub(crate) type Checked<T = ()> = Result<T, Violation>;

/// Claims a rule.
macro_rules! rule {
    ($holds:expr, $($message:tt)+) => {
        if !$holds {
            return Err($crate::judge::Violation(format!($($message)+)));
        }
    };
}

pub(crate) use rule;
