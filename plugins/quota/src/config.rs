//! Limits for everybody, and others for some.

use berth_policy_names::Pattern;
use serde::Deserialize;

/// What is counted. A scope that is not there is not counted.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Each tenant of each instance.
    pub(crate) tenant: Option<Scope>,
    /// Each instance.
    pub(crate) instance: Option<Scope>,
    /// Each label of each instance.
    pub(crate) label: Option<Scope>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "RawScope")]
pub(crate) struct Scope {
    default: Numbers,
    overrides: Vec<(Pattern, Pattern, Numbers)>,
}

/// The numbers of one counter. In an override, what is not given is that of the default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Numbers {
    pub(crate) max_running: Option<u32>,
    pub(crate) max_queued: Option<u32>,
    pub(crate) min_running: Option<u32>,
    pub(crate) evict_after_ms: Option<u32>,
    pub(crate) cool_down_ms: Option<u32>,
}

/// What the contract says of `evict-after-ms`.
const EVICT_AFTER_MS_MIN: u32 = 1000;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawScope {
    max_running: Option<u32>,
    max_queued: Option<u32>,
    min_running: Option<u32>,
    evict_after_ms: Option<u32>,
    cool_down_ms: Option<u32>,
    #[serde(default, rename = "override")]
    overrides: Vec<RawOverride>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawOverride {
    #[serde(default)]
    name: Pattern,
    #[serde(default)]
    instance: Pattern,
    max_running: Option<u32>,
    max_queued: Option<u32>,
    min_running: Option<u32>,
    evict_after_ms: Option<u32>,
    cool_down_ms: Option<u32>,
}

impl TryFrom<RawScope> for Scope {
    type Error = String;

    fn try_from(raw: RawScope) -> Result<Self, String> {
        let RawScope { max_running, max_queued, min_running, evict_after_ms, cool_down_ms, overrides } = raw;
        let default = Numbers { max_running, max_queued, min_running, evict_after_ms, cool_down_ms };
        default.check("the default")?;
        let read = |raw: RawOverride| {
            let numbers = Numbers {
                max_running: raw.max_running.or(max_running),
                max_queued: raw.max_queued.or(max_queued),
                min_running: raw.min_running.or(min_running),
                evict_after_ms: raw.evict_after_ms.or(evict_after_ms),
                cool_down_ms: raw.cool_down_ms.or(cool_down_ms),
            };
            numbers.check(&format!("the override for {:?}", raw.name))?;
            Ok((raw.name, raw.instance, numbers))
        };
        Ok(Self { default, overrides: overrides.into_iter().map(read).collect::<Result<_, String>>()? })
    }
}

impl Numbers {
    fn check(self, of: &str) -> Result<(), String> {
        match (self.min_running, self.max_running) {
            (Some(min), Some(max)) if min > max => {
                Err(format!("{of} has min-running {min}, which is more than max-running {max}"))
            }
            _ => match self.evict_after_ms.filter(|ms| *ms < EVICT_AFTER_MS_MIN) {
                Some(ms) => Err(format!("{of} has evict-after-ms {ms}; {EVICT_AFTER_MS_MIN} or more are allowed")),
                None => Ok(()),
            },
        }
    }
}

impl Scope {
    /// The numbers of a name in an instance: those of the first override that fits, or the default.
    pub(crate) fn numbers(&self, name: &str, instance: &str) -> Numbers {
        let fits = |one: &&(Pattern, Pattern, Numbers)| one.0.matches(name) && one.1.matches(instance);
        self.overrides.iter().find(fits).map_or(self.default, |(_, _, numbers)| *numbers)
    }
}
