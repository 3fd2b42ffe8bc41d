//! One seed from its beginning to its end, or to the first rule that breaks.

use std::{
    cell::RefCell,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

use crate::world::{Broken, World};

/// What a run was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// How many steps were done.
    pub steps: u64,
    /// How often the server died.
    pub crashes: u64,
    /// Of everything that was written, with its time: the same seed gives the same.
    pub hash: u64,
    /// The rule that broke, if one did.
    pub failure: Option<String>,
}

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs a seed for so many steps, then lets everything come to its end.
pub fn run(seed: u64, steps: u64, trace: bool) -> Report {
    run_broken(seed, steps, trace, Broken::default())
}

pub(crate) fn run_broken(seed: u64, steps: u64, trace: bool, broken: Broken) -> Report {
    catch_quietly();
    let mut report = Report { seed, steps: 0, crashes: 0, hash: 0, failure: None };
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(seed, trace, broken)?;
        let mut outcome = Ok(());
        while outcome.is_ok() && report.steps < steps {
            report.steps += 1;
            outcome = world.step();
            (report.crashes, report.hash) = (world.crashes, world.hash);
        }
        outcome?;
        world.settle()?;
        report.hash = world.hash;
        Ok::<_, crate::judge::Violation>(())
    }));
    report.failure = match outcome {
        Ok(outcome) => outcome.err().map(|violation| violation.0),
        // A bug panics with its claim: that is a finding like any other.
        Err(_) => PANIC.with(|panic| panic.borrow_mut().take()).or_else(|| Some("a panic without words".into())),
    };
    report
}

/// Keeps what a panic says for the report, instead of printing it.
fn catch_quietly() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        panic::set_hook(Box::new(|info| {
            PANIC.with(|panic| *panic.borrow_mut() = Some(info.to_string().replace('\n', " ")));
        }));
    });
}
