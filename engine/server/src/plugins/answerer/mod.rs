//! A component as something that answers cases: in a host of its own, where time, tables and figures are what the case
//! says. The same cases run natively in the policy's crate.

mod desk;
mod events;
mod records;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use berth_core::{Chooser, LaneView, WorkerView};
use berth_plugin_host::{
    ChainSpec, Generation, GenerationSpec, Host, HostOptions, Interface, Plugin, PluginPolicy, Plugins, Services, shown,
};
use berth_policy_cases::{self as cases, Answerer, Fault, Function, Reply, Surroundings};
use berth_runtime::{
    clock::Clock,
    plugins::{ConsumerError, EventsConsumer, KvTransaction},
    policy::{
        ExecutionQuestion, Policy, PolicyError, WorkerQuestion,
        hooks::{AttemptQuestion, CreateQuestion, MatchQuestion, PruneQuestion, QueueQuestion, UnmatchedQuestion},
    },
};

use self::{
    desk::CaseDesk,
    records::{millis, pairs, requester, score_count, set, timestamp_of},
};
use super::{bundled, settings::Settings, source::digest_of, versions::load_options};

/// How long a case may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// A component, loaded with the configuration of the case that it is asked.
pub(crate) struct ComponentAnswerer {
    host: Host,
    desk: Arc<CaseDesk>,
    now_ms: Arc<AtomicU64>,
    name: String,
    component: Vec<u8>,
    /// Whether it comes with Berth.
    bundled: bool,
    settings: Settings,
    loaded: Option<(String, Arc<Plugin>, Arc<PluginPolicy>)>,
    /// What a case leaves out of the operator's configuration is the operator's.
    base: Settings,
}

impl ComponentAnswerer {
    /// In a host with the limits of `host`, which shares nothing with it but the compiled code.
    pub(crate) fn new(options: HostOptions, name: &str, component: &[u8], settings: &Settings) -> Result<Self, String> {
        let now_ms = Arc::new(AtomicU64::new(0));
        let desk = Arc::new(CaseDesk::default());
        let of_clock = Arc::clone(&now_ms);
        let services = Services {
            clock: Clock::from_fn(move || timestamp_of(of_clock.load(Relaxed))),
            desk: desk.clone(),
            ..Services::default()
        };
        let host = Host::with(HostOptions { services, ..options }).map_err(|error| error.to_string())?;
        Ok(Self {
            host,
            desk,
            now_ms,
            name: name.to_owned(),
            component: component.to_vec(),
            bundled: bundled::component(&digest_of(component)).is_some(),
            settings: settings.clone(),
            loaded: None,
            base: settings.clone(),
        })
    }

    /// The plugin with the configuration of the last case.
    pub(crate) fn plugin(&mut self) -> Result<Arc<Plugin>, Fault> {
        Ok(self.policy()?.0)
    }

    fn policy(&mut self) -> Result<(Arc<Plugin>, Arc<PluginPolicy>), Fault> {
        let config = self.settings.config_json();
        if let Some((_, plugin, policy)) = self.loaded.as_ref().filter(|(loaded, ..)| *loaded == config) {
            return Ok((Arc::clone(plugin), Arc::clone(policy)));
        }
        let faulted = |error: &dyn std::fmt::Display| Fault::Faulted(error.to_string());
        // Room for one: the old one goes first.
        self.loaded = None;
        let mut options = load_options(&self.host, &self.settings, self.bundled);
        if let Some(limits) = &mut options.limits {
            // Each case stands for itself.
            limits.faults_max = 0;
            // Cases tell what is answered, and not how fast: this machine may be busy.
            limits.call_deadline = PATIENCE;
            limits.place_deadline = PATIENCE;
            limits.choose_deadline = PATIENCE;
            limits.choose_batch_deadline = PATIENCE;
        }
        let plugin = self.host.load(&self.name, &self.component, options).map_err(|error| faulted(&error))?;
        let generation = everything(&plugin).map_err(|error| faulted(&error))?;
        let policy = Arc::new(PluginPolicy::new(generation));
        self.loaded = Some((config, Arc::clone(&plugin), Arc::clone(&policy)));
        Ok((plugin, policy))
    }

