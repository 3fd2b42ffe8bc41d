//! The services on a real connection, with the real storage and an engine in memory.

mod admin;
mod bots;
mod execute;
mod house;
mod introspection;
mod matching;
mod operations;
mod operators;
mod questions;
mod quotas;
mod restart;
mod sharing;
mod together;
