//! The misdeeds, and what a server makes of each.

/// Function and fault of `plugins/faulty`: each ends in quarantine.
pub(crate) const HARMFUL: [(&str, &str); 38] = [
    // Never ends.
    ("execution-properties", "loop"),
    ("worker-properties", "loop"),
    ("place", "loop"),
    ("before-create-job", "loop"),
    ("before-queue-job", "loop"),
    ("after-attempt", "loop"),
    ("choose", "loop"),
    ("on-events", "loop"),
    // Takes what it can get.
    ("place", "recursion"),
    ("choose", "recursion"),
    ("place", "memory"),
    ("after-attempt", "memory"),
    // Traps, in each export.
    ("execution-properties", "trap"),
    ("worker-properties", "trap"),
    ("matches", "trap"),
    ("nobody", "trap"),
    ("place", "trap"),
    ("choose", "trap"),
    ("before-create-job", "trap"),
    ("before-queue-job", "trap"),
    ("after-attempt", "trap"),
    ("on-events", "kv-then-trap"),
    ("place", "abort"),
    ("place", "out-of-bounds"),
    // Answers too much.
    ("execution-properties", "huge"),
    ("place", "huge-text"),
    ("before-create-job", "many"),
    ("before-queue-job", "huge-refusal"),
    ("on-events", "huge"),
    // Answers nonsense, or what is not of the type that it says.
    ("execution-properties", "invalid-utf8"),
    ("execution-properties", "bad-label"),
    ("worker-properties", "many-capabilities"),
    ("matches", "short"),
    ("place", "short"),
    ("place", "beyond-the-table"),
    ("choose", "beyond-the-lanes"),
    ("after-attempt", "bad-requirement"),
    // Asks for what this function is not given.
    ("execution-properties", "kv-read"),
];

/// What a policy may do, however bad it is: slow by just under its deadline, a leak that costs instances, floods that
/// are cut.
pub(crate) const TOLERATED: [(&str, &str); 8] = [
    ("place", "slow-1"),
    ("before-create-job", "slow-8"),
    ("place", "leak"),
    ("place", "chatter"),
    ("before-queue-job", "loud"),
    ("place", "metric-flood"),
    ("place", "nan-metrics"),
    ("on-events", "kv-flood"),
];

/// What a guest written by hand does with the priority of a job (`plugins/faulty/raw`): it breaks the canonical ABI, or
/// calls back into the host from where it must not.
pub(crate) const RAW: [(i32, &str); 13] = [
    (1, "an answer beyond the memory"),
    (2, "an answer that is not aligned"),
    (3, "a column that is neither there nor not there"),
    (4, "a list that is longer than the memory"),
    (5, "a list that is not aligned"),
    (6, "a text that is not UTF-8"),
    (7, "a list that overlaps the answer"),
    (8, "no return from the end of a call"),
    (9, "an import that is called at the end of a call"),
    (10, "no return from an allocation"),
    (11, "an allocation beyond the memory"),
    (12, "an import that is called from an allocation"),
    (13, "an allocation that traps"),
];

/// As a server names the function.
pub(crate) fn full_name(function: &str) -> &'static str {
    match function {
        "execution-properties" => "properties.execution-properties",
        "worker-properties" => "properties.worker-properties",
        "matches" => "matching.matches",
        "nobody" => "unmatched.nobody",
        "place" => "priority.place",
        "choose" => "choosing.choose",
        "before-create-job" => "create-job.before-create-job",
        "before-queue-job" => "queue-job.before-queue-job",
        "after-attempt" => "after-attempt.after-attempt",
        "on-events" => "events.on-events",
        other => panic!("{other} is no function of the corpus"),
    }
}
