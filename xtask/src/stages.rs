//! The table of what `cargo xtask test` runs, in this order. To add a stage, add an entry.

use std::process::Command;

use crate::cargo::{at_root, cargo, root, simulation, target_dir};

pub(crate) struct Stage {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// Run one after the other, all of them. One that states no counts is one test.
    pub(crate) commands: fn() -> Vec<Command>,
}

pub(crate) const STAGES: &[Stage] = &[
    Stage {
        name: "fmt",
        about: "formatting of engine and plugins",
        commands: || vec![cargo_of(&["fmt", "--all", "--check"]), plugins(&["fmt", "--all", "--check"])],
    },
    Stage {
        name: "clippy",
        about: "lints of engine and plugins; a warning is an error",
        commands: || {
            vec![
                cargo_of(&["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"]),
                plugins(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
            ]
        },
    },
    Stage {
        name: "cargo",
        about: "unit, property, integration and crash tests",
        commands: || {
            vec![
                cargo_of(&["build", "--release", "--package", "berth"]),
                cargo_of(&["test", "--release", "--workspace", "--no-fail-fast"]),
            ]
        },
    },
    Stage {
        name: "plugins",
        about: "tests of the bundled policies, compiled for this machine",
        commands: || vec![plugins(&["test", "--workspace", "--no-fail-fast"])],
    },
    Stage {
        name: "examples",
        about: "policies in C, Python and JavaScript: built into components, loaded and asked",
        commands: || vec![cargo_of(&["xtask", "examples"])],
    },
    Stage {
        name: "fuzz",
        about: "a minute of changed components into the plugin host, and of arbitrary answers through it",
        commands: || {
            let bench = ["bench", "--package", "berth-plugin-host", "--bench", "fuzz", "--", "--seconds", "60"];
            vec![cargo_of(&bench)]
        },
    },
    Stage {
        name: "sim",
        about: "simulation: seeds of past bugs, mutants that must be caught, a minute of fresh seeds",
        commands: || {
            vec![simulation(["--seeds", "tests/sim/seeds.txt"]), simulation(["--mutants"]), simulation(["--minute"])]
        },
    },
    Stage {
        name: "work",
        about: "the work book against its model: mutants that must be caught, half a minute of fresh seeds",
        commands: || vec![simulation(["--work", "--mutants"]), simulation(["--work"])],
    },
    Stage {
        name: "clients",
        about: "Bazel, bgd and Coordinate's client against the real binary, with two kinds of bots",
        commands: || {
            let mut clients = at_root(root().join("tests/clients/run.sh"));
            clients.arg(target_dir().join("release/berth"));
            vec![cargo_of(&["build", "--release", "--package", "berth"]), clients]
        },
    },
];

fn cargo_of(arguments: &[&str]) -> Command {
    let mut command = cargo();
    command.args(arguments);
    command
}

/// The guests are a workspace of their own: for wasm32, with another profile. Their tests run natively.
pub(crate) fn plugins(arguments: &[&str]) -> Command {
    let mut command = cargo();
    command.args(&arguments[..1]).args(["--manifest-path", "plugins/Cargo.toml"]).args(&arguments[1..]);
    command
}
