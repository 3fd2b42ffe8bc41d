//! Asking a plugin which lane a bot serves, inside a step: on the thread that runs the steps, with an instance that
//! belongs to it, and with little patience.

use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_core::{Chooser, LANE_VIEWS_MAX, LaneView, WorkerView};

use crate::bindings::v1::choosing::{Lanes, Worker};
use crate::bindings::v1::types::PropertyParam;
use crate::convert::{millis, set_for_guest};
use crate::fault::{Fault, FaultKind};
use crate::generation::Generation;
use crate::instance::{Live, thread_time};
use crate::plugin::{EXPORTED, Plugin};
use crate::policy::PluginPolicy;
use crate::stats::Function;

/// Calls that are watched after a slow one, so that what they use counts against the batch.
const WATCHED: u32 = 64;

/// The chooser of one thread. Between two batches it follows the policy to the generation that is in force.
pub struct PluginChooser {
    policy: Arc<PluginPolicy>,
    generation: Arc<Generation>,
    seats: Vec<Seat>,
    /// What the calls of this batch used.
    spent: Duration,
    /// The limit of the batch was told of already.
    told: bool,
}

/// A plugin, and the instance that this thread has of it.
struct Seat {
    plugin: Arc<Plugin>,
    live: Option<Live>,
    /// For how many calls more the system is asked what the guest used, which costs as much as a small call. Begun by
    /// a call that took longer than it may by the clock on the wall: it may only have waited for a processor.
    watched: u32,
    /// The last call was watched, and used more than it may. One such call is no fault yet: a processor that is shared
    /// with others can make any call slow once in a hundred thousand.
    over: bool,
}

impl PluginPolicy {
    /// A chooser for the thread that runs the steps.
    pub fn chooser(self: &Arc<Self>) -> PluginChooser {
        let mut chooser = PluginChooser {
            policy: Arc::clone(self),
            generation: self.active(),
            seats: Vec::new(),
            spent: Duration::ZERO,
            told: false,
        };
        chooser.take_seats();
        chooser
    }
}

impl Chooser for PluginChooser {
    fn begin(&mut self) {
        (self.spent, self.told) = (Duration::ZERO, false);
        let active = self.policy.active();
        if !Arc::ptr_eq(&active, &self.generation) {
            self.generation = active;
            self.take_seats();
        }
    }

    fn asks(&mut self, instance: &str) -> bool {
        self.generation.chain(instance).choose.as_ref().is_some_and(|plugin| !plugin.is_quarantined())
    }

    fn choose(&mut self, worker: &WorkerView<'_>, lanes: &[LaneView<'_>], truncated: bool) -> Option<usize> {
        let plugin = self.generation.chain(worker.instance).choose.as_ref()?;
        let seat = self.seats.iter_mut().find(|seat| Arc::ptr_eq(&seat.plugin, plugin))?;
        if plugin.is_quarantined() {
            seat.live = None;
            return None;
        }
        plugin.count_questions(Function::Choose, 1);
        let allowed = plugin.limits().choose_batch_deadline;
        if self.spent >= allowed {
            if !std::mem::replace(&mut self.told, true) {
                let details =
                    format!("decisions that are made together used {:?}; {allowed:?} are allowed", self.spent);
                plugin.report(Function::Choose, &Fault { kind: FaultKind::Budget, details });
            }
            return None;
        }
        let shown = &lanes[..lanes.len().min(LANE_VIEWS_MAX)];
        let (answer, used) = seat.ask(worker, shown, truncated || shown.len() < lanes.len());
        self.spent += used;
        if plugin.is_quarantined() {
            self.policy.ask(|_| ());
        }
        answer
    }
}

impl PluginChooser {
    /// A seat for each plugin that chooses; those that stay keep their instance.
    fn take_seats(&mut self) {
        let mut before = std::mem::take(&mut self.seats);
        for plugin in self.generation.chains().filter_map(|chain| chain.choose.as_ref()) {
            if self.seats.iter().any(|seat| Arc::ptr_eq(&seat.plugin, plugin)) {
                continue;
            }
            let kept = before.iter().position(|seat| Arc::ptr_eq(&seat.plugin, plugin));
            plugin.host.shared.ticker.look_closely();
            let fresh = || Seat { plugin: Arc::clone(plugin), live: None, watched: 0, over: false };
            self.seats.push(kept.map_or_else(fresh, |kept| before.swap_remove(kept)));
        }
    }
}

