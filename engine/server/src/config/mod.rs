//! Configuration: one TOML file, every key with a default. `raw` is what the file says, `Config` what holds.

pub(crate) mod buildgrid;
pub(crate) mod command;
mod raw;
mod scheduling;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, bail};

pub(crate) use self::raw::{Locks, PolicyKind, Raw, WorkChoice};
use crate::cli::{Door, ServeArgs};

/// What holds: file and flags merged, every value checked.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) data: PathBuf,
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    /// None: Coordinate's clients are not served.
    pub(crate) coordinate: Option<SocketAddr>,
    pub(crate) instances: Vec<String>,
    pub(crate) bots: usize,
    pub(crate) raw: Raw,
}

impl Config {
    /// Reads the file, if one is named, and lets the flags win.
    pub(crate) fn load(args: &ServeArgs) -> anyhow::Result<Self> {
        let raw = match &args.config {
            Some(file) => Raw::read(file)?,
            None => Raw::default(),
        };
        Self::merge(raw, args)
    }

    pub(crate) fn merge(raw: Raw, args: &ServeArgs) -> anyhow::Result<Self> {
        let problems = raw.problems();
        if !problems.is_empty() {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            bail!("the configuration cannot be used:\n  {}", lines.join("\n  "));
        }
        let mut instances = if args.instance.is_empty() { raw.server.instances.clone() } else { args.instance.clone() };
        instances.sort();
        instances.dedup();
        if let Some(bad) = instances.iter().find(|name| !raw::is_served_name(name)) {
            bail!("--instance {bad:?}: {}", raw::INSTANCE_EXPECTED);
        }
        let data = match args.data.clone().or_else(|| raw.server.data.clone()) {
            Some(data) => data,
            None => default_data_dir()?,
        };
        Ok(Self {
            data,
            grpc: args.grpc.unwrap_or(raw.server.grpc),
            http: args.http.unwrap_or(raw.server.http),
            coordinate: match args.coordinate {
                Some(Door::At(address)) => Some(address),
                Some(Door::Off) => None,
                None => raw.coordinate.enabled.then_some(raw.coordinate.listen),
            },
            instances,
            bots: args.bots.unwrap_or(raw.bots.count),
            raw,
        })
    }

    pub(crate) fn settings(&self) -> berth_core::Settings {
        berth_core::Settings {
            session_timeout: Duration::from_secs(self.raw.scheduler.session_timeout_s),
            attempts_max: self.raw.scheduler.attempts_max,
            failures_max: self.raw.scheduler.failures_max,
            ask_command_failed: self.raw.scheduler.ask_command_failed,
            pools: scheduling::pools(&self.raw.scheduler),
            ..berth_core::Settings::default()
        }
    }

    pub(crate) fn retention(&self) -> berth_runtime::sweep::Retention {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        berth_runtime::sweep::Retention {
            finished: hours(self.raw.store.finished_h),
            feed: hours(self.raw.store.feed_h),
            feed_bytes_max: self.raw.store.feed_bytes_max,
        }
    }
}

fn default_data_dir() -> anyhow::Result<PathBuf> {
    let base = match std::env::var_os("XDG_DATA_HOME").filter(|dir| !dir.is_empty()) {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(std::env::var_os("HOME").context("HOME is not set: name a folder with --data DIR")?)
            .join(".local/share"),
    };
    Ok(base.join("berth"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merge(text: &str, args: &ServeArgs) -> anyhow::Result<Config> {
        Config::merge(Raw::parse(text)?, args)
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let args = ServeArgs { instance: vec!["flag".into()], data: Some("d".into()), ..ServeArgs::default() };
        let config = merge("[server]\ninstances = [\"file\"]\ngrpc = \"127.0.0.1:1\"\n", &args).unwrap();
        assert_eq!(config.instances, ["flag"]);
        assert_eq!(config.grpc.port(), 1);
        assert_eq!(config.http.port(), 8981);
        assert_eq!(config.coordinate.unwrap().port(), 5932);
    }

    #[test]
    fn coordinate_can_be_turned_off_and_moved() {
        let args = |coordinate| ServeArgs { coordinate, data: Some("d".into()), ..ServeArgs::default() };
        let port = |text, flag| merge(text, &args(flag)).unwrap().coordinate.map(|address| address.port());
        let at = Door::At("127.0.0.1:7".parse().unwrap());
        assert_eq!(port("[coordinate]\nlisten = \"127.0.0.1:6\"\n", None), Some(6));
        assert_eq!(port("[coordinate]\nenabled = false\n", None), None);
        assert_eq!(port("[coordinate]\nenabled = false\n", Some(at)), Some(7));
        assert_eq!(port("", Some(Door::Off)), None);
    }

    #[test]
    fn a_bad_value_is_named_with_its_key_and_what_would_be_accepted() {
        let error = merge("[scheduler]\nattempts_max = 0\n", &ServeArgs::default()).unwrap_err().to_string();
        assert!(error.contains("scheduler.attempts_max"), "{error}");
        assert!(error.contains("0"), "{error}");
        assert!(error.contains("from 1"), "{error}");
    }

    #[test]
    fn a_label_in_two_cohorts_is_refused_with_both() {
        let text = "[[scheduler.cohorts]]\nname = \"a\"\nlabels = [\"x\"]\n\
                    [[scheduler.cohorts]]\nname = \"b\"\nlabels = [\"x\"]\n";
        let error = merge(text, &ServeArgs::default()).unwrap_err().to_string();
        assert!(error.contains("scheduler.cohorts") && error.contains("in the cohorts \"a\" and \"b\""), "{error}");
    }

    #[test]
    fn an_unknown_key_is_named_with_the_known_ones() {
        let error = format!("{:#}", Raw::parse("[store]\nreserve = 1\n").unwrap_err());
        assert!(error.contains("reserve") && error.contains("reserve_bytes"), "{error}");
    }

    #[test]
    fn every_key_is_explained() {
        let pages =
            concat!(include_str!("../../../../docs/operating.md"), include_str!("../../../../docs/coordinate.md"));
        for (section, keys) in toml::Table::try_from(Raw::default()).unwrap() {
            for key in keys.as_table().unwrap().keys() {
                assert!(pages.contains(&format!("\n| `{key}` |")), "no row of docs explains {section}.{key}");
            }
        }
    }
}
