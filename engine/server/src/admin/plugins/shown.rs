//! Versions and sets of plugins as `berth plugin` shows them: tables for people, JSON for scripts.

use berth_proto::admin::{Fault, PluginVersion, PolicySet};
use serde_json::{Value, json};

use super::super::{ago, rfc3339, table};

pub(super) fn roles(set: &PolicySet, plugin: &str, active: bool) -> String {
    if !active {
        return "-".to_owned();
    }
    let mut roles: Vec<&str> = Vec::new();
    for role in set.chains.iter().flat_map(|chain| &chain.roles) {
        if role.plugins.iter().any(|name| name == plugin) && !roles.contains(&role.role.as_str()) {
            roles.push(&role.role);
        }
    }
    roles.join(", ")
}

pub(super) fn short(version: &PluginVersion) -> String {
    format!("{}@{}", version.name, digits(&version.digest))
}

/// As many digits of a version as people need; `--digest` takes them.
pub(super) fn digits(digest: &str) -> String {
    crate::plugins::versions::short(digest).into_owned()
}

/// What fits into a table of a text that may go on with a backtrace.
pub(super) fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

pub(super) fn print_set(set: &PolicySet, as_json: bool) {
    if as_json {
        outln!("{}", set_json(set));
        return;
    }
    outln!("set {} is active: {}", set.number, first_line(&set.why));
    for chain in &set.chains {
        outln!("instances {}", chain.instances);
        for role in &chain.roles {
            outln!("  {:14} {}", role.role, role.plugins.join(", "));
        }
    }
}

pub(super) fn print_version(version: &PluginVersion) {
    let list = |items: &[String]| if items.is_empty() { "-".to_owned() } else { items.join(", ") };
    let mut lines = vec![
        ("plugin", short(version)),
        ("state", version.state.clone()),
        (
            "from",
            match &version.loaded_at {
                Some(at) => format!("{}, {} ago", version.source, ago(Some(at))),
                None => "this comes with Berth".to_owned(),
            },
        ),
        ("contract", version.contract.clone()),
        ("exports", list(&version.exports)),
        ("imports", list(&version.imports)),
        ("grants", list(&version.grants)),
        (
            "size",
            format!(
                "{} bytes, {} instances, {} answers remembered",
                version.component_bytes, version.instances, version.memo_entries
            ),
        ),
        ("config", version.config_json.clone()),
    ];
    if !version.quarantine_reason.is_empty() {
        lines.push(("quarantine", version.quarantine_reason.clone()));
    }
    if let Some(fault) = version.recent_faults.last() {
        let Fault { at, function, kind, details } = fault;
        lines.push(("last fault", format!("{kind} in {function}, {} ago: {details}", ago(at.as_ref()))));
    }
    if version.feed_end > 0 {
        lines.push((
            "feed",
            format!("read to {} of {}, keeps {} bytes", version.feed_cursor, version.feed_end, version.kv_bytes),
        ));
    }
    if !version.feed_problem.is_empty() {
        lines.push(("feed problem", version.feed_problem.clone()));
    }
    for (label, value) in lines {
        outln!("{label:12} {value}");
    }
    let micros = |time: Option<prost_types::Duration>| {
        time.map_or("-".to_owned(), |time| format!("{:.1} µs", time.seconds as f64 * 1e6 + f64::from(time.nanos) / 1e3))
    };
    let row = |function: &berth_proto::admin::FunctionStats| {
        let faults: Vec<_> = function.faults.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        vec![
            function.function.clone(),
            function.questions.to_string(),
            function.memo_hits.to_string(),
            function.calls.to_string(),
            micros(function.p50),
            micros(function.p99),
            if faults.is_empty() { "0".to_owned() } else { faults.join(", ") },
        ]
    };
    if !version.functions.is_empty() {
        let header = ["FUNCTION", "QUESTIONS", "REMEMBERED", "CALLS", "P50", "P99", "FAULTS"];
        table::print(&header, version.functions.iter().map(row).collect());
    }
}

pub(super) fn version_json(version: &PluginVersion) -> Value {
    let nanos =
        |time: Option<prost_types::Duration>| time.map(|time| time.seconds * 1_000_000_000 + i64::from(time.nanos));
    let functions = version.functions.iter().map(|function| {
        json!({ "function": function.function, "questions": function.questions, "memo_hits": function.memo_hits,
                "calls": function.calls, "faults": function.faults, "p50_ns": nanos(function.p50), "p99_ns": nanos(function.p99) })
    });
    let faults = version.recent_faults.iter().map(|fault| {
        json!({ "at": rfc3339(fault.at.as_ref()), "function": fault.function, "kind": fault.kind, "details": fault.details })
    });
    json!({
        "name": version.name, "digest": version.digest, "source": version.source, "state": version.state,
        "contract": version.contract, "exports": version.exports, "imports": version.imports, "grants": version.grants,
        "component_bytes": version.component_bytes, "load_ns": nanos(version.load_time), "precompiled": version.precompiled,
        "loaded_at": rfc3339(version.loaded_at.as_ref()),
        "config": serde_json::from_str::<Value>(&version.config_json).unwrap_or(Value::Null),
        "on_fault": version.on_fault, "functions": functions.collect::<Vec<_>>(), "instances": version.instances,
        "memo_entries": version.memo_entries, "quarantine_reason": version.quarantine_reason,
        "feed_cursor": version.feed_cursor, "feed_end": version.feed_end, "kv_bytes": version.kv_bytes,
        "feed_problem": version.feed_problem, "recent_faults": faults.collect::<Vec<_>>(),
    })
}

pub(super) fn set_json(set: &PolicySet) -> Value {
    let chains = set.chains.iter().map(|chain| {
        let roles: serde_json::Map<_, _> =
            chain.roles.iter().map(|role| (role.role.clone(), json!(role.plugins))).collect();
        json!({ "instances": chain.instances, "roles": roles })
    });
    let plugins: serde_json::Map<_, _> =
        set.plugins.iter().map(|plugin| (plugin.name.clone(), json!(plugin.digest))).collect();
    json!({ "number": set.number, "activated_at": rfc3339(set.activated_at.as_ref()), "why": set.why, "active": set.active,
            "plugins": plugins, "chains": chains.collect::<Vec<_>>() })
}
