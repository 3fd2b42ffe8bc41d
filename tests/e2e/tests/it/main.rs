//! What only the real program can show.

mod coordinate;
mod crash;
mod execution;
mod moving;
mod operations;
mod operators;
mod plugins;
mod restart;
mod start;
mod together;
