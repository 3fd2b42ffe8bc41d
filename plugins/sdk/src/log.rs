//! Messages for the operator: [`info!`](crate::info) and its like, or [`write()`].

#[cfg(target_arch = "wasm32")]
use crate::bindings::imports::berth::policy::log as host;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::host::log as host;

pub use crate::bindings::imports::berth::policy::log::Level;

/// Writes one message. Of one call Berth keeps the first 16, and of each the first 4096 bytes.
pub fn write(level: Level, text: &str) {
    host::write(level, text);
}

/// Writes a message of the level trace, made like that of `format!`.
#[macro_export]
macro_rules! trace {
    ($($format:tt)+) => { $crate::log::write($crate::log::Level::Trace, &::std::format!($($format)+)) };
}

/// Writes a message of the level debug, made like that of `format!`.
#[macro_export]
macro_rules! debug {
    ($($format:tt)+) => { $crate::log::write($crate::log::Level::Debug, &::std::format!($($format)+)) };
}

/// Writes a message of the level info, made like that of `format!`.
#[macro_export]
macro_rules! info {
    ($($format:tt)+) => { $crate::log::write($crate::log::Level::Info, &::std::format!($($format)+)) };
}

/// Writes a message of the level warn, made like that of `format!`.
#[macro_export]
macro_rules! warn {
    ($($format:tt)+) => { $crate::log::write($crate::log::Level::Warn, &::std::format!($($format)+)) };
}

/// Writes a message of the level error, made like that of `format!`.
#[macro_export]
macro_rules! error {
    ($($format:tt)+) => { $crate::log::write($crate::log::Level::Error, &::std::format!($($format)+)) };
}
