//! What the server itself can tell: `get_config`, `now`.

use super::{Call, here, pair};
use crate::{config::Config, envelope::Args, refusal::Refusal};

/// `get_config()`. Result: the pair of the table that the operator wrote for clients and nothing.
pub(super) fn get_config(_: Args<'_>, config: &Config) -> Result<Call, Refusal> {
    let Some(table) = config.global_config.clone() else {
        return Err(Refusal::new("no config to get: the server has no table coordinate.global_config"));
    };
    Ok(here(move |_, out| pair(out, |out| _ = out.raw(&table))))
}

/// `now()`. Result: the server's time, in whole seconds since the epoch.
pub(super) fn now(_: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    Ok(here(|micros, out| _ = out.uint(micros / 1_000_000)))
}