    /// Asks through the policy, as the engine does; an answer that stands for a fault is told as the fault.
    fn ask<A>(
        &mut self,
        function: Function,
        interface: Interface,
        ask: impl FnOnce(&Arc<PluginPolicy>) -> A,
    ) -> Result<A, Fault> {
        let (plugin, policy) = self.policy()?;
        if !plugin.has(interface) {
            return Err(Fault::NotExported(function));
        }
        let before = plugin.faults_all();
        let answer = ask(&policy);
        if plugin.faults_all() == before {
            return Ok(answer);
        }
        let last = plugin.recent_faults().pop();
        Err(Fault::Faulted(last.map_or_else(String::new, |fault| format!("{}: {}", fault.kind.name(), fault.details))))
    }
}

/// A generation in which the plugin answers everything that it exports.
fn everything(plugin: &Arc<Plugin>) -> Result<Generation, berth_plugin_host::SpecError> {
    let name = plugin.name().to_owned();
    let one = |interface| plugin.has(interface).then(|| name.clone());
    let all = |interface| one(interface).into_iter().collect::<Vec<_>>();
    let chain = ChainSpec {
        properties: one(Interface::Properties),
        place: one(Interface::Priority),
        choose: one(Interface::Choosing),
        create_job: all(Interface::CreateJob),
        queue_job: all(Interface::QueueJob),
        after_attempt: all(Interface::AfterAttempt),
        before_prune: all(Interface::BeforePrune),
        ..ChainSpec::default()
    };
    let spec = GenerationSpec { events: all(Interface::Events), ..GenerationSpec::everywhere(chain) };
    Generation::build(&spec, &Plugins::from([(name.clone(), Arc::clone(plugin))]))
}

fn or_refused<T, A>(answer: Result<T, PolicyError>, read: impl FnOnce(T) -> A) -> Reply<A> {
    match answer {
        Ok(answer) => Ok(Ok(read(answer))),
        Err(PolicyError::Fault { plugin }) => Err(Fault::Faulted(plugin)),
        Err(error) => Ok(Err(shown::refusal(error))),
    }
}

impl Answerer for ComponentAnswerer {
    fn surround(&mut self, surroundings: &Surroundings) -> Result<(), Fault> {
        self.settings = self.base.clone();
        if !surroundings.config.is_empty() {
            self.settings.config = surroundings.config.clone();
        }
        self.now_ms.store(surroundings.now_ms, Relaxed);
        self.desk.set(surroundings);
        Ok(())
    }

    fn execution_properties(&mut self, question: &cases::ExecutionQuestion) -> Reply<cases::ExecutionAnswer> {
        let platform = pairs(&question.platform);
        let question = ExecutionQuestion { instance: &question.instance, platform: &platform };
        let answer = self.ask(Function::ExecutionProperties, Interface::Properties, |policy| {
            policy.execution_properties(&question)
        })?;
        or_refused(answer, |answer| shown::execution_answer(&answer))
    }

    fn worker_properties(&mut self, question: &cases::WorkerQuestion) -> Reply<cases::WorkerAnswer> {
        let own = pairs(&question.properties);
        let question = WorkerQuestion { instance: &question.instance, bot_id: &question.bot_id, properties: &own };
        let answer =
            self.ask(Function::WorkerProperties, Interface::Properties, |policy| policy.worker_properties(&question))?;
        or_refused(answer, |answer| shown::worker_answer(&answer))
    }

