//! What the cases in `cases.toml` do not show: fitting, odd input, and a comparison with BuildGrid itself.

use berth_policy_model::{Dice, report};
use berth_policy_sdk::properties::{ExecutionQuestion, WorkerQuestion};
use berth_policy_sdk::{Property, Refusal};
use serde::Deserialize;

use super::ABSENT;
use crate::config::Config;

fn config(text: &str) -> Config {
    serde_json::from_str(text).expect("a configuration of a test is right")
}

fn properties(pairs: &[(String, String)]) -> Vec<Property> {
    pairs.iter().map(|(name, value)| Property { name: name.clone(), value: value.clone() }).collect()
}

fn pairs(of: &[(&str, &str)]) -> Vec<Property> {
    of.iter().map(|(name, value)| Property { name: (*name).to_owned(), value: (*value).to_owned() }).collect()
}

/// What Berth makes of two answers.
fn fits(requirements: &[Property], capabilities: &[Vec<Property>]) -> bool {
    capabilities.iter().any(|set| requirements.iter().all(|one| set.contains(one)))
}

fn job(config: &Config, platform: Vec<Property>) -> Result<berth_policy_sdk::ExecutionAnswer, Refusal> {
    config.0.job(&ExecutionQuestion { instance: "x".to_owned(), platform })
}

fn bot(config: &Config, properties: Vec<Property>) -> Result<berth_policy_sdk::WorkerAnswer, Refusal> {
    config.0.bot(&WorkerQuestion { instance: "x".to_owned(), bot_id: "bot".to_owned(), properties })
}

