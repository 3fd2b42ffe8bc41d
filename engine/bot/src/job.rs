//! One lease from payload to report: fetch, lay out, execute, collect, upload.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use berth_proto::reapi::{Action, ActionResult, Command, ExecutedActionMetadata};
use berth_proto::{any, reapi, rpc};
use prost_types::{Any, Timestamp};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::cache::{FileCache, Loan, Verdict};
use crate::cas::CasClient;
use crate::collect::{Collected, Outputs};
use crate::digest;
use crate::error::Failure;
use crate::execute::{Ended, Setting, execute};
use crate::layout::{Inputs, lay_out};
use crate::scratch::Scratch;
use crate::tree::{InputTree, Plan};

/// What all jobs of a bot share.
pub(crate) struct Workshop {
    pub(crate) bot_id: String,
    /// Absolute: commands run with it as part of their working directory.
    pub(crate) work_dir: PathBuf,
    pub(crate) cas: CasClient,
    pub(crate) cache: Arc<FileCache>,
    /// A job that was dropped holds its slot until its processes and files are gone, even if the server has already
    /// sent the next one.
    pub(crate) slots: Semaphore,
}

/// What a lease reports at its end.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Report {
    pub(crate) status: rpc::Status,
    pub(crate) result: Option<ActionResult>,
}

impl From<Failure> for Report {
    fn from(failure: Failure) -> Self {
        Self { status: failure.status(), result: None }
    }
}

impl Workshop {
    /// Executes what a lease carries. Ends soon after `killed`, with nothing left running.
    pub(crate) async fn work(self: Arc<Self>, payload: Option<Any>, killed: CancellationToken) -> Report {
        let slot = tokio::select! {
            slot = self.slots.acquire() => slot.expect("the semaphore is never closed"),
            () = killed.cancelled() => return Failure::Killed.into(),
        };
        let mut times = ExecutedActionMetadata { worker: self.bot_id.clone(), ..Default::default() };
        times.worker_start_timestamp = now();
        let report = match self.prepare_and_run(payload, &killed, &mut times).await {
            Ok(report) => report,
            Err(failure) => failure.into(),
        };
        drop(slot);
        report
    }

    async fn prepare_and_run(
        self: &Arc<Self>,
        payload: Option<Any>,
        killed: &CancellationToken,
        times: &mut ExecutedActionMetadata,
    ) -> Result<Report, Failure> {
        times.input_fetch_start_timestamp = now();
        let order = Arc::new(unless_killed(killed, self.read_order(payload)).await?);
        let work_dir = self.work_dir.clone();
        let scratch = Arc::new(blocking(move || Scratch::make(&work_dir)).await?);
        let report = self.run(&order, &scratch, killed, times).await;
        let scratch = Arc::into_inner(scratch).expect("all blocking work on it has been awaited");
        blocking(move || scratch.remove()).await;
        report
    }

    /// Everything that the action needs but the content of its files.
    async fn read_order(&self, payload: Option<Any>) -> Result<Order, Failure> {
        let action = self.read_action(payload).await?;
        let command_digest = digest::parse(action.command_digest.as_ref(), "command")?;
        let root_digest = digest::parse(action.input_root_digest.as_ref(), "input root")?;
        let (command, tree) = futures::join!(
            self.cas.read_message::<Command>(&command_digest, "command"),
            InputTree::fetch(&self.cas, root_digest)
        );
        let (command, tree) = both(command, tree)?;
        let timeout = match action.timeout {
            None => None,
            Some(timeout) if timeout.seconds == 0 && timeout.nanos == 0 => None,
            Some(timeout) => Some(
                Duration::try_from(timeout)
                    .map_err(|_| Failure::BadAction("the timeout must not be negative".into()))?,
            ),
        };
        if command.arguments.is_empty() {
            return Err(Failure::BadAction("the command has no arguments".into()));
        }
        Ok(Order { outputs: Outputs::of(&command)?, plan: tree.plan()?, command, timeout })
    }

    async fn read_action(&self, payload: Option<Any>) -> Result<Action, Failure> {
        let payload = payload.ok_or_else(|| Failure::BadAction("the lease has no payload".into()))?;
        let malformed = |error: any::UnpackError| Failure::BadAction(format!("payload of the lease: {error}"));
        if any::is::<Action>(&payload) {
            return any::unpack(&payload).map_err(malformed);
        }
        if any::is::<reapi::Digest>(&payload) {
            let action: reapi::Digest = any::unpack(&payload).map_err(malformed)?;
            return self.cas.read_message(&digest::parse(Some(&action), "action")?, "action").await;
        }
        let found = any::type_name(&payload);
        Err(Failure::BadAction(format!("payload of the lease: expected an Action or a Digest, found {found:?}")))
    }

