//! `berth plugin check|test|bench|run`: a component on this machine, in the host that a server has.

use std::{
    io::Read,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use berth_plugin_host::{Grant, HostOptions, Limits};
use berth_policy_cases::{self as cases, Answerer, Case, Function};
use serde_json::{Value, json};

use crate::{
    admin::table,
    cli::plugin::{BenchArgs, LoadArgs, RunArgs, TestArgs},
    plugins::{answerer::ComponentAnswerer, bundled, examples, settings::Settings, source, versions::exports_of},
};

/// A component, read and loaded.
struct Loaded {
    name: String,
    digest: String,
    component: Vec<u8>,
    settings: Settings,
    answerer: ComponentAnswerer,
}

fn load(args: &LoadArgs) -> anyhow::Result<Loaded> {
    let name = args.plugin_name()?;
    if args.signature.is_some() {
        bail!("--signature: the server has the keys; ask it with: berth plugin load --check");
    }
    let (component, digest) = match args.bundled() {
        Some(bundled) => {
            let own = bundled::find(bundled);
            let own = own.with_context(|| format!("{bundled:?} does not come with Berth: {}", bundled::names()))?;
            (own.component.to_vec(), own.digest.clone())
        }
        None => {
            let package = source::read(&args.source)?;
            (package.component, package.digest)
        }
    };
    if let Some(pinned) = args.digest.as_deref().map(source::without_prefix).filter(|pinned| *pinned != digest) {
        bail!("{} has digest {digest}; --digest asks for {pinned}", args.source);
    }
    let mut settings = args.settings()?;
    if settings.grants.is_empty() {
        // On the author's machine nothing has to be granted, unless somebody wants to know whether it will do.
        settings.grants = Grant::ALL.map(|grant| grant.name().to_owned()).to_vec();
    }
    let answerer = ComponentAnswerer::new(options(), &name, &component, &settings);
    let answerer = answerer.map_err(anyhow::Error::msg)?;
    Ok(Loaded { name, digest, component, settings, answerer })
}

fn options() -> HostOptions {
    HostOptions { limits: Limits { plugins_max: 2, ..Limits::default() }, ..HostOptions::default() }
}

/// Says whether the host takes a component.
pub(super) fn accepts(name: &str, component: &[u8]) -> Result<(), String> {
    let settings = Settings { grants: Grant::ALL.map(|grant| grant.name().to_owned()).to_vec(), ..Settings::default() };
    let mut answerer = ComponentAnswerer::new(options(), name, component, &settings)?;
    answerer.plugin().map(drop).map_err(|fault| fault.to_string())
}

pub(super) fn check(args: &LoadArgs, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut loaded = load(args)?;
    let plugin = loaded.answerer.plugin().map_err(|fault| anyhow::anyhow!("{fault}"))?;
    let (exports, cost) = (exports_of(&plugin), plugin.load_cost());
    // As a server judges that loads it.
    let Loaded { name, component, settings, .. } = &loaded;
    let report = examples::run(options(), name, component, settings, plugin.examples()).map_err(anyhow::Error::msg)?;
    let mut failures = report.failures;
    failures.extend(examples::try_settings(options(), name, component, settings, &exports).err());
    let imports: Vec<&str> = plugin.imports().iter().map(|import| import.name()).collect();
    let asked: Vec<&str> = Function::ALL
        .iter()
        .filter(|function| exports.iter().any(|own| own == function.interface()))
        .map(|function| function.name())
        .collect();
    let compile_ms = cost.compile.as_millis();
    if as_json {
        outln!(
            "{}",
            json!({
                "name": loaded.name, "digest": loaded.digest, "contract": plugin.exports().contract.version(),
                "exports": exports, "asked": asked, "imports": imports, "bytes": cost.bytes,
                "compile_ms": u64::try_from(compile_ms).unwrap_or(u64::MAX),
                "config_schema": plugin.config_schema().and_then(|schema| serde_json::from_str::<Value>(schema).ok()),
                "examples": report.run, "failures": failures,
            })
        );
    } else {
        let or_none = |list: &[&str]| if list.is_empty() { "nothing".to_owned() } else { list.join(", ") };
        outln!("plugin    {} (sha256:{})", loaded.name, loaded.digest);
        outln!("contract  berth:policy@{}", plugin.exports().contract.version());
        outln!("exports   {}", exports.join(", "));
        outln!("asked     {}", or_none(&asked));
        outln!("imports   {}: what an operator must grant; log and config are by default", or_none(&imports));
        outln!("size      {} bytes, compiled in {compile_ms} ms", cost.bytes);
        outln!("examples  {}, {} failed", report.run, failures.len());
        failures.iter().for_each(|failure| outln!("{failure}"));
    }
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The cases that the component carries, or those of the file.
fn cases_of(args: &TestArgs, loaded: &mut Loaded) -> anyhow::Result<Vec<Case>> {
    let text = match &args.cases {
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?,
        None => loaded.answerer.plugin().map_err(|fault| anyhow::anyhow!("{fault}"))?.examples().to_owned(),
    };
    let cases = cases::read(&text)?;
    if cases.is_empty() {
        bail!("{} carries no examples: name a file with --cases", args.load.source);
    }
    Ok(cases)
}

pub(super) fn test(args: &TestArgs, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut loaded = load(&args.load)?;
    if args.cases.is_none() {
        // The component's own examples say what it does with its defaults, as when a server loads it.
        let settings = Settings { config: serde_json::Map::new(), ..loaded.settings.clone() };
        let answerer = ComponentAnswerer::new(options(), &loaded.name, &loaded.component, &settings);
        loaded.answerer = answerer.map_err(anyhow::Error::msg)?;
    }
    let cases = cases_of(args, &mut loaded)?;
    let outcomes = cases::run(&cases, &mut loaded.answerer);
    let failed = outcomes.iter().filter(|outcome| outcome.result.is_err()).count();
    if as_json {
        let outcome = |outcome: &cases::Outcome| {
            let failure = outcome.result.as_ref().err().map(ToString::to_string);
            json!({ "name": outcome.name, "ok": failure.is_none(), "failure": failure })
        };
        let outcomes: Vec<_> = outcomes.iter().map(outcome).collect();
        outln!("{}", json!({ "cases": outcomes, "failed": failed }));
    } else {
        outcomes.iter().for_each(|outcome| outln!("{outcome}"));
        outln!("{} cases, {failed} failed", outcomes.len());
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) fn bench(args: &BenchArgs, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut loaded = load(&args.test.load)?;
    let cases = cases_of(&args.test, &mut loaded)?;
    let (mut rows, mut lines) = (Vec::new(), Vec::new());
    for function in Function::ALL {
        let own: Vec<&Case> = cases.iter().filter(|case| case.question.function() == *function).collect();
        // One configuration: another would load the component anew.
        let Some(case) = own.first() else { continue };
        eprintln!("{function}: {} s ...", args.seconds);
        loaded.answerer.surround(&case.surroundings).map_err(|fault| anyhow::anyhow!("{fault}"))?;
        let asked = time(Duration::from_secs(args.seconds.max(1)), || loaded.answerer.ask(&case.question).is_ok());
        let stats = loaded.answerer.plugin().map_err(|fault| anyhow::anyhow!("{fault}"))?.stats();
        let full_name = format!("{}.{}", function.interface(), function.name());
        let own = berth_plugin_host::Function::ALL.into_iter().find(|own| own.name() == full_name);
        let own = stats.function(own.expect("both lists have the functions of the contract")).clone();
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let remembered = own.memo_hits > own.guest_calls;
        rows.push(vec![
            function.name().to_owned(),
            case.name.clone(),
            asked.to_string(),
            nanos(own.guest_time_p50).to_string(),
            nanos(own.guest_time_p99).to_string(),
            own.guest_calls.to_string(),
            if remembered { "answers are remembered".to_owned() } else { String::new() },
        ]);
        lines.push(json!({ "function": function.name(), "case": case.name, "ns": asked,
            "guest_p50_ns": nanos(own.guest_time_p50), "guest_p99_ns": nanos(own.guest_time_p99),
            "guest_calls": own.guest_calls, "memo_hits": own.memo_hits }));
    }
    if as_json {
        outln!("{}", json!({ "functions": lines }));
    } else {
        let header = ["FUNCTION", "CASE", "NS A QUESTION", "NS IN THE GUEST P50", "P99", "GUEST CALLS", ""];
        table::print(&header, rows);
        outln!(
            "A question: from the records of the case to its answer, conversions included. The question of the case is asked again and again."
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Nanoseconds a turn, over so long.
fn time(long: Duration, mut turn: impl FnMut() -> bool) -> u64 {
    let (start, mut turns) = (Instant::now(), 0_u64);
    while start.elapsed() < long && turn() {
        turns += 1;
    }
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX) / turns.max(1)
}

pub(super) fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let function: Function = args.function.parse()?;
    let text = match &args.question {
        Some(text) => text.clone(),
        None => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("cannot read the question from standard input")?;
            text
        }
    };
    let question: Value = serde_json::from_str(&text).context("the question is not JSON")?;
    let question = cases::Question::read(function, question).with_context(|| format!("the question to {function}"))?;
    let mut loaded = load(&args.load)?;
    let answer = loaded.answerer.ask(&question).map_err(|fault| anyhow::anyhow!("{fault}"))?;
    outln!("{:#}", answer.to_json());
    Ok(ExitCode::SUCCESS)
}
