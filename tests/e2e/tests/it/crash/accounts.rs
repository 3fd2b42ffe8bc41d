//! What everybody was told, and what of it contradicts something else.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard},
};

use berth_e2e::{Job, code, salt, stdout};
use berth_proto::{bots::Lease, longrunning::Operation, reapi::Digest};
use tokio::sync::watch;
use tonic::{Code, Status};

use super::clients::Kind;

/// The books of a storm.
pub(super) struct Accounts {
    books: Mutex<Books>,
    progress: watch::Sender<u64>,
}

#[derive(Default)]
struct Books {
    operations: BTreeMap<String, Promise>,
    /// Who works on a job, by the job's part of the lease.
    holders: HashMap<String, Holder>,
    /// Leases that a bot reported as done well, whether or not it was heard, with the salt of the action.
    reported: HashMap<String, String>,
    /// Leases of which a bot knows that its report of success was taken, by salt and job.
    taken: BTreeMap<(String, String), BTreeSet<String>>,
    /// Blobs that the storage has acknowledged, by hash.
    stored: BTreeMap<String, Digest>,
    wrong: Vec<String>,
    next: u64,
    counts: Counts,
}

/// An operation that was acknowledged.
struct Promise {
    salt: String,
    kind: Kind,
    end: End,
}

enum End {
    Open,
    Done(Box<Operation>),
    Lost,
}

struct Holder {
    bot: u64,
    lease: String,
}

#[derive(Default)]
struct Counts {
    cancels: u64,
    reconnects: u64,
    leases: u64,
    failures: u64,
    forgotten: u64,
    resent: u64,
}

impl Accounts {
    pub(super) fn new() -> Self {
        Self { books: Mutex::default(), progress: watch::Sender::new(0) }
    }

    /// Counts operations that were acknowledged or have ended.
    pub(super) fn progress(&self) -> watch::Receiver<u64> {
        self.progress.subscribe()
    }

    pub(super) fn next_number(&self) -> u64 {
        let mut books = self.books();
        books.next += 1;
        books.next
    }

    // What clients learn.

    pub(super) fn acknowledged(&self, name: &str, salt: &str, kind: Kind) {
        let promise = Promise { salt: salt.into(), kind, end: End::Open };
        if self.books().operations.insert(name.into(), promise).is_some() {
            self.wrong(format!("{name} was acknowledged to two requests"));
        }
        self.progress.send_modify(|count| *count += 1);
    }

    /// The blobs of a job were taken.
    pub(super) fn stored(&self, job: &Job) {
        self.books().stored.extend(job.blobs().into_iter().map(|blob| (blob.hash.clone(), blob)));
    }

    /// Every blob that was taken.
    pub(super) fn stored_blobs(&self) -> Vec<Digest> {
        self.books().stored.values().cloned().collect()
    }

    pub(super) fn cancelled(&self) {
        self.books().counts.cancels += 1;
    }

    pub(super) fn reconnected(&self) {
        self.books().counts.reconnects += 1;
    }

    pub(super) fn ended(&self, name: &str, operation: Operation) {
        let mut books = self.books();
        let promise = books.operations.get_mut(name).expect("only acknowledged operations are followed");
        let wrong = match &promise.end {
            End::Open => {
                promise.end = End::Done(Box::new(operation));
                None
            }
            End::Done(before) if **before == operation => None,
            End::Done(before) => Some(format!("{name} ended as {before:?}, and then as {operation:?}")),
            End::Lost => Some(format!("{name} was lost and is back")),
        };
        books.wrong.extend(wrong);
        drop(books);
        self.progress.send_modify(|count| *count += 1);
    }

    pub(super) fn lost(&self, name: &str, status: &Status) {
        let mut books = self.books();
        books.operations.get_mut(name).expect("only acknowledged operations are followed").end = End::Lost;
        books.wrong.push(format!("operation {name} was acknowledged and is lost: {status:?}"));
        drop(books);
        self.progress.send_modify(|count| *count += 1);
    }

    /// Operations of which nobody knows the end.
    pub(super) fn open_operations(&self) -> Vec<String> {
        let books = self.books();
        let open = books.operations.iter().filter(|(_, promise)| matches!(promise.end, End::Open));
        open.map(|(name, _)| name.clone()).collect()
    }

