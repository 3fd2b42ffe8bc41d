//! The door over a real connection: bytes, every method and option, the defects of the servers that it replaces, and
//! clients that mean no good.

mod defects;
mod hostile;
mod import;
mod notation;
mod parity;
mod peer;
mod pipelining;
mod resent;
mod settings;
mod transcript;
mod vectors;
