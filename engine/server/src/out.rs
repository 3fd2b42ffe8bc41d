//! Standard output of commands. Whoever reads may have seen enough, as in `berth jobs list | head`: then the command is
//! over, and that is no error.

use std::{fmt, io::Write, process};

/// Prints a line, as `println!` does.
macro_rules! outln {
    ($($text:tt)*) => { $crate::out::line(format_args!($($text)*)) };
}

/// # Panics
/// If what is printed cannot be written for another reason than that nobody reads it.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    if let Err(error) = writeln!(std::io::stdout(), "{text}") {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            process::exit(0);
        }
        panic!("cannot write to standard output: {error}");
    }
}