    /// Operations that have ended, and how.
    pub(super) fn ended_operations(&self) -> Vec<(String, Operation)> {
        let ended = |(name, promise): (&String, &Promise)| match &promise.end {
            End::Done(operation) => Some((name.clone(), Operation::clone(operation))),
            End::Open | End::Lost => None,
        };
        self.books().operations.iter().filter_map(ended).collect()
    }

    // What bots learn.

    /// A bot was given a lease that it did not have.
    pub(super) fn given(&self, bot: u64, lease: &Lease) {
        let mut books = self.books();
        books.counts.leases += 1;
        let holder = Holder { bot, lease: lease.id.clone() };
        if let Some(other) = books.holders.insert(job(&lease.id), holder) {
            let line = format!("bot {bot} got {} while bot {} held {}", lease.id, other.bot, other.lease);
            books.wrong.push(line);
        }
    }

    /// A bot stops working on a lease: it is about to report, it was told to, or it forgot.
    pub(super) fn put_down(&self, bot: u64, lease: &Lease) {
        let mut books = self.books();
        let job = job(&lease.id);
        if books.holders.get(&job).is_some_and(|holder| holder.bot == bot && holder.lease == lease.id) {
            books.holders.remove(&job);
        }
    }

    /// A bot is about to report a lease as done well.
    pub(super) fn will_report(&self, lease: &Lease) {
        self.books().reported.insert(lease.id.clone(), salt(lease));
    }

    /// A bot knows that its report was heard.
    pub(super) fn heard(&self, lease: &Lease) {
        let key = (salt(lease), job(&lease.id));
        self.books().taken.entry(key).or_default().insert(lease.id.clone());
    }

    pub(super) fn failed(&self) {
        self.books().counts.failures += 1;
    }

    pub(super) fn forgot(&self) {
        self.books().counts.forgotten += 1;
    }

    pub(super) fn resent(&self) {
        self.books().counts.resent += 1;
    }

    // What comes of it.

    pub(super) fn wrong(&self, line: String) {
        self.books().wrong.push(line);
    }

    /// Everything that is wrong.
    pub(super) fn balance(&self) -> Vec<String> {
        let mut books = self.books();
        let mut wrong = std::mem::take(&mut books.wrong);
        books.check_ends(&mut wrong);
        books.check_work(&mut wrong);
        wrong
    }

    pub(super) fn counts(&self) -> String {
        let books = self.books();
        let done = books.operations.values().filter(|promise| matches!(promise.end, End::Done(_))).count();
        let Counts { cancels, reconnects, leases, failures, forgotten, resent } = &books.counts;
        format!(
            "{} operations acknowledged, {done} ended ({cancels} cancels acknowledged), {reconnects} streams taken up \
             again; {leases} leases, {} done and heard, {resent} reports sent again, {failures} failed attempts, \
             {forgotten} bots that forgot all",
            books.operations.len(),
            books.taken.values().map(BTreeSet::len).sum::<usize>()
        )
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("no code panics with the books open")
    }
}

impl Books {
    /// Each operation ended, for a reason; operations of one cacheable action all with the result of one lease.
    fn check_ends(&self, wrong: &mut Vec<String>) {
        let mut results: HashMap<&str, String> = HashMap::new();
        for (name, promise) in &self.operations {
            let operation = match &promise.end {
                End::Done(operation) => operation,
                End::Lost => continue,
                End::Open => {
                    wrong.push(format!("{name} was acknowledged and never ended"));
                    continue;
                }
            };
            match (code(operation), promise.kind) {
                (Code::Ok, _) => {}
                (Code::Cancelled, Kind::Cancelled) => continue,
                (code, kind) => {
                    wrong.push(format!("{name} ({kind:?}) ended as {code:?}: {operation:?}"));
                    continue;
                }
            }
            let result = stdout(operation);
            if self.reported.get(&result) != Some(&promise.salt) {
                wrong.push(format!("{name} has the result {result}, which no bot reported for it"));
            }
            if promise.kind.is_cacheable() {
                let first = results.entry(&promise.salt).or_insert_with(|| result.clone());
                if *first != result {
                    wrong.push(format!("{name} has the result {result}, another of {} has {first}", promise.salt));
                }
            }
        }
    }

