//! `berth config`.

use std::process::ExitCode;

use super::{Config, Raw, buildgrid};
use crate::{
    cli::{ConfigArgs, ConfigCommand, ServeArgs},
    policy,
};

pub(crate) fn run(args: ConfigArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        ConfigCommand::Check { file, json: false } => {
            rehearse(Raw::read(&file)?)?;
            outln!("{} is fine", file.display());
            Ok(ExitCode::SUCCESS)
        }
        ConfigCommand::Check { file, json: true } => {
            let (problems, error) = match Raw::read(&file) {
                Ok(raw) => match raw.problems() {
                    problems if problems.is_empty() => (problems, rehearse(raw).err()),
                    problems => (problems, None),
                },
                Err(error) => (Vec::new(), Some(error)),
            };
            let fine = problems.is_empty() && error.is_none();
            let error = error.map(|error| format!("{error:#}"));
            outln!("{}", serde_json::json!({ "ok": fine, "problems": problems, "error": error }));
            Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        ConfigCommand::ImportBuildgrid(args) => buildgrid::run(args),
        ConfigCommand::Show { file } => {
            let raw = match file {
                Some(file) => Raw::read(&file)?,
                None => Raw::default(),
            };
            print!("{}", toml::to_string_pretty(&raw)?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn rehearse(raw: Raw) -> anyhow::Result<()> {
    policy::rehearse(&Config::merge(raw, &ServeArgs::default())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong_with(text: &str) -> String {
        let text = format!("[server]\ndata = \"d\"\n{text}");
        format!("{:#}", rehearse(Raw::parse(&text).unwrap()).expect_err("it should not be fine"))
    }

    #[test]
    fn what_the_file_says_of_plugins_is_tried_out() {
        let unknown_key = wrong_with("[plugins.quota]\nconfig = { tenant = { max-runnin = 5 } }\n");
        assert!(unknown_key.contains("plugins.quota") && unknown_key.contains("max-runnin"), "{unknown_key}");
        let no_export = wrong_with("[policy.instances.\"*\"]\nchoose = \"quota\"\n");
        assert!(no_export.contains("quota") && no_export.contains("choosing"), "{no_export}");
        let no_file = wrong_with("[plugins.mine]\nfile = \"/nowhere/mine.wasm\"\n");
        assert!(no_file.contains("plugins.mine") && no_file.contains("/nowhere/mine.wasm"), "{no_file}");
    }
}