    fn matches(&mut self, question: &cases::MatchesQuestion) -> Reply<cases::MatchesAnswer> {
        let need = |pair: &cases::Pair| (pair.need.label.as_str().into(), set(&pair.need.requirements));
        let offer = |pair: &cases::Pair| pair.offer.capabilities.iter().map(|own| set(own)).collect::<Vec<_>>();
        let needs: Vec<_> = question.pairs.iter().map(need).collect();
        let offers: Vec<_> = question.pairs.iter().map(offer).collect();
        let count = u32::try_from(question.pairs.len()).map_err(|_| Fault::Faulted("too many pairs".to_owned()))?;
        let each: Vec<_> = (0..count).map(|pair| (pair, pair)).collect();
        let asked = MatchQuestion { instance: &question.instance, needs: &needs, offers: &offers, pairs: &each };
        let fit = self.ask(Function::Matches, Interface::Matching, |policy| policy.matches(&asked))?;
        Ok(Ok(cases::MatchesAnswer { scores: score_count(fit, question.pairs.len())? }))
    }

    fn nobody(&mut self, question: &cases::NobodyQuestion) -> Reply<cases::NobodyAnswer> {
        let requirements = set(&question.requirements);
        let asked = UnmatchedQuestion {
            instance: &question.instance,
            label: &question.label,
            requirements: &requirements,
            jobs: question.jobs,
            oldest: millis(question.oldest_ms),
        };
        let verdict = self.ask(Function::Nobody, Interface::Unmatched, |policy| policy.unmatched(&asked))?;
        verdict.as_ref().map(shown::nobody).map(Ok).ok_or_else(|| Fault::Faulted("it gave no verdict".to_owned()))
    }

    fn place(&mut self, question: &cases::PlaceQuestion) -> Reply<cases::PlaceAnswer> {
        let jobs: Vec<_> = question.jobs.iter().map(records::job).collect();
        let places = self.ask(Function::Place, Interface::Priority, |policy| policy.place(&jobs))?;
        Ok(Ok(cases::PlaceAnswer { places: places.iter().map(shown::place).collect() }))
    }

