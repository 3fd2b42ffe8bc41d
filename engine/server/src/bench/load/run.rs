//! What the tasks of one run share: who takes which job, when it began, what was measured.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use super::{corpus::Corpus, plan::Plan};
use crate::bench::measure;

pub(super) struct Run {
    pub(super) plan: Plan,
    pub(super) corpus: Corpus,
    server_pid: Option<u32>,
    base: Instant,
    /// Nanoseconds from `base` to the Execute of each job.
    starts: Vec<AtomicU64>,
    next: AtomicU64,
    finished: AtomicU64,
    leased: AtomicU64,
    times: Mutex<Times>,
}

/// Microseconds, of the measured jobs.
struct Times {
    to_lease: Histogram<u64>,
    to_done: Histogram<u64>,
    begin: Option<Mark>,
    end: Option<Mark>,
}

/// The clocks at one moment.
struct Mark {
    at: Instant,
    generator: Duration,
    server: Option<Duration>,
}

/// What came out.
#[derive(Clone, Debug)]
pub(in crate::bench) struct Measured {
    pub(in crate::bench) jobs: u64,
    /// All jobs, those outside of the clock too.
    pub(in crate::bench) jobs_in_all: u64,
    pub(in crate::bench) jobs_per_s: f64,
    pub(in crate::bench) server_cpu_us: Option<f64>,
    pub(in crate::bench) generator_cpu_us: f64,
    pub(in crate::bench) to_lease: Option<Latency>,
    pub(in crate::bench) to_done: Option<Latency>,
}

#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Latency {
    pub(in crate::bench) p50_ms: f64,
    pub(in crate::bench) p99_ms: f64,
}

impl Measured {
    /// Cores that the server kept busy.
    pub(in crate::bench) fn server_busy(&self) -> Option<f64> {
        self.server_cpu_us.map(|cpu| cpu * self.jobs_per_s / 1e6)
    }
}

impl Run {
    pub(super) fn new(plan: Plan, corpus: Corpus, server_pid: Option<u32>) -> Self {
        let histogram = || Histogram::new(3).expect("three digits are allowed");
        let starts = (0..plan.total()).map(|_| AtomicU64::new(0)).collect();
        let times = Times { to_lease: histogram(), to_done: histogram(), begin: None, end: None };
        Self {
            plan,
            corpus,
            server_pid,
            base: Instant::now(),
            starts,
            next: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            leased: AtomicU64::new(0),
            times: Mutex::new(times),
        }
    }

    /// The next job; `None`: there are no more.
    pub(super) fn take(&self) -> Option<u64> {
        let job = self.next.fetch_add(1, Relaxed);
        (job < self.plan.total()).then_some(job)
    }

    pub(super) fn started(&self, job: u64) {
        self.starts[job as usize].store(self.elapsed_ns(), Relaxed);
    }

    pub(super) fn leased(&self, job: u64) {
        if self.counts(self.leased.fetch_add(1, Relaxed)) {
            let took = self.since_start_us(job);
            self.times().to_lease.record(took).expect("a histogram grows as needed");
        }
    }

    pub(super) fn done(&self, job: u64) {
        let number = self.finished.fetch_add(1, Relaxed);
        if self.counts(number) {
            let took = self.since_start_us(job);
            self.times().to_done.record(took).expect("a histogram grows as needed");
        }
        if number == self.plan.warm() {
            self.times().begin = Some(self.mark());
        } else if number == self.plan.warm() + self.plan.jobs {
            self.times().end = Some(self.mark());
        }
    }

    pub(super) fn measured(&self) -> anyhow::Result<Measured> {
        let times = self.times();
        let (Some(begin), Some(end)) = (&times.begin, &times.end) else {
            anyhow::bail!("the run ended before all jobs were measured");
        };
        let jobs = self.plan.jobs as f64;
        let per_job = |begin: Duration, end: Duration| end.saturating_sub(begin).as_secs_f64() * 1e6 / jobs;
        Ok(Measured {
            jobs: self.plan.jobs,
            jobs_in_all: self.plan.total(),
            jobs_per_s: jobs / (end.at - begin.at).as_secs_f64(),
            server_cpu_us: begin.server.zip(end.server).map(|(begin, end)| per_job(begin, end)),
            generator_cpu_us: per_job(begin.generator, end.generator),
            to_lease: latency(&times.to_lease),
            to_done: latency(&times.to_done),
        })
    }

    /// Whether the n-th of its kind is among those that are measured.
    fn counts(&self, number: u64) -> bool {
        (self.plan.warm()..self.plan.warm() + self.plan.jobs).contains(&number)
    }

    fn mark(&self) -> Mark {
        Mark {
            at: Instant::now(),
            generator: measure::process_cpu(),
            server: self.server_pid.and_then(measure::cpu_of),
        }
    }

    fn since_start_us(&self, job: u64) -> u64 {
        let start = self.starts.get(job as usize).map_or(0, |start| start.load(Relaxed));
        self.elapsed_ns().saturating_sub(start) / 1_000
    }

    fn elapsed_ns(&self) -> u64 {
        u64::try_from(self.base.elapsed().as_nanos()).expect("a bench is over within centuries")
    }

    fn times(&self) -> std::sync::MutexGuard<'_, Times> {
        self.times.lock().expect("nobody panics while holding it")
    }
}

fn latency(histogram: &Histogram<u64>) -> Option<Latency> {
    let ms = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
    (!histogram.is_empty()).then(|| Latency { p50_ms: ms(0.5), p99_ms: ms(0.99) })
}
