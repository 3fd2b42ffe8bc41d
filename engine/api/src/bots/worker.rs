//! What a bot can do: its Worker message, read and judged by policy.
//!
//! Bots send the message with every update. Policy is asked only when it is new, so the last one is remembered.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use berth_core::{SessionId, WorkerChange};
use berth_proto::bots::Worker;
use berth_runtime::{
    Engine, EngineError,
    policy::{Policy, WorkerQuestion},
};

use crate::{error::Error, instances::Instance};

/// So many sessions are remembered before the first look at which of them are still open.
const SWEEP_MIN: usize = 256;

/// The Worker messages of a partition's sessions, as they were last judged. Only a saving: what is forgotten, by a
/// restart for example, is judged once more.
#[derive(Default)]
pub(crate) struct Workers(Mutex<Known>);

#[derive(Default)]
struct Known {
    by_session: HashMap<SessionId, Worker>,
    /// Sessions that are over are swept out when there are so many; twice of what the last sweep left.
    sweep_at: usize,
}

impl Workers {
    pub(crate) fn is_known(&self, session: SessionId, worker: &Worker) -> bool {
        self.lock().by_session.get(&session) == Some(worker)
    }

    pub(crate) async fn remember(
        &self,
        engine: &Engine,
        session: SessionId,
        worker: Worker,
    ) -> Result<(), EngineError> {
        let is_full = {
            let mut known = self.lock();
            known.by_session.insert(session, worker);
            known.by_session.len() > known.sweep_at.max(SWEEP_MIN)
        };
        if is_full {
            let open = |book: &berth_core::Book| book.sessions().into_iter().map(|session| session.session).collect();
            let open: HashSet<SessionId> = engine.read_promptly(open).await?;
            let mut known = self.lock();
            // One that is being opened right now goes as well, and is judged again at its first update.
            known.by_session.retain(|session, _| open.contains(session));
            known.sweep_at = 2 * known.by_session.len();
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the bot can serve, as policy sees it, and how much at a time, as it says itself.
pub(super) fn ask_policy(
    policy: &dyn Policy,
    instance: &Instance,
    bot_id: &str,
    worker: &Worker,
) -> Result<WorkerChange, Error> {
    let (slots, hold_when_full) = configs(worker)?;
    let properties = properties(worker);
    let question = WorkerQuestion { instance: &instance.name.0, bot_id, properties: &properties };
    let answer = policy.worker_properties(&question)?;
    Ok(WorkerChange { capabilities: answer.capabilities, slots, hold_when_full, score: answer.score })
}

/// Of the first device, which is the machine that runs the commands, and of the worker as a whole.
fn properties(worker: &Worker) -> Vec<(String, String)> {
    let device = worker.devices.first().into_iter().flat_map(|device| &device.properties);
    let device = device.map(|property| (property.key.clone(), property.value.clone()));
    let whole = worker.properties.iter().map(|property| (property.key.clone(), property.value.clone()));
    device.chain(whole).collect()
}

/// `capacity`: leases at a time, 1 if it does not say. `hold-when-full`: whether a full bot wants to be held.
fn configs(worker: &Worker) -> Result<(u32, bool), Error> {
    let config = |key: &str| worker.configs.iter().find(|config| config.key == key).map(|config| config.value.trim());
    let slots = match config("capacity") {
        Some(value) => value.parse().map_err(|_| {
            Error::field("bot_session.worker.configs", format!("capacity: {value:?} is not a number of leases"))
        })?,
        None => 1,
    };
    Ok((slots, config("hold-when-full").is_some_and(|value| value.eq_ignore_ascii_case("true"))))
}

#[cfg(test)]
mod tests {
    use berth_proto::bots::{Device, device, worker};

    use super::*;

    fn config(key: &str, value: &str) -> worker::Config {
        worker::Config { key: key.into(), value: value.into() }
    }

    #[test]
    fn a_bot_that_says_nothing_takes_one_lease_at_a_time() {
        assert_eq!(configs(&Worker::default()).unwrap(), (1, false));
        let worker =
            Worker { configs: vec![config("capacity", " 8 "), config("hold-when-full", "True")], ..Worker::default() };
        assert_eq!(configs(&worker).unwrap(), (8, true));
        let worker = Worker { configs: vec![config("capacity", "many")], ..Worker::default() };
        assert!(configs(&worker).unwrap_err().to_string().contains("many"));
    }

    #[test]
    fn properties_are_those_of_the_first_device_and_of_the_worker() {
        let property = |key: &str| device::Property { key: key.into(), value: "1".into() };
        let device = |key: &str| Device { handle: String::new(), properties: vec![property(key)] };
        let worker = Worker {
            devices: vec![device("first"), device("second")],
            properties: vec![worker::Property { key: "whole".into(), value: "1".into() }],
            ..Worker::default()
        };
        let names: Vec<_> = properties(&worker).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["first", "whole"]);
    }
}
