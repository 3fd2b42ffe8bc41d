//! Build clients: each submits, and follows, drops or cancels what it submitted; a cut stream is taken up again.

use std::sync::Arc;

use berth_e2e::{Client, Job, Site, within};
use berth_proto::longrunning::Operation;
use rand::{RngExt, rngs::StdRng};
use tokio::sync::watch;
use tonic::{Code, Status, Streaming};

use super::accounts::Accounts;

/// What kind of action an operation is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Cacheable, submitted once.
    Single,
    /// Cacheable, submitted by several clients at about the same time.
    Shared,
    /// Not to be cached, and so never merged.
    Uncached,
    /// As before, and cancelled by its client.
    Cancelled,
}

impl Kind {
    pub(super) fn is_cacheable(self) -> bool {
        matches!(self, Self::Single | Self::Shared)
    }
}

/// Submits one operation after the other until it is told to stop.
pub(super) async fn work(site: Arc<Site>, accounts: Arc<Accounts>, mut random: StdRng, stopped: watch::Receiver<bool>) {
    let mut client = site.client().await;
    while !*stopped.borrow() {
        let (kind, job) = draw(&accounts, &mut random);
        let (name, stream) = match within("an answer to Execute", begin(&client, &accounts, &job)).await {
            Ok(begun) => begun,
            Err(status) => {
                if status.code() == Code::FailedPrecondition {
                    accounts.wrong(format!("a blob that was acknowledged is lost: {status:?}"));
                }
                client = site.client().await;
                continue;
            }
        };
        accounts.acknowledged(&name, &job.salt, kind);
        match kind {
            Kind::Cancelled => match client.cancel(&name).await {
                Ok(()) => accounts.cancelled(),
                Err(status) if status.code() == Code::NotFound => accounts.lost(&name, &status),
                // Not acknowledged: it may be cancelled, or not.
                Err(_) => {}
            },
            // Nobody listens any more; the operation is looked for at the end.
            Kind::Single | Kind::Shared | Kind::Uncached if random.random_bool(0.2) => continue,
            Kind::Single | Kind::Shared | Kind::Uncached => {}
        }
        if !read(&accounts, &name, stream).await {
            follow(&site, &accounts, name).await;
            client = site.client().await;
        }
    }
}

fn draw(accounts: &Accounts, random: &mut StdRng) -> (Kind, Job) {
    let number = accounts.next_number();
    let kind = match random.random_range(0..20) {
        0..10 => Kind::Single,
        10..15 => Kind::Shared,
        15..18 => Kind::Uncached,
        _ => Kind::Cancelled,
    };
    let salt = match kind {
        Kind::Shared => format!("shared-{}", number / 20),
        Kind::Single | Kind::Uncached | Kind::Cancelled => number.to_string(),
    };
    let priority = random.random_range(-2..3);
    // Small blobs are stored as rows, large ones as files: both have to last. What is shared is the same for all.
    let large = kind != Kind::Shared && random.random_bool(0.15);
    let input = if large { vec![random.random(); 100_000].into() } else { Default::default() };
    (kind, Job { priority, do_not_cache: !kind.is_cacheable(), input, ..Job::new(salt) })
}

/// Ends when the operation is acknowledged.
async fn begin(client: &Client, accounts: &Accounts, job: &Job) -> Result<(String, Streaming<Operation>), Status> {
    let request = client.prepare(job).await?;
    accounts.stored(job);
    let mut stream = client.execute(request).await?;
    let first = stream.message().await?.ok_or_else(|| Status::unknown("an empty stream"))?;
    // The first message may be the last, too: what it says is asked for again.
    let stream = if first.done { client.wait(&first.name).await? } else { stream };
    Ok((first.name, stream))
}

/// Reads a stream to its end; answers whether that is the end of the operation.
async fn read(accounts: &Accounts, name: &str, mut stream: Streaming<Operation>) -> bool {
    loop {
        match within("news of an operation", stream.message()).await {
            Ok(Some(operation)) if operation.done => {
                accounts.ended(name, operation);
                return true;
            }
            Ok(Some(_)) => {}
            Ok(None) => {
                accounts.wrong(format!("a stream of {name} ended well before the operation did"));
                return false;
            }
            Err(_) => return false,
        }
    }
}

/// Takes an operation up, again and again, until it has ended.
pub(super) async fn follow(site: &Site, accounts: &Accounts, name: String) {
    loop {
        let client = site.client().await;
        accounts.reconnected();
        match client.wait(&name).await {
            Ok(stream) => {
                if read(accounts, &name, stream).await {
                    return;
                }
            }
            Err(status) if status.code() == Code::NotFound => {
                accounts.lost(&name, &status);
                return;
            }
            Err(_) => {}
        }
    }
}
