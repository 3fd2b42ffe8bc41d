//! `berth plugin new`: a policy crate that compiles and passes its own test. The SDK comes along, so that an author needs
//! neither Berth's sources nor a registry that has it.

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context, bail, ensure};

use crate::{
    cli::plugin::{Kind, NewArgs},
    plugins::settings,
};

/// The SDK, its cases and the contract: path below `vendor/`, and the text. Collected by `build.rs`.
const VENDOR: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/vendor.rs"));

/// What differs between kinds: the purpose, the policy, its cases, and the schema of its configuration.
struct Template {
    purpose: &'static str,
    policy: &'static str,
    cases: &'static str,
    schema: &'static str,
}

macro_rules! template {
    ($name:literal, $purpose:literal) => {
        Template {
            purpose: $purpose,
            policy: include_str!(concat!("templates/", $name, ".rs.txt")),
            cases: include_str!(concat!("templates/", $name, ".toml.txt")),
            schema: include_str!(concat!("templates/", $name, ".json.txt")),
        }
    };
}

fn template(kind: Kind) -> Template {
    match kind {
        Kind::Properties => template!("properties", "what a job requires, and what a bot offers."),
        Kind::Matching => template!("matching", "how well a job and a bot fit."),
        Kind::Priority => template!("priority", "who goes first."),
        Kind::Choosing => template!("choosing", "which lane a bot serves."),
        Kind::Admission => template!("admission", "who may come in."),
        Kind::Retry => template!("retry", "what happens after an attempt that failed."),
        Kind::Prune => template!("prune", "which finished jobs are kept longer."),
        Kind::Events => template!("events", "what happened, with counts that survive every crash."),
    }
}

pub(super) fn run(args: &NewArgs) -> anyhow::Result<ExitCode> {
    let name = &args.name;
    let letter = name.starts_with(|first: char| first.is_ascii_lowercase());
    if !settings::is_plugin_name(name) || !letter {
        bail!("{name:?} cannot be the name of a policy: {}, and a letter first", settings::NAME_EXPECTED);
    }
    let folder = args.dir.join(name);
    ensure!(!folder.exists(), "{} exists already: choose another name, or another folder with --dir", folder.display());
    let template = template(args.kind);
    let fill = |text: &str| text.replace("{{name}}", name).replace("{{purpose}}", template.purpose);
    write(&folder, "Cargo.toml", &fill(include_str!("templates/Cargo.toml.txt")))?;
    write(&folder, "README.md", &fill(include_str!("templates/README.md.txt")))?;
    write(&folder, ".gitignore", "/target\n/*.wasm\n")?;
    write(&folder, "cases.toml", template.cases)?;
    write(&folder, "config.schema.json", template.schema)?;
    write(&folder, "src/lib.rs", &fill(template.policy))?;
    for (path, text) in VENDOR {
        write(&folder.join("vendor"), path, text)?;
    }
    outln!("{} is a policy that answers {}", folder.display(), template.purpose.trim_end_matches('.'));
    outln!("next: cd {} && cargo test && berth plugin build && berth plugin test {name}.wasm", folder.display());
    Ok(ExitCode::SUCCESS)
}

fn write(folder: &Path, path: &str, text: &str) -> anyhow::Result<()> {
    let file = folder.join(path);
    let parent = file.parent().expect("a file is in a folder");
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn a_new_policy_has_everything_that_it_needs_and_no_blanks() {
        for kind in Kind::value_variants() {
            let dir = tempfile::tempdir().unwrap();
            let args = NewArgs { name: "my-policy".into(), kind: *kind, dir: dir.path().to_owned() };
            run(&args).unwrap();
            let read = |path: &str| fs::read_to_string(dir.path().join("my-policy").join(path)).unwrap();
            for path in ["Cargo.toml", "README.md", "src/lib.rs", "cases.toml", "config.schema.json"] {
                assert!(!read(path).contains("{{"), "{kind:?}: {path}");
            }
            let cases = berth_policy_cases::read(&read("cases.toml")).unwrap();
            assert!(!cases.is_empty());
            serde_json::from_str::<serde_json::Value>(&read("config.schema.json")).unwrap();
            assert!(read("vendor/plugins/sdk/src/lib.rs").contains("export_policy!"));
            assert!(read("vendor/wit/berth-policy-1.0.0/package.wit").contains("package berth:policy@1.0.0"));
            let error = super::run(&args).unwrap_err().to_string();
            assert!(error.contains("exists already"), "{error}");
        }
        let args = NewArgs { name: "7up".into(), kind: Kind::Retry, dir: "x".into() };
        assert!(run(&args).unwrap_err().to_string().contains("a letter first"));
    }
}
