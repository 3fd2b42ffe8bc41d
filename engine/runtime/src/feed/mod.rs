//! Who hears the event feed, and what is kept of that: events from records, consumers with their cursors and tables,
//! and the engine's own statistics.
//!
//! [`reader`] turns stored records into events, [`Follower`] is one consumer's body (synchronous and deterministic:
//! the real loop and the simulation run this same code), [`Listeners`] are the loops on the real engine, and [`stats`]
//! is a consumer of our own. Not for rules: what happened has happened.

mod figures;
mod follower;
mod learn;
mod listeners;
mod lookup;
pub mod reader;
mod rows;
mod source;
pub mod stats;
mod status;

pub use self::{
    follower::{Begin, Follower, OnFault, Pending, Turn},
    listeners::{ListenOptions, Listeners},
    rows::shadow_name,
    status::{ListenerState, ListenerStatus},
};
