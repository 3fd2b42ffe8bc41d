//! Deadlines, and the voice of long tests.

use std::{future::Future, io::Write, time::Duration};

/// Longer than any wait of a test that works, on the slowest machine; what takes longer has failed.
pub const LONG: Duration = Duration::from_secs(60);

/// Awaits what must come.
///
/// # Panics
/// If it does not come within [`LONG`]; names `what`.
pub async fn within<R>(what: &str, coming: impl Future<Output = R>) -> R {
    match tokio::time::timeout(LONG, coming).await {
        Ok(came) => came,
        Err(_) => panic!("not within {} s: {what}", LONG.as_secs()),
    }
}

/// Says something on standard error at once: the runner would keep `eprintln!` to itself while a test passes, but
/// seeds and counts are worth reading then, too.
pub fn say(text: &str) {
    // Nobody listens: nothing to be done about it.
    let _ = writeln!(std::io::stderr(), "{text}");
}
