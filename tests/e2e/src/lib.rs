//! The real `berth` program under test: a site where it is started, killed and started again, and short ways to be
//! its client and its bot.
//!
//! For tests that need a process, a disk or a socket. What can be shown in one process is tested beside its crate,
//! and by the simulation. `site` runs the program, `client` and `bot` speak to it, `power` makes a power cut of a
//! kill, `wait` holds the deadlines. The tests are in `tests/it`.

mod binary;
mod bot;
mod client;
mod guest;
mod power;
mod site;
mod wait;

pub use binary::berth;
pub use bot::{Bot, complete, salt, succeed};
pub use client::{Client, INSTANCE, Job, code, digest, last, response, stage, stdout, violations};
pub use guest::component;
pub use power::{Cut, Power};
pub use site::{Output, Plan, Site};
pub use wait::{LONG, say, within};