#[test]
fn a_bot_with_twenty_properties_offers_one_set() {
    let keys: Vec<String> = (0..20).map(|n| format!("\"k{n}\"")).collect();
    let config = config(&format!(r#"{{"dynamic-property-set": {{"match-property-keys": [{}]}}}}"#, keys.join(",")));
    let all: Vec<(String, String)> = (0..20).map(|n| (format!("k{n}"), "1".to_owned())).collect();
    let offer = bot(&config, properties(&all)).expect("a dynamic set takes any bot");
    assert_eq!(offer.capabilities.len(), 1);
    assert_eq!(offer.capabilities[0].len(), 20);
    let part = job(&config, properties(&all[3..7])).expect("these are match keys");
    assert!(fits(&part.requirements, &offer.capabilities));
}

/// 12 bots with pools, machines and images in all combinations; jobs that ask for any part of that, and for what means
/// nothing.
#[test]
fn under_load_jobs_get_exactly_the_bots_that_have_what_they_ask_for() {
    let config = config(
        r#"{"dynamic-property-set": {"match-property-keys": ["pool", "image"], "wildcard-property-keys": ["note"]}}"#,
    );
    const VALUES: [(&str, &[&str]); 3] = [("ISA", &["x86", "arm"]), ("image", &["a", "b"]), ("pool", &["s", "m", "l"])];
    let said: Vec<Vec<Property>> = (0..12_usize)
        .map(|n| {
            pairs(&[("ISA", ["x86", "arm"][n % 2]), ("image", ["a", "b"][n / 2 % 2]), ("pool", ["s", "m", "l"][n / 4])])
        })
        .collect();
    let offers: Vec<_> =
        said.iter().map(|said| bot(&config, said.clone()).expect("any bot will do").capabilities).collect();
    let mut dice = Dice::new(19);
    let (mut wrong, mut turned_away, mut served) = (0, 0, 0);
    for _ in 0..20_000 {
        let mut asked = Vec::new();
        for (name, values) in VALUES {
            // One value more than there is: nobody has it.
            let value = dice.below(values.len() as u64 + 2) as usize;
            if value > 0 {
                asked.push(Property::new(name, values.get(value - 1).copied().unwrap_or("none")));
            }
        }
        let mut platform = asked.clone();
        platform.push(Property::new("note", format!("{}", dice.below(1000))));
        platform.sort_by(|one, other| one.name.cmp(&other.name));
        let requirements = job(&config, platform).expect("these keys are known").requirements;
        for (offer, said) in offers.iter().zip(&said) {
            let has_all = asked.iter().all(|one| said.contains(one));
            match (fits(&requirements, offer), has_all) {
                (true, true) => served += 1,
                (true, false) => wrong += 1,
                (false, true) => turned_away += 1,
                (false, false) => (),
            }
        }
    }
    let sets: usize = offers.iter().map(Vec::len).sum();
    report("property-sets", "pairs of job and bot that fit though the bot lacks something", "0", wrong);
    report("property-sets", "pairs that do not fit though the bot has all", "0", turned_away);
    report("property-sets", "capability sets of 12 bots", "12", sets);
    assert!(served > 10_000, "many fit: {served}");
    assert_eq!((wrong, turned_away, sets), (0, 0, 12));
}

#[test]
fn a_wish_in_a_dynamic_set_is_met_by_a_bot_that_offers_it_and_binding_for_none() {
    let config = config(r#"{"dynamic-property-set": {"preferred-property-keys": ["ssd"]}}"#);
    let answer = job(&config, pairs(&[("ISA", "a"), ("ssd", "1")])).expect("these are known keys");
    let wish = answer.preferred.expect("a preferred key is there");
    let offer = |of: &[(&str, &str)]| bot(&config, pairs(of)).expect("a dynamic set takes any bot").capabilities;
    assert!(fits(&wish, &offer(&[("ISA", "a"), ("ssd", "1")])));
    assert!(!fits(&wish, &offer(&[("ISA", "a")])));
    assert!(fits(&answer.requirements, &offer(&[("ISA", "a")])));
}

#[test]
fn an_answer_keeps_to_the_contract_whatever_a_client_sends() {
    let config =
        config(r#"{"dynamic-property-set": {"match-property-keys": ["", "k"], "wildcard-property-keys": ["w"]}}"#);
    let refused = |of: &[(&str, &str)]| matches!(job(&config, pairs(of)), Err(Refusal::MalformedProperty(_)));
    assert!(refused(&[("", "x")]));
    assert!(refused(&[("k", "a\nb")]));
    assert!(refused(&[("k", &"x".repeat(4097))]));
    assert!(!refused(&[("w", "a\nb")]), "what means nothing may be anything");
    let label = |value: &str| job(&config, pairs(&[("OSFamily", value)])).expect("a label is made fit").label;
    assert_eq!(label("mac os"), "mac_os");
    assert_eq!(label(""), "unknown");
    assert_eq!(label(&"x".repeat(100)), "x".repeat(64));
}

#[test]
fn a_configuration_that_contradicts_itself_is_refused_with_its_reason() {
    let error = |text: &str| serde_json::from_str::<Config>(text).expect_err("it contradicts itself").to_string();
    let contains = |text: &str, part: &str| assert!(error(text).contains(part), "{}", error(text));
    contains(r#"{"dynamic-property-set": {"unique-property-keys": ["q"]}}"#, "neither a match nor a wildcard key");
    contains(r#"{"dynamic-property-set": {"label-key": "q"}}"#, "neither a match nor a wildcard key");
    contains(r#"{"dynamic-property-set": {}, "static-property-set": {}}"#, "exclude each other");
    contains(r#"{"dynamic-property-set": {"match-keys": []}}"#, "unknown field");
    let twice =
        r#"{"instanced-property-set": {"sets": [{"instances": ["a"], "set": {}}, {"instances": ["a"], "set": {}}]}}"#;
    contains(twice, "twice");
    let nested =
        r#"{"instanced-property-set": {"sets": [{"instances": [], "set": {"instanced-property-set": {"sets": []}}}]}}"#;
    contains(nested, "cannot hold another");
    let reserved = format!(
        r#"{{"static-property-set": {{"property-labels": [{{"label": "a", "properties": [["{ABSENT}", "x"]]}}]}}}}"#
    );
    contains(&reserved, "needs for itself");
}

/// One line of `compare/ask_buildgrid.py`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Asked {
    config: serde_json::Value,
    instance: String,
    platform: Vec<(String, String)>,
    bot_instance: String,
    bot: Vec<(String, String)>,
    job_error: Option<String>,
    label: Option<String>,
    requirements: Option<Vec<(String, String)>>,
    preferred: Option<Vec<(String, String)>>,
    bot_error: Option<String>,
    labels: Vec<String>,
    fits: bool,
}

#[test]
#[ignore = "needs BuildGrid's answers: see compare/ask_buildgrid.py"]
fn the_answers_are_those_of_buildgrid() {
    let path = std::env::var("BUILDGRID_ANSWERS").expect("BUILDGRID_ANSWERS names the file of answers");
    let text = std::fs::read_to_string(path).expect("the file of answers can be read");
    let mut compared = 0;
    for line in text.lines() {
        compare(&serde_json::from_str(line).expect("a line is a question and its answer"), line);
        compared += 1;
    }
    println!("{compared} questions, each with the answer of BuildGrid");
}

fn compare(asked: &Asked, line: &str) {
    let config: Config = serde_json::from_value(asked.config.clone()).expect("BuildGrid takes this configuration");
    let job =
        config.0.job(&ExecutionQuestion { instance: asked.instance.clone(), platform: properties(&asked.platform) });
    let bot = config.0.bot(&WorkerQuestion {
        instance: asked.bot_instance.clone(),
        bot_id: String::new(),
        properties: properties(&asked.bot),
    });
    assert_eq!(job.as_ref().err().map(code), asked.job_error.as_deref(), "{line}");
    assert_eq!(bot.as_ref().err().map(code), asked.bot_error.as_deref(), "{line}");
    if let Ok(job) = &job {
        assert_eq!(Some(&job.label), asked.label.as_ref(), "{line}");
        assert_eq!(Some(unmarked(&job.requirements)), asked.requirements, "{line}");
        // A wish is left out where it adds nothing, and where it contradicts what is required.
        if let Some(wish) = &job.preferred {
            assert_eq!(Some(unmarked(wish)), asked.preferred, "{line}");
        } else if let Some(wish) = &asked.preferred {
            let required = unmarked(&job.requirements);
            let contradicts = !required.iter().all(|one| wish.contains(one)) || job.requirements.len() > required.len();
            assert!(*wish == required || contradicts, "{line}");
        }
    }
    let text = asked.config.to_string();
    // Across the sets of several instances, BuildGrid lets a job of one onto a bot by the rules of another, and calls
    // the bot by labels of sets that refuse it; its own configuration check warns of that. Here a job keeps to the
    // exclusive and wildcard keys of its own set.
    let across = asked.bot_instance == "*"
        && ["exclusive-property-keys\":[\"", "wildcard-property-keys\":[\""].iter().any(|keys| text.contains(keys));
    if let (Ok(bot), false) = (&bot, across) {
        let unknown = vec!["unknown".to_owned()];
        let expected = if asked.labels.is_empty() { &unknown } else { &asked.labels };
        assert_eq!(&bot.labels, expected, "{line}");
    }
    if let (Ok(job), Ok(bot), false) = (&job, &bot, across) {
        assert_eq!(fits(&job.requirements, &bot.capabilities), asked.fits, "{line}");
    }
}

fn unmarked(properties: &[Property]) -> Vec<(String, String)> {
    let ours = properties.iter().filter(|one| one.name != ABSENT);
    ours.map(|one| (one.name.clone(), one.value.clone())).collect()
}

/// The code that a client sees.
fn code(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::MalformedProperty(_) => "invalid-argument",
        Refusal::UnknownProperty(_) | Refusal::DuplicateProperty(_) | Refusal::FailedPrecondition(_) => {
            "failed-precondition"
        }
        Refusal::Denied(_) | Refusal::Exhausted(_) => "another",
    }
}
