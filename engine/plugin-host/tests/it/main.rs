//! The host with real components: the bundled policies, and guests that misbehave.

mod answers;
mod bundled;
mod choosing;
mod compiled;
mod composition;
mod events;
mod examples;
mod faults;
mod fits;
mod guests;
mod hostile;
mod imports;
mod lanes;
mod loading;
mod memo;
mod misdeeds;
mod observing;
mod questions;
