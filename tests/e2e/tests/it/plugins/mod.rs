//! The life of a plugin, with the real program: its commands, its configuration file, its store.

mod authors;
mod cycle;
mod faults;
mod file;
mod near;
mod once;
mod refusals;
mod swap;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use berth_e2e::Site;
use serde_json::Value;

/// The component of a crate in `plugins/`, in a file that carries its name.
pub(crate) fn component(package: &'static str) -> PathBuf {
    berth_e2e::component(package, env!("CARGO_TARGET_TMPDIR"))
}

/// A path as an argument.
pub(crate) fn arg(path: &Path) -> &str {
    path.to_str().expect("the path is UTF-8")
}

/// Runs `berth plugin ... --json` and reads what it prints.
pub(crate) async fn plugin(site: &Site, arguments: &[&str]) -> Value {
    let mut all = vec!["plugin"];
    all.extend(arguments);
    all.push("--json");
    site.ask(&all).await.json()
}

/// Runs `berth plugin ...`, which must fail, and answers what it says.
async fn refused(site: &Site, arguments: &[&str]) -> String {
    let mut all = vec!["plugin"];
    all.extend(arguments);
    let output = site.ask(&all).await;
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{output:?}");
    output.stderr
}

/// The state of each version of a plugin, by digest.
async fn states(site: &Site, name: &str) -> BTreeMap<String, String> {
    let listed = plugin(site, &["list"]).await;
    let versions = listed["versions"].as_array().expect("a list");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let own = versions.iter().filter(|version| version["name"] == name);
    own.map(|version| (text(&version["digest"]), text(&version["state"]))).collect()
}

/// The state of the only version of a plugin.
async fn state(site: &Site, name: &str) -> String {
    let states = states(site, name).await;
    assert_eq!(states.len(), 1, "{states:?}");
    states.into_values().next().expect("there is one")
}

/// Who has a role in the active set, for all instances.
pub(crate) async fn who(site: &Site, role: &str) -> Vec<String> {
    let listed = plugin(site, &["list"]).await;
    let chains = listed["active"]["chains"].as_array().expect("a list");
    let everywhere = chains.iter().find(|chain| chain["instances"] == "*").expect("a chain for all");
    let names = everywhere["roles"][role].as_array().cloned().unwrap_or_default();
    names.iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
}
