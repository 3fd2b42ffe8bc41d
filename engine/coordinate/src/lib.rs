//! Coordinate's job server, as its own clients know it: CBOR-RPC on TCP. And the same as gRPC, in `grpc`.
//!
//! This crate is a door. It reads requests, has the work book do what they ask for, and writes replies; the rules are
//! the book's (`berth_core::work`). `frame.rs`, `envelope.rs` and `turn.rs` follow a request from the connection to its
//! method, `methods` has a function for each method, and `cbor` is all that is known of the encoding.
//!
//! What clients rely on: replies come in the order of the requests, each in one piece; a bad value is answered with an
//! error and costs no connection; a connection may be silent for as long as it likes; what a client stores comes back
//! byte for byte.

mod cbor;
mod config;
mod connection;
mod envelope;
mod figures;
mod frame;
mod grpc;
mod import;
mod methods;
mod python;
mod refusal;
mod turn;

pub use self::{
    config::{Config, TakesWork},
    connection::Door,
    figures::{Figures, MethodFigures},
    grpc::WorkService,
    import::{ImportError, Imported, Progress, import_from_server, import_snapshot},
    methods::Chaining,
};
