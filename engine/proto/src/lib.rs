//! The wire contracts in `proto/` as Rust: messages, clients and servers, generated at build time by `build.rs`.
//!
//! For everyone who talks gRPC or stores rows. Not for rules, and not for checked values: what arrives is parsed
//! into `berth-core` types at the door, in `engine/api`. That the bytes are those of the public protocols is proved
//! in `tests/` against implementations of other authors.

pub mod any;

mod generated {
    #![allow(missing_docs, unreachable_pub, rustdoc::all, clippy::all, clippy::pedantic)]
    include!(concat!(env!("OUT_DIR"), "/packages.rs"));
}

/// All contracts as an encoded `google.protobuf.FileDescriptorSet`, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// `berth.admin.v1`: what operators ask.
pub use generated::berth::admin::v1 as admin;
/// `berth.store.v1`: rows and feed records, as they stand on disk.
pub use generated::berth::store::v1 as store;
/// `berth.work.v1`: Coordinate's model of work, as gRPC.
pub use generated::berth::work::v1 as work;
/// `build.bazel.remote.execution.v2`: what build clients speak, and the shape of actions and results.
pub use generated::build::bazel::remote::execution::v2 as reapi;
/// `build.bazel.semver`: version numbers in Capabilities.
pub use generated::build::bazel::semver;
/// `build.buildgrid`: what clients may tell a scheduler beside their requests.
pub use generated::build::buildgrid;
/// `google.bytestream`: blobs of any size, in pieces.
pub use generated::google::bytestream;
/// `google.devtools.remoteworkers.v1test2`: what bots speak.
pub use generated::google::devtools::remoteworkers::v1test2 as bots;
/// `google.longrunning`: the handle that a client holds on an execution.
pub use generated::google::longrunning;
/// `google.rpc`: status, codes and error details.
pub use generated::google::rpc;
