//! `berth config`.

use std::process::ExitCode;

use super::{Config, Raw};
use crate::cli::{ConfigArgs, ConfigCommand, ServeArgs};

pub(crate) fn run(args: ConfigArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        ConfigCommand::Check { file, json: false } => {
            Config::merge(Raw::read(&file)?, &ServeArgs::default())?;
            println!("{} is fine", file.display());
            Ok(ExitCode::SUCCESS)
        }
        ConfigCommand::Check { file, json: true } => {
            let (problems, error) = match Raw::read(&file) {
                Ok(raw) => (raw.problems(), None),
                Err(error) => (Vec::new(), Some(format!("{error:#}"))),
            };
            let fine = problems.is_empty() && error.is_none();
            println!("{}", serde_json::json!({ "ok": fine, "problems": problems, "error": error }));
            Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
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
