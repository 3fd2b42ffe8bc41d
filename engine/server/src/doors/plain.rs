//! Connections of a protocol that is not gRPC, dealt to the same threads.

use std::time::Duration;

use tokio::{net::TcpListener, net::TcpStream, runtime::Handle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{ACCEPT_PAUSE, Doors, own};

/// What serves connections now. They are told to end when this is dropped.
pub(crate) struct Plain {
    connections: TaskTracker,
    stop: CancellationToken,
}

impl Doors {
    /// Accepts connections, deals them to the threads one after the other, and has each served there until it ends or
    /// the token says that it should.
    pub(crate) fn serve_plain<S, F>(&self, listener: TcpListener, serve: S) -> Plain
    where
        S: Fn(TcpStream, CancellationToken) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let plain = Plain { connections: TaskTracker::new(), stop: CancellationToken::new() };
        let threads: Vec<Handle> = self.threads.iter().map(|thread| thread.runtime.clone()).collect();
        tokio::spawn(accept(listener, threads, serve, plain.connections.clone(), plain.stop.clone()));
        plain
    }
}

impl Plain {
    /// Accepts nothing more, and waits until all connections have ended, but not longer than this.
    pub(crate) async fn stop(&self, patience: Duration) {
        self.stop.cancel();
        self.connections.close();
        if tokio::time::timeout(patience, self.connections.wait()).await.is_err() {
            tracing::info!("some connections did not end in time and are cut");
        }
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept<S, F>(
    listener: TcpListener,
    threads: Vec<Handle>,
    serve: S,
    connections: TaskTracker,
    stop: CancellationToken,
) where
    S: Fn(TcpStream, CancellationToken) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    for thread in threads.iter().cycle() {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted.and_then(|(stream, _)| own(stream)),
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok(stream) => {
                let (serve, stop) = (serve.clone(), stop.clone());
                let connection = async move {
                    // Made a stream of the thread's runtime only there: that is what wakes its tasks.
                    match TcpStream::from_std(stream) {
                        Ok(stream) => serve(stream, stop).await,
                        Err(error) => tracing::warn!(%error, "a connection is lost"),
                    }
                };
                connections.spawn_on(connection, thread);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection is not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
