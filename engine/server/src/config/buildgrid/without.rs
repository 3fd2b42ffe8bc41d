//! What of BuildGrid's configuration has no counterpart: one row a key, or `*` for a thing as a whole.
//!
//! What Berth learns to do moves from here to where its section is read.

/// Berth may do it one day.
const NOT_YET: &str = "this version of Berth has no such option";
const NO_SQL: &str = "Berth keeps its state in a store of its own, in the data folder";
const NO_POLLING: &str =
    "Berth assigns a job when it comes or a bot asks: nothing is polled, and nothing has to be tuned";
const OWN_BLOBS: &str =
    "Berth's own storage is one folder on the disk; for another, run it beside Berth and set cas.address";
const OWN_ACTIONS: &str = "Berth keeps action results in its own storage, or asks the storage of cas.address for them";
const NO_THREADS: &str = "streams and bots that wait take no threads, so that their number need not be bounded";
const OWN_PACE: &str = "Berth looks after it as it is due, in small steps";
const ON_METRICS: &str =
    "figures are on /metrics of the HTTP port, in Prometheus' text, and logs are on standard error";

/// Kind of mapping (its tag, or the key that it is the value of), key, why.
const WITHOUT: &[(&str, &str, &str)] = &[
    ("file", "description", "it says something to readers, not to the server"),
    ("file", "thread-pool-size", NO_THREADS),
    ("file", "maximum-concurrent-rpcs", NO_THREADS),
    ("file", "grpc-compression", "answers are not compressed; blobs may be, by zstd"),
    ("file", "grpc-server-options", "they are options of another implementation of gRPC"),
    ("file", "sentry", "errors are in the log"),
    ("file", "cleanup", "Berth evicts what was used least by itself, when cas.max_bytes or the disk demands it"),
    ("!channel", "credentials", NOT_YET),
    ("authorization", "*", NOT_YET),
    ("monitoring", "*", ON_METRICS),
    ("!metering", "*", NOT_YET),
    ("!sql-connection", "*", NO_SQL),
    ("!redis-connection", "*", "Berth needs no Redis"),
    ("!asset-client", "*", NOT_YET),
    ("!sentry", "*", "errors are in the log"),
    ("!s3-storage", "*", OWN_BLOBS),
    ("!redis-storage", "*", OWN_BLOBS),
    ("!replicated-storage", "*", OWN_BLOBS),
    ("!sharded-storage", "*", OWN_BLOBS),
    ("!size-differentiated-storage", "*", OWN_BLOBS),
    ("!sql-storage", "*", OWN_BLOBS),
    ("!with-cache-storage", "*", OWN_BLOBS),
    ("!redis-fmb-cache", "*", OWN_BLOBS),
    ("!redis-index", "*", "Berth's storage has its index in itself"),
    ("!sql-index", "*", "Berth's storage has its index in itself"),
    ("!remote-storage", "instance-name", "the storage is asked under the client's own instance name"),
    ("!remote-storage", "credentials", NOT_YET),
    ("!remote-storage", "channel-options", "they are options of another implementation of gRPC"),
    ("!remote-storage", "request-timeout", "calls to the storage have limits of Berth's own"),
    ("!remote-storage", "retries", "calls to the storage have limits of Berth's own"),
    ("!remote-storage", "max-backoff", "calls to the storage have limits of Berth's own"),
    ("!lru-action-cache", "max-cached-refs", "results are bounded by bytes together with blobs, not by number"),
    ("!mirrored-action-cache", "*", OWN_ACTIONS),
    ("!redis-action-cache", "*", OWN_ACTIONS),
    ("!remote-action-cache", "*", OWN_ACTIONS),
    ("!s3action-cache", "*", OWN_ACTIONS),
    ("!sharded-action-cache", "*", OWN_ACTIONS),
    ("!with-cache-action-cache", "*", OWN_ACTIONS),
    ("!write-once-action-cache", "*", OWN_ACTIONS),
    ("!sql-scheduler", "sql", NO_SQL),
    ("!sql-scheduler", "sql-ro", NO_SQL),
    ("!sql-scheduler", "sql-notifier", NO_SQL),
    ("!sql-scheduler", "pruner-period", OWN_PACE),
    ("!sql-scheduler", "pruner-max-delete-window", OWN_PACE),
    ("!sql-scheduler", "queue-timeout-period", "a job ends when its time is over, not at the next round"),
    ("!sql-scheduler", "queue-timeout-max-window", "a job ends when its time is over, not at the next round"),
    ("!sql-scheduler", "execution-timer-interval", "a job ends when its time is over, not at the next round"),
    ("!sql-scheduler", "session-expiry-timer-interval", "a session ends when its time is over, not at the next round"),
    ("!sql-scheduler", "poll-interval", NO_POLLING),
    ("!sql-scheduler", "bot-poll-interval", NO_POLLING),
    ("!sql-scheduler", "job-assignment-interval", NO_POLLING),
    ("!sql-scheduler", "metering", NOT_YET),
    ("!sql-scheduler", "metering-throttle-action", NOT_YET),
    ("!sql-scheduler", "logstream", NOT_YET),
    ("!sql-scheduler", "asset-client", NOT_YET),
    ("!sql-scheduler", "queued-action-retention-hours", NOT_YET),
    ("!sql-scheduler", "completed-action-retention-hours", NOT_YET),
    ("!sql-scheduler", "action-result-retention-hours", NOT_YET),
    ("!queue-timeout-thread", "name", "there is no thread to name"),
    ("!queue-timeout-thread", "handling-period", "a job ends when its time is over, not at the next round"),
    ("!queue-timeout-thread", "max-handling-window", "a job ends when its time is over, not at the next round"),
    ("!priority-age-assigner", "name", "there is no thread to name"),
    ("!priority-age-assigner", "count", NO_POLLING),
    ("!priority-age-assigner", "interval", NO_POLLING),
    ("!priority-age-assigner", "failure-backoff", NO_POLLING),
    ("!priority-age-assigner", "jitter-factor", NO_POLLING),
    ("!priority-age-assigner", "busy-sleep-factor", NO_POLLING),
    ("!priority-age-assigner", "instance-names", "all instances of a server are assigned together"),
    ("!cohort-assigner", "name", "there is no thread to name"),
    ("!cohort-assigner", "count", NO_POLLING),
    ("!cohort-assigner", "interval", NO_POLLING),
    ("!cohort-assigner", "failure-backoff", NO_POLLING),
    ("!cohort-assigner", "jitter-factor", NO_POLLING),
    ("!cohort-assigner", "busy-sleep-factor", NO_POLLING),
    ("!cohort-assigner", "instance-names", "all instances of a server are assigned together"),
    ("!sampling-config", "sample-size", "all bots that wait are compared, which costs no more"),
    ("!sampling-config", "max-attempts", "all bots that wait are compared, which costs no more"),
    ("!sampling-weights", "priority", "a policy says how good a bot is, not the bot itself"),
    ("!sampling-weights", "capacity", "among equal bots the one that has waited longest goes first"),
    ("!execution", "command-allowlist", NOT_YET),
    ("!execution", "log-action-input-size", "the whole input tree is looked at anyway, but its size is not logged"),
    ("!cas", "tree-cache-size", "trees are read from the storage"),
    ("!cas", "tree-cache-ttl-minutes", "trees are read from the storage"),
    ("!cas", "tree-cache-redis", "trees are read from the storage"),
    ("!cas", "chunked-by-buildbox-allowed-subjects", "SplitBlob and SpliceBlob are not served"),
    (
        "!bytestream",
        "disable-overwrite-early-return",
        "an upload of a blob that is there always ends early, as the API has it",
    ),
    ("!bytestream", "stream-blob", "blobs are always streamed"),
    ("!memory-build-events", "*", "build events are not served"),
];

/// Why a key of such a mapping, or (`*`) the mapping itself, has no counterpart. `None`: it is not a word of BuildGrid
/// that is known here.
pub(super) fn reason(kind: &str, key: &str) -> Option<&'static str> {
    WITHOUT.iter().find(|row| (row.0, row.1) == (kind, key)).map(|row| row.2)
}
