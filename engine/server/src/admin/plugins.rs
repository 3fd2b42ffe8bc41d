//! `berth plugin`: the commands that ask a running server.

mod shown;

use std::process::ExitCode;

use anyhow::{Context, bail};
use berth_proto::admin::{
    ActivateRequest, DiffRequest, Differing, ListKeysRequest, ListPluginsRequest, ListSetsRequest, LoadRequest,
    ObserveRequest, PluginSettings, PluginVersion, PolicySet, QuarantineRequest, RollbackRequest, ShowPluginRequest,
    UnloadRequest, load_request::Part, plugins_client::PluginsClient,
};
use serde_json::{Value, json};
use tonic::transport::Channel;

use self::shown::{digits, first_line, print_set, print_version, roles, set_json, short, version_json};
use super::{ago, answer, ask, table};
use crate::{
    cli::{
        RemoteArgs,
        plugin::{
            ActivateArgs, CandidateArgs, DiffArgs, KvArgs, LoadArgs, ObserveArgs, QuarantineArgs, RollbackArgs,
            ServerCommands, VersionArgs,
        },
    },
    plugins::{settings::Settings, source},
};

/// A message of a stream carries at most this much of a component.
const PIECE_BYTES: usize = 1 << 20;

pub(crate) fn run(remote: &RemoteArgs, command: ServerCommands) -> anyhow::Result<ExitCode> {
    let as_json = remote.json;
    ask(&remote.server, async |channel| {
        let mut client = PluginsClient::new(channel).max_decoding_message_size(256 << 20);
        match command {
            ServerCommands::Load { load, check } => load_one(&mut client, &load, check, as_json).await?,
            ServerCommands::List => list(&mut client, as_json).await?,
            ServerCommands::Show(VersionArgs { name, digest }) => {
                let version = answer(client.show(ShowPluginRequest { name, digest }).await)?;
                if as_json { outln!("{}", version_json(&version)) } else { print_version(&version) }
            }
            ServerCommands::Observe(ObserveArgs { version: CandidateArgs { name, digest }, stop }) => {
                let request = ObserveRequest { name: name.clone(), digest, stop };
                let version = answer(client.observe(request).await)?.version.unwrap_or_default();
                match (as_json, stop) {
                    (true, _) => outln!("{}", version_json(&version)),
                    (false, true) => outln!("{name} is not observed any more"),
                    (false, false) => {
                        outln!("{} is observed; see what differs with: berth plugin diff {name}", short(&version));
                    }
                }
            }
            ServerCommands::Diff(DiffArgs { name, limit }) => diff(&mut client, name, limit, as_json).await?,
            ServerCommands::Activate(ActivateArgs { version: CandidateArgs { name, digest }, roles, instances }) => {
                let request = ActivateRequest { name, digest, roles, instances };
                print_set(&answer(client.activate(request).await)?, as_json);
            }
            ServerCommands::Rollback(RollbackArgs { set }) => {
                print_set(&answer(client.rollback(RollbackRequest { set }).await)?, as_json);
            }
            ServerCommands::Quarantine(QuarantineArgs { version: VersionArgs { name, digest }, reason, release }) => {
                let request = QuarantineRequest { name: name.clone(), digest, reason, release };
                let set = answer(client.quarantine(request).await)?;
                if release && !as_json {
                    outln!("{name} is released; nothing becomes active by this");
                }
                print_set(&set, as_json);
            }
            ServerCommands::Unload(VersionArgs { name, digest }) => {
                answer(client.unload(UnloadRequest { name: name.clone(), digest }).await)?;
                if as_json { outln!("{}", json!({ "unloaded": name })) } else { outln!("{name} is unloaded") }
            }
            ServerCommands::Sets => {
                let sets = answer(client.list_sets(ListSetsRequest {}).await)?.sets;
                if as_json {
                    outln!("{}", json!({ "sets": sets.iter().map(set_json).collect::<Vec<_>>() }));
                } else {
                    let row = |set: &PolicySet| {
                        let plugins: Vec<_> = set.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
                        let number = format!("{}{}", set.number, if set.active { " (active)" } else { "" });
                        vec![number, ago(set.activated_at.as_ref()), first_line(&set.why), plugins.join(", ")]
                    };
                    table::print(&["SET", "AGE", "WHY", "PLUGINS"], sets.iter().map(row).collect());
                }
            }
            ServerCommands::Kv(args) => keys(&mut client, args, as_json).await?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn load_one(
    client: &mut PluginsClient<Channel>,
    args: &LoadArgs,
    check: bool,
    as_json: bool,
) -> anyhow::Result<()> {
    if let Some(bundled) = args.bundled() {
        let mut settings = settings_pb(
            &args.plugin_name()?,
            args.digest.as_deref().unwrap_or_default(),
            &args.settings()?,
            Vec::new(),
        );
        settings.bundled = bundled.to_owned();
        return send(client, vec![LoadRequest { part: Some(Part::Settings(settings)) }], check, as_json).await;
    }
    let package = source::read(&args.source)?;
    let settings = args.settings()?;
    let signature = match &args.signature {
        Some(path) => std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?,
        None => Vec::new(),
    };
    let wanted = args.digest.as_deref().map(source::without_prefix).unwrap_or_default();
    if !wanted.is_empty() && wanted != package.digest {
        bail!("{} has digest {}; --digest asks for {wanted}", args.source, package.digest);
    }
    let settings = settings_pb(&args.plugin_name()?, &package.digest, &settings, signature);
    let mut parts = vec![LoadRequest { part: Some(Part::Settings(settings)) }];
    let pieces = package.component.chunks(PIECE_BYTES);
    parts.extend(pieces.map(|piece| LoadRequest { part: Some(Part::Component(piece.to_vec().into())) }));
    send(client, parts, check, as_json).await
}

async fn send(
    client: &mut PluginsClient<Channel>,
    parts: Vec<LoadRequest>,
    check: bool,
    as_json: bool,
) -> anyhow::Result<()> {
    if check {
        let checked = answer(client.check(tokio_stream::iter(parts)).await)?;
        let version = checked.version.unwrap_or_default();
        if as_json {
            let failures = &checked.failures;
            outln!(
                "{}",
                json!({ "version": version_json(&version), "examples": checked.examples, "failures": failures })
            );
        } else {
            print_version(&version);
            outln!("examples: {} run, {} failed", checked.examples, checked.failures.len());
            checked.failures.iter().for_each(|failure| outln!("  {failure}"));
        }
        if !checked.failures.is_empty() {
            bail!("{} examples failed", checked.failures.len());
        }
        return Ok(());
    }
    let loaded = answer(client.load(tokio_stream::iter(parts)).await)?;
    let version = loaded.version.unwrap_or_default();
    if as_json {
        outln!("{}", json!({ "version": version_json(&version), "unchanged": loaded.unchanged }));
        return Ok(());
    }
    let millis = version.load_time.map_or(0, |time| time.seconds * 1000 + i64::from(time.nanos) / 1_000_000);
    let how = if loaded.unchanged { "was loaded already" } else { "is loaded" };
    outln!(
        "{} {how} ({} bytes, {millis} ms); it answers: {}",
        short(&version),
        version.component_bytes,
        version.exports.join(", ")
    );
    outln!(
        "try it beside the active one: berth plugin observe {0}; make it active: berth plugin activate {0}",
        version.name
    );
    Ok(())
}

fn settings_pb(name: &str, digest: &str, settings: &Settings, signature: Vec<u8>) -> PluginSettings {
    PluginSettings {
        name: name.to_owned(),
        digest: digest.to_owned(),
        config_json: settings.config_json(),
        grants: settings.grants.clone(),
        limits: Some(settings.limits_pb()),
        on_fault: crate::plugins::settings::on_fault_pb(&settings.on_fault),
        signature: signature.into(),
        bundled: String::new(),
    }
}

async fn list(client: &mut PluginsClient<Channel>, as_json: bool) -> anyhow::Result<()> {
    let listed = answer(client.list(ListPluginsRequest {}).await)?;
    let active = listed.active.unwrap_or_default();
    if as_json {
        let versions: Vec<_> = listed.versions.iter().map(version_json).collect();
        outln!("{}", json!({ "versions": versions, "active": set_json(&active) }));
        return Ok(());
    }
    if listed.versions.is_empty() {
        outln!("no plugin is loaded: the built-in rule answers everything; load one with `berth plugin load FILE`");
        return Ok(());
    }
    let row = |version: &PluginVersion| {
        let calls: u64 = version.functions.iter().map(|function| function.calls).sum();
        let faults: u64 = version.functions.iter().flat_map(|function| function.faults.values()).sum();
        vec![
            version.name.clone(),
            digits(&version.digest),
            version.state.clone(),
            version.source.clone(),
            roles(&active, &version.name, version.state == "ACTIVE"),
            calls.to_string(),
            faults.to_string(),
        ]
    };
    table::print(
        &["PLUGIN", "DIGEST", "STATE", "FROM", "ANSWERS", "CALLS", "FAULTS"],
        listed.versions.iter().map(row).collect(),
    );
    Ok(())
}

async fn diff(client: &mut PluginsClient<Channel>, name: String, limit: u32, as_json: bool) -> anyhow::Result<()> {
    let found = answer(client.diff(DiffRequest { name: name.clone(), limit }).await)?;
    if as_json {
        let differences = found.differences.iter().map(|one| {
            json!({ "function": one.function, "fields": one.fields, "question": read(&one.question),
                    "question_digest": one.question_digest, "active": read(&one.active),
                    "candidate": read(&one.candidate) })
        });
        let differing = found.differing.iter();
        let differing =
            differing.map(|one| json!({ "function": one.function, "fields": one.fields, "count": one.count }));
        outln!(
            "{}",
            json!({ "digest": found.digest, "ended": found.ended, "asked": found.asked, "same": found.same,
                    "different": found.different, "faults": found.faults, "dropped": found.dropped,
                    "differing": differing.collect::<Vec<_>>(), "differences": differences.collect::<Vec<_>>() })
        );
        return Ok(());
    }
    outln!(
        "{} questions asked of both: {} the same, {} different, {} faults; {} not asked, the candidate was busy",
        found.asked,
        found.same,
        found.different,
        found.faults,
        found.dropped
    );
    if !found.ended.is_empty() {
        outln!("{name}@{} is not observed any more: {}", digits(&found.digest), found.ended);
    }
    if !found.differing.is_empty() {
        outln!("");
        let row = |one: &Differing| vec![one.function.clone(), one.fields.clone(), one.count.to_string()];
        table::print(&["FUNCTION", "FIELDS THAT DIFFER", "TIMES"], found.differing.iter().map(row).collect());
    }
    for one in &found.differences {
        outln!("\n{}: {}", one.function, one.fields);
        outln!("  question   {}\n  active     {}\n  candidate  {}", one.question, one.active, one.candidate);
    }
    Ok(())
}

/// JSON, or the text where it was cut.
fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

async fn keys(
    client: &mut PluginsClient<Channel>,
    KvArgs { name, prefix, after, limit, observed, namespace }: KvArgs,
    as_json: bool,
) -> anyhow::Result<()> {
    let request = ListKeysRequest { name, prefix, after, limit, observed, namespace };
    let rows = answer(client.list_keys(request).await)?.rows;
    // What is text is shown as text.
    let shown = |value: &[u8]| match std::str::from_utf8(value) {
        Ok(text) if !text.contains(char::is_control) => text.to_owned(),
        _ => value.iter().fold("0x".to_owned(), |digits, byte| digits + &format!("{byte:02x}")),
    };
    if as_json {
        let rows: Vec<_> = rows.iter().map(|row| json!({ "key": row.key, "value": shown(&row.value) })).collect();
        outln!("{}", json!({ "rows": rows }));
    } else {
        table::print(&["KEY", "VALUE"], rows.iter().map(|row| vec![row.key.clone(), shown(&row.value)]).collect());
    }
    Ok(())
}