impl Seat {
    /// The answer, and what it used. `None` too where there is no instance yet.
    fn ask(&mut self, worker: &WorkerView<'_>, lanes: &[LaneView<'_>], truncated: bool) -> (Option<usize>, Duration) {
        self.refresh();
        let Some(live) = &mut self.live else { return (None, Duration::ZERO) };
        let plugin = &self.plugin;
        let (started, used_before) = (Instant::now(), (self.watched > 0).then(thread_time));
        let result = {
            let _clock = plugin.host.shared.ticker.run();
            live.begin(Function::Choose, worker.instance);
            call(live, worker, lanes, truncated)
        };
        let took = started.elapsed();
        plugin.counters(Function::Choose).count_call(took);
        let allowed = plugin.limits().choose_deadline;
        self.watched = if took > allowed { WATCHED } else { self.watched.saturating_sub(1) };
        let used = used_before.map(|before| thread_time().saturating_sub(before));
        let over = used.filter(|used| *used > allowed);
        let again = std::mem::replace(&mut self.over, over.is_some());
        let result = match (result, over) {
            (Ok(_), Some(used)) if again => {
                Err(Fault { kind: FaultKind::Deadline, details: format!("took {used:?}; {allowed:?} are allowed") })
            }
            (result, _) => result,
        };
        let answer = result.unwrap_or_else(|fault| {
            plugin.report(Function::Choose, &fault);
            self.live = None;
            None
        });
        // Nobody knows what a slow call used that was not watched: no more than it may, until the next one says otherwise.
        (answer, used.unwrap_or(took.min(allowed)))
    }

    /// An instance that has served its time is replaced when another is ready.
    fn refresh(&mut self) {
        let plugin = &self.plugin;
        if self.live.as_ref().is_none_or(|live| !plugin.pool.keeps(live))
            && let Some(fresh) = plugin.spare.take(&plugin.host, &plugin.pool)
        {
            self.live = Some(fresh);
        }
    }
}

fn call(
    live: &mut Live,
    worker: &WorkerView<'_>,
    lanes: &[LaneView<'_>],
    truncated: bool,
) -> Result<Option<usize>, Fault> {
    let sets: Vec<Vec<PropertyParam<'_>>> = worker.capabilities.iter().map(set_for_guest).collect();
    let capabilities: Vec<&[PropertyParam<'_>]> = sets.iter().map(Vec::as_slice).collect();
    let names: Vec<&str> = lanes.iter().map(|lane| lane.name).collect();
    let column = |value: fn(&LaneView<'_>) -> u32| -> Vec<u32> { lanes.iter().map(value).collect() };
    let (weight, queued, running) =
        (column(|lane| lane.weight), column(|lane| lane.queued), column(|lane| lane.running));
    let head_waited_ms: Vec<u64> = lanes.iter().map(|lane| millis(lane.head_waited)).collect();
    let head_rank: Vec<i64> = lanes.iter().map(|lane| lane.head_rank).collect();
    let for_guest = Worker {
        instance: worker.instance,
        bot_id: worker.bot_id,
        capabilities: &capabilities,
        busy: worker.busy,
        slots: worker.slots,
        recent: worker.recent,
    };
    let views = Lanes {
        name: &names,
        weight: &weight,
        queued: &queued,
        running: &running,
        head_waited_ms: &head_waited_ms,
        head_rank: &head_rank,
    };
    let guest = live.guests.choosing.as_ref().expect(EXPORTED);
    let answer = guest.call_choose(&mut live.store, for_guest, views, truncated);
    let answer = answer.map_err(|error| live.fault(&error))?;
    match answer.map(|index| index as usize) {
        Some(index) if index >= lanes.len() => Err(Fault::nonsense(format!("lane {index} of {}", lanes.len()))),
        answer => Ok(answer),
    }
}
