//! The threads that serve connections: one a core, each with a runtime of its own on which its connections stay.
//!
//! A runtime of one thread runs its tasks in the order in which they became ready. So all calls that a commit answers
//! run one after the other, and only then their connections: each writes once for all of them. A runtime of many
//! threads would run a connection as soon as one of its calls is answered, and write for each. What blocks goes to the
//! blocking threads of these runtimes; what is not for connections (bots, HTTP, housekeeping) runs elsewhere.
//!
//! `gather.rs` is the stream that a gRPC connection reads and writes, `plain.rs` serves connections that are not gRPC.

mod gather;
mod plain;

use std::{
    io,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use anyhow::Context;
use berth_runtime::home;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tokio_util::sync::CancellationToken;
use tonic::{
    service::Routes,
    transport::{Error, Server},
};

use self::gather::Gather;
pub(crate) use self::plain::Plain;

/// Connections that a thread was not yet told of; when so many wait, none is accepted.
const WAITING_MAX: usize = 64;

/// After a failed accept, which usually means too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// How long blocking work may hold the end of a thread.
const END_MAX: Duration = Duration::from_secs(1);

/// The threads. They end when this is dropped.
pub(crate) struct Doors {
    threads: Vec<Thread>,
    /// For the driver, if it is not to share a thread with connections.
    driver: Option<Thread>,
    /// Connections that are open.
    connections: Arc<AtomicU64>,
}

/// A thread with a runtime of its own.
struct Thread {
    runtime: Handle,
    /// Dropped: the thread ends.
    _stay: oneshot::Sender<()>,
}

/// What serves connections now.
pub(crate) struct Serving {
    servers: JoinSet<Result<(), Error>>,
    stop: CancellationToken,
}

impl Doors {
    /// As many as there are cores.
    pub(crate) fn build() -> anyhow::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = (0..cores).map(|number| Thread::start(format!("grpc-{number}"))).collect::<Result<_, _>>()?;
        // On one core a thread of its own would only cost switches, and smaller batches.
        let driver = if cores > 1 { Some(Thread::start("driver".into())?) } else { None };
        Ok(Self { threads, driver, connections: Arc::default() })
    }

    /// How many gRPC connections are open.
    pub(crate) fn connections(&self) -> Arc<AtomicU64> {
        self.connections.clone()
    }

    /// Where the driver of a partition belongs.
    pub(crate) fn driver(&self) -> &Handle {
        &self.driver.as_ref().unwrap_or(&self.threads[0]).runtime
    }

    /// Accepts connections and deals them to the threads, one after the other.
    pub(crate) fn serve(&self, listener: TcpListener, transport: &mut Server, routes: &Routes) -> Serving {
        let stop = CancellationToken::new();
        let mut servers = JoinSet::new();
        let mut doors = Vec::with_capacity(self.threads.len());
        for thread in &self.threads {
            let (door, arrivals) = mpsc::channel(WAITING_MAX);
            doors.push(door);
            // Made a stream of the thread's runtime only there: that is what wakes its tasks.
            let open = self.connections.clone();
            let incoming = ReceiverStream::new(arrivals)
                .map(move |stream| TcpStream::from_std(stream).map(|stream| Gather::counted(stream, open.clone())));
            let server = transport.add_routes(routes.clone());
            let stopped = stop.clone().cancelled_owned();
            servers.spawn_on(server.serve_with_incoming_shutdown(incoming, stopped), &thread.runtime);
        }
        tokio::spawn(accept(listener, doors, stop.clone()));
        Serving { servers, stop }
    }
}

impl Serving {
    /// Waits for one of the threads' servers to end.
    pub(crate) async fn ended(&mut self) -> Option<Result<Result<(), Error>, tokio::task::JoinError>> {
        self.servers.join_next().await
    }

    /// Accepts nothing more, and waits until all connections have ended.
    pub(crate) async fn stop(&mut self) {
        self.stop.cancel();
        while self.servers.join_next().await.is_some() {}
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Thread {
    fn start(name: String) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .with_context(|| format!("the runtime of {name} cannot start"))?;
        let handle = runtime.handle().clone();
        let (stay, leave) = oneshot::channel::<()>();
        let work = move || {
            runtime.block_on(async {
                home::settle();
                // Never sent: it is dropped.
                let _ = leave.await;
            });
            runtime.shutdown_timeout(END_MAX);
        };
        std::thread::Builder::new().name(name).spawn(work).context("no thread for connections")?;
        Ok(Self { runtime: handle, _stay: stay })
    }
}

async fn accept(listener: TcpListener, doors: Vec<mpsc::Sender<std::net::TcpStream>>, stop: CancellationToken) {
    let mut next = 0;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted.and_then(|(stream, _)| own(stream)),
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok(stream) => {
                if doors[next].send(stream).await.is_err() {
                    // Its server has ended: the whole process is about to.
                    return;
                }
                next = (next + 1) % doors.len();
            }
            Err(error) => {
                tracing::warn!(%error, "a connection is not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Takes a stream out of this runtime. Small messages leave at once.
fn own(stream: TcpStream) -> io::Result<std::net::TcpStream> {
    stream.set_nodelay(true)?;
    stream.into_std()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use tokio::io::AsyncReadExt;

    use super::*;

    #[test]
    fn connections_are_dealt_evenly_and_end_when_serving_stops() {
        let doors = Doors {
            threads: ["a", "b", "c"].map(|name| Thread::start(name.into()).unwrap()).into(),
            driver: None,
            connections: Arc::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let mut serving = doors.serve(listener, &mut Server::builder(), &Routes::default());
            let mut streams = Vec::new();
            for _ in 0..6 {
                let mut stream = TcpStream::connect(address).await.unwrap();
                // The server's settings: it has been dealt to a thread.
                stream.read_exact(&mut [0; 9]).await.unwrap();
                streams.push(stream);
            }
            let connections = doors.threads.iter().map(|thread| thread.runtime.metrics().num_alive_tasks());
            // A connection's task beside the home's and the server's.
            assert_eq!(connections.collect::<Vec<_>>(), [4; 3]);
            assert_eq!(doors.connections().load(Relaxed), 6);
            drop(streams);
            serving.stop().await;
            assert_eq!(doors.connections().load(Relaxed), 0);
            assert!(TcpStream::connect(address).await.is_err());
        });
    }
}