    /// No job, and no cacheable action, was done and heard of twice.
    fn check_work(&self, wrong: &mut Vec<String>) {
        let cacheable: BTreeSet<&str> =
            self.operations.values().filter(|op| op.kind.is_cacheable()).map(|op| &*op.salt).collect();
        let mut of_action: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
        for ((salt, job), leases) in &self.taken {
            if leases.len() > 1 {
                wrong.push(format!("job {job} was completed by {leases:?}"));
            }
            of_action.entry(salt).or_default().extend(leases);
        }
        of_action.retain(|salt, leases| leases.len() > 1 && cacheable.contains(salt));
        wrong.extend(of_action.iter().map(|(salt, leases)| format!("the action {salt} was completed by {leases:?}")));
    }
}

/// What leases of one job have in common: all but the attempt.
fn job(lease: &str) -> String {
    lease.rsplit_once('-').expect("JOB-ATTEMPT").0.to_owned()
}

/// Each rule is broken once: an account that finds nothing wrong must have been able to.
mod tests {
    use berth_e2e::succeed;
    use berth_proto::{
        any,
        longrunning::operation,
        reapi::{Action, ActionResult, ExecuteResponse},
    };

    use super::*;

    fn lease(salt: &str, id: &str) -> Lease {
        let action = Action { salt: salt.to_owned().into(), ..Action::default() };
        let mut lease = Lease { id: id.into(), payload: Some(any::pack(&action)), ..Lease::default() };
        succeed(&mut lease);
        lease
    }

    fn ended(lease: &Lease) -> Operation {
        let result = Some(any::unpack::<ActionResult>(lease.result.as_ref().expect("it was done")).expect("a result"));
        let response = any::pack(&ExecuteResponse { result, ..ExecuteResponse::default() });
        Operation { done: true, result: Some(operation::Result::Response(response)), ..Operation::default() }
    }

    /// One operation, done by one lease.
    fn balanced() -> (Accounts, Lease) {
        let (accounts, lease) = (Accounts::new(), lease("a", "job-1"));
        accounts.acknowledged("first", "a", Kind::Shared);
        accounts.given(1, &lease);
        accounts.put_down(1, &lease);
        accounts.will_report(&lease);
        accounts.heard(&lease);
        accounts.ended("first", ended(&lease));
        (accounts, lease)
    }

    fn assert_wrong(accounts: &Accounts, words: &str) {
        let wrong = accounts.balance();
        assert!(wrong.iter().any(|line| line.contains(words)), "no {words:?} in {wrong:?}");
    }

    #[test]
    fn accounts_that_balance_have_nothing_wrong() {
        let (accounts, lease) = balanced();
        accounts.acknowledged("second", "a", Kind::Shared);
        accounts.ended("second", ended(&lease));
        assert_eq!(accounts.balance(), Vec::<String>::new());
    }

    #[test]
    fn a_job_that_two_bots_hold_is_noticed() {
        let accounts = Accounts::new();
        accounts.given(1, &lease("a", "job-1"));
        accounts.given(2, &lease("a", "job-2"));
        assert_wrong(&accounts, "bot 2 got job-2 while bot 1 held job-1");
    }

    #[test]
    fn an_end_that_changes_never_comes_or_comes_from_nowhere_is_noticed() {
        let (accounts, _) = balanced();
        accounts.ended("first", ended(&lease("a", "job-2")));
        assert_wrong(&accounts, "and then as");
        let (accounts, _) = balanced();
        accounts.acknowledged("second", "b", Kind::Single);
        assert_wrong(&accounts, "never ended");
        accounts.ended("second", ended(&lease("b", "other-1")));
        assert_wrong(&accounts, "no bot reported");
    }

    #[test]
    fn work_that_was_done_twice_is_noticed() {
        let (accounts, _) = balanced();
        accounts.heard(&lease("a", "job-2"));
        assert_wrong(&accounts, "job job was completed by");
        let (accounts, _) = balanced();
        let other = lease("a", "other-1");
        accounts.heard(&other);
        accounts.will_report(&other);
        accounts.acknowledged("second", "a", Kind::Shared);
        accounts.ended("second", ended(&other));
        assert_wrong(&accounts, "the action a was completed by");
        assert_wrong(&accounts, "another of a has");
    }
}
