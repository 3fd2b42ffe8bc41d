//! What several bundled policies do with names: patterns over them, names short enough for Berth, and answers that are
//! worked out once for each text of a batch.
//!
//! Not a policy. Pure, no host.

mod memo;
mod pattern;
mod short;
mod word;

pub use memo::PerText;
pub use pattern::Pattern;
pub use short::{escaped, shortened};
pub use word::{shown, unfit, word};
