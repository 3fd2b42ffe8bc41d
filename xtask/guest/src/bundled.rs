//! The policies that come with Berth.

/// Packages of `plugins/`, each with its README, its cases and a schema of its configuration. In the order in which a
/// site meets them: the two that are in force without any configuration, what fits what, who goes first, how many at a
/// time and where, what happens after a failure, and who only listens.
pub const BUNDLED: [&str; 12] = [
    "containment",
    "reapi-priority",
    "property-sets",
    "at-least",
    "priority-age",
    "fair-share",
    "longest-first",
    "work-spec-weights",
    "quota",
    "affinity",
    "retry",
    "audit",
];
