//! What a client hears of its operation: the state at once, then each change, `done` last.

use std::sync::Arc;

use berth_core::{OperationView, Stage};
use berth_proto::longrunning::Operation;
use berth_runtime::{EngineError, History};
use futures::{Stream, stream};
use tokio::{sync::watch, time};
use tonic::Status;

use crate::{config::Config, error::Error, operation};

struct State {
    history: History,
    updates: watch::Receiver<OperationView>,
    config: Arc<Config>,
    /// What was told last.
    told: Option<Stage>,
}

/// Ends after the message that says `done`. If the engine stops before, the last item is UNAVAILABLE: the client
/// shall come back with WaitExecution.
pub(super) fn updates(
    history: History,
    updates: watch::Receiver<OperationView>,
    config: Arc<Config>,
) -> impl Stream<Item = Result<Operation, Status>> + Send {
    let state = State { history, updates, config, told: None };
    stream::unfold(Some(state), |state| async {
        let mut state = state?;
        match state.next().await {
            Ok(operation) if operation.done => Some((Ok(operation), None)),
            Ok(operation) => Some((Ok(operation), Some(state))),
            Err(error) => Some((Err(error.into()), None)),
        }
    })
}

impl State {
    async fn next(&mut self) -> Result<Operation, Error> {
        if self.told.is_some() {
            self.changed().await?;
        }
        let view = self.updates.borrow_and_update().clone();
        let operation = operation::operation(&self.history, &view, &self.config).await?;
        self.told = Some(view.stage);
        Ok(operation)
    }

    /// Waits until there is something new to tell, or it is time to say the same again.
    async fn changed(&mut self) -> Result<(), Error> {
        loop {
            match time::timeout(self.config.stream_keepalive, self.updates.changed()).await {
                Ok(Ok(())) if Some(&self.updates.borrow().stage) == self.told.as_ref() => {}
                Ok(Ok(())) | Err(_) => return Ok(()),
                Ok(Err(_stopped)) => return Err(EngineError::Stopping.into()),
            }
        }
    }
}