    fn choose(&mut self, question: &cases::ChooseQuestion) -> Reply<cases::ChooseAnswer> {
        let capabilities: Vec<_> = question.worker.capabilities.iter().map(|own| set(own)).collect();
        let recent: Vec<_> = question.worker.recent.iter().map(String::as_str).collect();
        let worker = WorkerView {
            instance: &question.worker.instance,
            bot_id: &question.worker.bot_id,
            capabilities: &capabilities,
            busy: question.worker.busy,
            slots: question.worker.slots,
            recent: &recent,
        };
        let lanes: Vec<_> = question
            .lanes
            .iter()
            .map(|lane| LaneView {
                name: &lane.name,
                weight: lane.weight,
                queued: lane.queued,
                running: lane.running,
                head_waited: millis(lane.head_waited_ms),
                head_rank: lane.head_rank,
            })
            .collect();
        let plugin = self.plugin()?;
        let calls = || plugin.stats().function(berth_plugin_host::Function::Choose).guest_calls;
        let (before, begun) = (calls(), Instant::now());
        let index = self.ask(Function::Choose, Interface::Choosing, |policy| {
            let mut chooser = policy.chooser();
            loop {
                chooser.begin();
                let index = chooser.choose(&worker, &lanes, question.truncated);
                // The instance for choices is made aside: until it is there, nobody was asked.
                if index.is_some() || calls() > before || begun.elapsed() > PATIENCE {
                    return index;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        })?;
        Ok(Ok(cases::ChooseAnswer { lane: index.map(|index| lanes[index].name.to_owned()) }))
    }

    fn before_create_job(&mut self, question: &cases::CreateJobQuestion) -> Reply<cases::CreateJobAnswer> {
        let (environment, platform) = (pairs(&question.environment), pairs(&question.platform));
        let asked = CreateQuestion {
            requester: requester(&question.requester),
            action_digest: &question.action_digest,
            arguments: &question.arguments,
            environment: &environment,
            platform: &platform,
            priority: question.priority,
            timeout: question.timeout_ms.map(millis),
            do_not_cache: question.do_not_cache,
            input_bytes: question.input_bytes,
        };
        let answer =
            self.ask(Function::BeforeCreateJob, Interface::CreateJob, |policy| policy.before_create_job(&asked))?;
        or_refused(answer, |answer| shown::create_job_answer(&answer))
    }

    fn before_queue_job(&mut self, question: &cases::QueueJobQuestion) -> Reply<cases::QueueJobAnswer> {
        let requirements = set(&question.requirements);
        let asked = QueueQuestion {
            requester: requester(&question.requester),
            action_digest: &question.action_digest,
            label: &question.label,
            requirements: &requirements,
            lane: &question.lane,
            rank: question.rank,
            bots: question.bots,
        };
        let answer =
            self.ask(Function::BeforeQueueJob, Interface::QueueJob, |policy| policy.before_queue_job(&asked))?;
        or_refused(answer, |answer| shown::queue_job_answer(&answer))
    }

    fn after_attempt(&mut self, question: &cases::AfterAttemptQuestion) -> Reply<cases::AfterAttemptAnswer> {
        let requirements = set(&question.requirements);
        let asked = AttemptQuestion {
            requester: requester(&question.requester),
            job: &question.job,
            action_digest: &question.action_digest,
            label: &question.label,
            requirements: &requirements,
            reason: records::reason(question.reason),
            code: records::code(question.code),
            message: &question.message,
            exit_code: question.exit_code,
            attempt: question.attempt,
            counted: question.counted,
            counted_max: question.counted_max,
            took: millis(question.took_ms),
            peak_memory_bytes: question.peak_memory_bytes,
            bot_id: &question.bot_id,
            bot_failures: question.bot_failures,
            bot_attempts: question.bot_attempts,
            failed_bots: question.failed_bots,
        };
        let answer =
            self.ask(Function::AfterAttempt, Interface::AfterAttempt, |policy| policy.after_attempt(&asked))?;
        answer.as_ref().map(shown::verdict).map(Ok).ok_or_else(|| Fault::Faulted("it gave no verdict".to_owned()))
    }

    fn before_prune(&mut self, question: &cases::BeforePruneQuestion) -> Reply<cases::BeforePruneAnswer> {
        let mut jobs = Vec::with_capacity(question.jobs.len());
        for job in &question.jobs {
            jobs.push(PruneQuestion {
                requester: requester(&job.requester),
                job: &job.job,
                action_digest: &job.action_digest,
                code: records::code(job.code),
                ended: millis(job.ended_ms),
            });
        }
        let kept = self.ask(Function::BeforePrune, Interface::BeforePrune, |policy| policy.before_prune(&jobs))?;
        Ok(Ok(cases::BeforePruneAnswer { keep_ms: kept.into_iter().map(shown::as_millis).collect() }))
    }

    fn on_events(&mut self, question: &cases::EventsQuestion) -> Reply<cases::EventsAnswer> {
        let events: Vec<_> = question.events.iter().map(events::native).collect();
        let (before, name) = (self.desk.table(), self.name.clone());
        let limits = self.policy()?.0.limits().kv;
        let mut kv = KvTransaction::new(before.clone(), limits);
        let told = self
            .ask(Function::OnEvents, Interface::Events, |policy| policy.listener(name).on_events(&mut kv, &events))?;
        let (error, table) = match told {
            Ok(()) => (None, kv.outcome()),
            Err(ConsumerError::Refused(error)) => (Some(error), before),
            Err(ConsumerError::Fault(fault)) => return Err(Fault::Faulted(fault)),
        };
        let rows = table.entries().map(|(key, value)| (key.to_string(), cases::Bytes(value.to_vec())));
        Ok(Ok(cases::EventsAnswer { error, kv: rows.collect() }))
    }
}
