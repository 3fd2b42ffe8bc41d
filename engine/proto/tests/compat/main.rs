//! Proves that our contracts put the same bytes on the wire as implementations by other authors.
//!
//! `messages.rs` exchanges every message in both directions and probes every field number, `enums.rs` compares every
//! value, `services.rs` every method. Each holds a list of pairs, and a test that the list covers our descriptors.
//! `buildgrid.rs` does the same for what only BuildGrid has. What this cannot see: a message or method of theirs that nothing of ours leads to.

mod buildgrid;
mod enums;
mod fill;
mod messages;
mod services;

use prost_reflect::DescriptorPool;

/// Their types, under the same module names as ours.
mod theirs {
    pub(crate) use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
    pub(crate) use bazel_remote_apis::build::bazel::semver;
    pub(crate) use bazel_remote_apis::google::{bytestream, longrunning, protobuf};
    pub(crate) use googleapis_tonic_google_devtools_remoteworkers_v1test2::google::devtools::remoteworkers::v1test2 as bots;
    pub(crate) use googleapis_tonic_google_devtools_remoteworkers_v1test2::google::rpc;
}

/// Our types. `Empty` has no struct with us: prost makes it the unit type.
mod ours {
    pub(crate) use berth_proto::{bots, bytestream, longrunning, reapi, rpc, semver};

    pub(crate) mod protobuf {
        pub(crate) type Empty = ();
    }
}

/// The descriptors of everything under `proto/`.
fn pool() -> DescriptorPool {
    DescriptorPool::decode(berth_proto::FILE_DESCRIPTOR_SET).expect("the build writes a valid descriptor set")
}

/// Whether a package is of others, so that there is something to compare with.
fn is_public(package: &str) -> bool {
    package != "google.protobuf" && !package.starts_with("berth.")
}
