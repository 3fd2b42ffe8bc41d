//! The services on a real connection, with the real storage and an engine in memory.

mod admin;
mod bots;
mod execute;
mod house;
mod matching;
mod operations;
mod questions;
mod quotas;
mod restart;
mod together;