    async fn run(
        &self,
        order: &Arc<Order>,
        scratch: &Arc<Scratch>,
        killed: &CancellationToken,
        times: &mut ExecutedActionMetadata,
    ) -> Result<Report, Failure> {
        let (mut ended, verdict) = self.run_on(Inputs::Linked, order, scratch, killed, times).await?;
        if verdict == Verdict::Uncertain {
            // See the crate's page on hard links: this result may rest on bytes that another action wrote.
            let emptied = Arc::clone(scratch);
            blocking(move || emptied.reset()).await?;
            (ended, _) = self.run_on(Inputs::Copied, order, scratch, killed, times).await?;
        }
        times.output_upload_start_timestamp = now();
        let Collected { mut result, blobs, mismatch } = order.collect(scratch, killed).await?;
        unless_killed(killed, self.cas.upload(blobs)).await?;
        times.output_upload_completed_timestamp = now();
        times.worker_completed_timestamp = now();
        result.exit_code = ended.exit_code;
        result.execution_metadata = Some(times.clone());
        Ok(Report { status: order.status(ended, mismatch), result: Some(result) })
    }

    /// Lays out the inputs, runs the command, and says whether the inputs were what they should be.
    async fn run_on(
        &self,
        inputs: Inputs,
        order: &Arc<Order>,
        scratch: &Arc<Scratch>,
        killed: &CancellationToken,
        times: &mut ExecutedActionMetadata,
    ) -> Result<(Ended, Verdict), Failure> {
        let keys = order.plan.files.iter().map(|file| file.key).collect();
        let loan = unless_killed(killed, self.cache.borrow(&self.cas, keys)).await?;
        let loan = order.lay_out(scratch, loan, inputs, killed).await?;
        times.input_fetch_completed_timestamp = now();
        times.execution_start_timestamp = now();
        let ended = order.execute(scratch, killed).await;
        times.execution_completed_timestamp = now();
        let verdict = blocking(move || loan.give_back()).await;
        Ok((ended?, verdict))
    }
}

/// An action, read and checked.
struct Order {
    command: Command,
    outputs: Outputs,
    plan: Plan,
    timeout: Option<Duration>,
}

impl Order {
    async fn lay_out(
        self: &Arc<Self>,
        scratch: &Scratch,
        loan: Loan,
        inputs: Inputs,
        killed: &CancellationToken,
    ) -> Result<Loan, Failure> {
        let (order, root, killed) = (Arc::clone(self), scratch.root(), killed.clone());
        blocking(move || lay_out(&root, &order.plan, &order.outputs, &loan, inputs, &killed).map(|()| loan)).await
    }

    async fn execute(&self, scratch: &Scratch, killed: &CancellationToken) -> Result<Ended, Failure> {
        let setting = Setting {
            directory: &scratch.root().join(self.outputs.working_directory()),
            temporary: &scratch.temporary(),
            stdout: &scratch.stdout(),
            stderr: &scratch.stderr(),
            timeout: self.timeout,
        };
        execute(&self.command, setting, killed).await
    }

    async fn collect(
        self: &Arc<Self>,
        scratch: &Arc<Scratch>,
        killed: &CancellationToken,
    ) -> Result<Collected, Failure> {
        let (order, scratch, killed) = (Arc::clone(self), Arc::clone(scratch), killed.clone());
        blocking(move || {
            let mut collected = order.outputs.collect(&scratch.root(), &killed)?;
            collected.add_printed(&scratch.stdout(), &scratch.stderr())?;
            Ok(collected)
        })
        .await
    }

    /// A command that fails is still OK: its exit code says so.
    fn status(&self, ended: Ended, mismatch: Option<String>) -> rpc::Status {
        let (code, message) = match (self.timeout, mismatch) {
            (Some(timeout), _) if ended.timed_out => {
                (Code::DeadlineExceeded, format!("the command was killed at its timeout of {timeout:?}"))
            }
            (_, Some(mismatch)) => (Code::FailedPrecondition, mismatch),
            (_, None) => (Code::Ok, String::new()),
        };
        rpc::Status { code: code as i32, message, ..Default::default() }
    }
}

/// Joins two fetches, so that a client hears of all missing blobs at once.
fn both<A, B>(one: Result<A, Failure>, other: Result<B, Failure>) -> Result<(A, B), Failure> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(Failure::Missing(mut missing)), Err(Failure::Missing(more))) => {
            missing.extend(more);
            Err(Failure::Missing(missing))
        }
        (Err(failure), _) | (_, Err(failure)) => Err(failure),
    }
}

/// For what may be dropped in the middle. Blocking work may not: it is awaited and looks at `killed` itself.
async fn unless_killed<T>(
    killed: &CancellationToken,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        biased;
        () = killed.cancelled() => Err(Failure::Killed),
        result = work => result,
    }
}

/// Runs file work where it holds up nobody.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("blocking work does not panic")
}

fn now() -> Option<Timestamp> {
    Some(SystemTime::now().into())
}
