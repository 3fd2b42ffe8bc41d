//! Where the program is.

use std::path::PathBuf;

/// The program that is tested: what `BERTH_BIN` names, else the release build in the target folder of this test.
///
/// # Panics
/// If there is none. A test does not build it: Cargo may be holding the lock of the target folder for this very run.
pub fn berth() -> PathBuf {
    if let Some(named) = std::env::var_os("BERTH_BIN") {
        let named = PathBuf::from(named);
        assert!(named.is_file(), "BERTH_BIN names {}, and there is no such file", named.display());
        return named;
    }
    // TARGET/release/deps/it-0123abcd
    let test = std::env::current_exe().expect("a test knows its own path");
    let target = test.ancestors().nth(3).expect("a test lies three folders deep in the target folder");
    let built = target.join("release").join("berth");
    assert!(
        built.is_file(),
        "there is no {}: run `cargo build --release -p berth` first, or name a binary in BERTH_BIN",
        built.display()
    );
    built
}
