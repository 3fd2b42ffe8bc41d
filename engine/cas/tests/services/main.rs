//! The services over a real connection: one server in this process, one client on loopback.

mod actions;
mod batches;
mod byte_stream;
mod eviction;
mod external;
mod fixture;
mod restart;
mod trees;
