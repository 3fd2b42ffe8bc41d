//! Which property set answers: one for all instances, or one for each.

use berth_policy_sdk::Refusal;
use berth_policy_sdk::properties::{ExecutionAnswer, ExecutionQuestion, WorkerAnswer, WorkerQuestion};

use super::{PropertySet, contract};

/// The instance name of bots that serve all.
const ALL: &str = "*";
/// As much of an instance name as a message repeats.
const SHOWN_CHARS: usize = 80;

/// All that is configured.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Sets {
    Same(PropertySet),
    ByInstance(Vec<(Vec<String>, PropertySet)>),
}

impl Sets {
    pub(crate) fn job(&self, question: &ExecutionQuestion) -> Result<ExecutionAnswer, Refusal> {
        contract::job(self.of(&question.instance)?.job(&question.platform)?)
    }

    pub(crate) fn bot(&self, question: &WorkerQuestion) -> Result<WorkerAnswer, Refusal> {
        let answer = match self {
            Self::ByInstance(sets) if question.instance == ALL => for_all(sets, question)?,
            _ => self.of(&question.instance)?.bot(&question.properties)?,
        };
        contract::bot(answer)
    }

    fn of(&self, instance: &str) -> Result<&PropertySet, Refusal> {
        match self {
            Self::Same(set) => Ok(set),
            Self::ByInstance(sets) => sets
                .iter()
                .find(|(instances, _)| instances.iter().any(|one| one == instance))
                .map(|(_, set)| set)
                .ok_or_else(|| missing(instance)),
        }
    }
}

/// A bot for all instances offers what it is in each. A set that has no place for it does not keep it out of the
/// others.
fn for_all(sets: &[(Vec<String>, PropertySet)], question: &WorkerQuestion) -> Result<WorkerAnswer, Refusal> {
    let mut all = WorkerAnswer { labels: Vec::new(), capabilities: Vec::new(), score: 0 };
    let mut refusal = missing(ALL);
    for (_, set) in sets {
        match set.bot(&question.properties) {
            Ok(answer) => {
                all.labels.extend(answer.labels);
                let new = answer.capabilities.into_iter().filter(|set| !all.capabilities.contains(set));
                let new: Vec<_> = new.collect();
                all.capabilities.extend(new);
            }
            Err(refused) => refusal = refused,
        }
    }
    if all.capabilities.is_empty() { Err(refusal) } else { Ok(all) }
}

/// INVALID_ARGUMENT for the client, as BuildGrid has it.
fn missing(instance: &str) -> Refusal {
    let shown: String = instance.chars().take(SHOWN_CHARS).filter(|letter| !letter.is_control()).collect();
    Refusal::malformed_property("instance name", format!("an instance that has a property set; {shown:?} has none"))
}
