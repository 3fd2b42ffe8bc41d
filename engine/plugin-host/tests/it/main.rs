//! The host with real components: the bundled policies, and guests that misbehave.

mod bundled;
mod composition;
mod faults;
mod guests;
mod loading;
mod memo;
mod questions;
