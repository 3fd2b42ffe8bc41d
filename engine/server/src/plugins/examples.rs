//! The examples that a component carries, asked of the component itself.

use berth_plugin_host::HostOptions;
use berth_policy_cases::{self as cases, Answerer, Function};

use super::{answerer::ComponentAnswerer, set::Role, settings::Settings};

/// What came of the examples.
pub(crate) struct Report {
    pub(crate) run: u32,
    /// Each as text.
    pub(crate) failures: Vec<String>,
}

impl Report {
    /// An error that names what failed, if anything did.
    pub(crate) fn verdict(&self) -> Result<(), String> {
        let (failed, run) = (self.failures.len(), self.run);
        match self.failures.as_slice() {
            [] => Ok(()),
            failures => Err(format!("{failed} of the plugin's own {run} examples fail:\n{}", failures.join("\n"))),
        }
    }
}

/// Runs these cases (TOML). An error: it is no list of cases.
pub(crate) fn run(
    options: HostOptions,
    name: &str,
    component: &[u8],
    settings: &Settings,
    text: &str,
) -> Result<Report, String> {
    if text.trim().is_empty() {
        return Ok(Report { run: 0, failures: Vec::new() });
    }
    let cases = cases::read(text).map_err(|error| format!("the plugin's examples: {error}"))?;
    // Examples say what a plugin does with its own defaults, and with the configuration that they name.
    let own = Settings { config: serde_json::Map::new(), ..settings.clone() };
    let mut answerer = ComponentAnswerer::new(options, name, component, &own)?;
    let outcomes = cases::run(&cases, &mut answerer);
    let failed = outcomes.iter().filter(|outcome| outcome.result.is_err());
    Ok(Report {
        run: u32::try_from(outcomes.len()).unwrap_or(u32::MAX),
        failures: failed.map(ToString::to_string).collect(),
    })
}

/// What the SDK's `config()` says of a configuration that does not fit, before it gives up. A policy without the SDK may log
/// an error with these words.
const UNREADABLE: &str = "cannot read its configuration";

/// Asks each function that can be asked out of nothing once, with the operator's configuration. A policy that cannot read
/// it, though its schema allows it, says so now, and not at the first job. Whatever else goes wrong is for live traffic.
pub(crate) fn try_settings(
    options: HostOptions,
    name: &str,
    component: &[u8],
    settings: &Settings,
    exports: &[String],
) -> Result<(), String> {
    let asked: Vec<cases::Question> = Function::ALL
        .iter()
        .filter(|function| exports.iter().any(|own| own == function.interface()))
        .filter_map(|function| {
            let question = match function {
                Function::Place => serde_json::json!({ "jobs": [{}] }),
                Function::ExecutionProperties
                | Function::WorkerProperties
                | Function::BeforeCreateJob
                | Function::BeforeQueueJob
                | Function::AfterAttempt => serde_json::json!({}),
                _ => return None,
            };
            cases::Question::read(*function, question).ok()
        })
        .collect();
    if asked.is_empty() {
        return Ok(());
    }
    let mut answerer = ComponentAnswerer::new(options, name, component, settings)?;
    for question in asked {
        if let Err(cases::Fault::Faulted(what)) = answerer.ask(&question)
            && let Some(words) = what.lines().find(|line| line.contains(UNREADABLE))
        {
            return Err(format!("config: {words}"));
        }
    }
    Ok(())
}

/// What a plugin answers if nobody says: everything that it exports; of the columns of `place` those that its examples
/// show, because each belongs to one plugin, and one that leaves it empty must not take it from another.
pub(crate) fn roles(exports: &[String], examples: &str) -> Vec<Role> {
    let shown = columns(examples);
    let answers = |role: &Role| {
        exports.iter().any(|own| own == role.interface())
            && (!role.is_column() || shown.is_empty() || shown.contains(role))
    };
    Role::ALL.into_iter().filter(answers).collect()
}

/// The columns that the answers of these cases have something in.
fn columns(examples: &str) -> Vec<Role> {
    let cases = cases::read(examples).unwrap_or_default();
    let places = cases.iter().flat_map(|case| match &case.expected {
        cases::Answer::Place(answer) => answer.places.as_slice(),
        _ => &[],
    });
    let mut shown = Vec::new();
    for place in places {
        let has = [
            (Role::Lane, !place.lane.is_empty() || place.weight != 1),
            (Role::Rank, place.rank != 0),
            (Role::Limits, !place.limits.is_empty()),
            (Role::Affinity, !place.affinities.is_empty()),
            (Role::History, !place.history.is_empty()),
            (Role::Again, place.again_ms != 0),
        ];
        shown.extend(has.into_iter().filter(|(_, has)| *has).map(|(role, _)| role));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_answers_the_columns_that_its_examples_show() {
        let exports = ["priority".to_owned(), "choosing".to_owned()];
        let text = r#"
            [[case]]
            name = "a lane for each tenant"
            function = "place"
            question.jobs = [{}, { tenant = "a" }]
            answer.places = [{}, { lane = "a", weight = 3 }]
        "#;
        assert_eq!(roles(&exports, text), [Role::Lane, Role::Choose]);
        assert_eq!(roles(&exports, "").len(), 7, "nothing is known of it");
        assert_eq!(roles(&["events".to_owned()], text), [Role::Events]);
    }
}
