//! The message of a panic, for the operator. Without this it is lost: a guest has no stderr.

use std::sync::Once;

use crate::log::{Level, write};

/// Sends the messages of panics to Berth's log from now on. Each export calls it; cheap after the first time.
pub(crate) fn log_panics() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| std::panic::set_hook(Box::new(|panic| write(Level::Error, &panic.to_string()))));
}
