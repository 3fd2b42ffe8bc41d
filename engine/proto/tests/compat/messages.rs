//! Every message: exchanged full of values in both directions, and probed for fields that only one side knows.

use std::collections::BTreeSet;
use std::fmt::Debug;

use prost::{Message, Name};
use prost_reflect::{DynamicMessage, MessageDescriptor};

use crate::fill::filled;

/// Field numbers that are probed. All of the protocols are below 20.
const NUMBERS: std::ops::Range<u32> = 1..512;

/// A message of ours and the same one of theirs.
struct Pair {
    name: String,
    exchange: fn(&[u8]) -> Vec<u8>,
    through_ours: fn(&[u8]) -> Option<Vec<u8>>,
    through_theirs: fn(&[u8]) -> Option<Vec<u8>>,
    empty_ours: fn() -> String,
    empty_theirs: fn() -> String,
}

impl Pair {
    fn new<Ours, Theirs>() -> Self
    where
        Ours: Message + Name + Default + Debug + PartialEq,
        Theirs: Message + Default + Debug + PartialEq,
    {
        Self {
            name: Ours::full_name(),
            exchange: exchange::<Ours, Theirs>,
            through_ours: through::<Ours>,
            through_theirs: through::<Theirs>,
            empty_ours: empty::<Ours>,
            empty_theirs: empty::<Theirs>,
        }
    }
}

/// Sends `bytes` ours -> theirs -> ours and theirs -> ours -> theirs, and returns them as we would send them on.
/// Both sides drop what they do not know, so equality means that nothing was unknown or read differently.
fn exchange<Ours, Theirs>(bytes: &[u8]) -> Vec<u8>
where
    Ours: Message + Default + Debug + PartialEq,
    Theirs: Message + Default + Debug + PartialEq,
{
    let ours = Ours::decode(bytes).expect("we read what the descriptors write");
    let back = Theirs::decode(ours.encode_to_vec().as_slice()).expect("they read what we write");
    assert_eq!(Ours::decode(back.encode_to_vec().as_slice()).expect("we read what they write"), ours);

    let theirs = Theirs::decode(bytes).expect("they read what the descriptors write");
    let back = Ours::decode(theirs.encode_to_vec().as_slice()).expect("we read what they write");
    assert_eq!(Theirs::decode(back.encode_to_vec().as_slice()).expect("they read what we write"), theirs);

    ours.encode_to_vec()
}

/// What is left of `bytes` after one side read and wrote them; `None` if it refuses them.
fn through<M: Message + Default>(bytes: &[u8]) -> Option<Vec<u8>> {
    M::decode(bytes).ok().map(|message| message.encode_to_vec())
}

/// The names of all fields, in order, as `Debug` shows them. A `Bytes` shows as a string, a vector as a list.
fn empty<M: Message + Default + Debug>() -> String {
    format!("{:?}", M::default()).replace("b\"\"", "[]")
}

macro_rules! pairs {
    ($($module:ident: $($($part:ident)::+),+;)+) => {
        vec![$($(Pair::new::<crate::ours::$module::$($part)::+, crate::theirs::$module::$($part)::+>(),)+)+]
    };
}

#[rustfmt::skip]
fn pairs() -> Vec<Pair> {
    pairs! {
        reapi: Action, Command, command::EnvironmentVariable, Platform, platform::Property, Directory, NodeProperty,
            NodeProperties, FileNode, DirectoryNode, SymlinkNode, Digest, ExecutedActionMetadata, ActionResult,
            OutputFile, Tree, OutputDirectory, OutputSymlink, ExecutionPolicy, ResultsCachePolicy, ExecuteRequest,
            LogFile, ExecuteResponse, ExecutionStage, ExecuteOperationMetadata, WaitExecutionRequest,
            GetActionResultRequest, UpdateActionResultRequest, FindMissingBlobsRequest, FindMissingBlobsResponse,
            BatchUpdateBlobsRequest, batch_update_blobs_request::Request, BatchUpdateBlobsResponse,
            batch_update_blobs_response::Response, BatchReadBlobsRequest, BatchReadBlobsResponse,
            batch_read_blobs_response::Response, GetTreeRequest, GetTreeResponse, SplitBlobRequest,
            SplitBlobResponse, GetChunkMappingRequest, GetChunkMappingResponse, SpliceBlobRequest,
            SpliceBlobResponse, RegisterChunkMappingRequest, RegisterChunkMappingResponse, GetCapabilitiesRequest,
            ServerCapabilities, DigestFunction, ChunkingFunction, ActionCacheUpdateCapabilities,
            PriorityCapabilities, priority_capabilities::PriorityRange, SymlinkAbsolutePathStrategy, Compressor,
            CacheCapabilities, FastCdc2020Params, RepMaxCdcParams, ExecutionCapabilities, ToolDetails,
            RequestMetadata;
        semver: SemVer;
        bytestream: ReadRequest, ReadResponse, WriteRequest, WriteResponse, QueryWriteStatusRequest,
            QueryWriteStatusResponse;
        longrunning: Operation, GetOperationRequest, ListOperationsRequest, ListOperationsResponse,
            CancelOperationRequest, DeleteOperationRequest, WaitOperationRequest, OperationInfo;
        rpc: Status, ErrorInfo, RetryInfo, DebugInfo, QuotaFailure, quota_failure::Violation, PreconditionFailure,
            precondition_failure::Violation, BadRequest, bad_request::FieldViolation, RequestInfo, ResourceInfo,
            Help, help::Link, LocalizedMessage, HttpRequest, HttpResponse, HttpHeader;
        bots: BotSession, Lease, AdminTemp, CreateBotSessionRequest, UpdateBotSessionRequest, CommandTask,
            command_task::Inputs, command_task::inputs::EnvironmentVariable, command_task::Outputs,
            command_task::Timeouts, CommandOutputs, CommandOverhead, CommandResult, FileMetadata,
            DirectoryMetadata, Digest, Blob, Directory, Worker, worker::Property, worker::Config, Device,
            device::Property;
    }
}

/// Ours alone, because the other implementation left it out. Held to known bytes at the end of this file.
const WITHOUT_PEER: [&str; 3] = [
    "build.buildgrid.ClientIdentity",
    "build.buildgrid.SchedulingMetadata",
    "google.devtools.remoteworkers.v1test2.PostBotEventTempRequest",
];

#[test]
fn every_public_message_is_compared() {
    let ours: BTreeSet<String> = crate::pool()
        .all_messages()
        .filter(|message| crate::is_public(message.package_name()) && !message.is_map_entry())
        .filter(|message| !crate::buildgrid::has(message.parent_file().name()))
        .map(|message| message.full_name().to_owned())
        .collect();
    let compared = pairs().into_iter().map(|pair| pair.name).chain(WITHOUT_PEER.map(str::to_owned)).collect();
    assert_eq!(ours, compared);
}

#[test]
fn a_full_message_survives_both_directions() {
    for (pair, descriptor) in described() {
        let arms = descriptor.oneofs().map(|oneof| oneof.fields().len()).max().unwrap_or(1);
        for arm in 0..arms {
            let sent = filled(&descriptor, arm);
            let received = (pair.exchange)(&sent.encode_to_vec());
            let received = DynamicMessage::decode(descriptor.clone(), received.as_slice()).expect("we write messages");
            assert_eq!(received, sent, "{}", pair.name);
        }
    }
}

/// Finds fields that one side lacks (it would drop the bytes), other widths and signs (it would change them), and
/// other wire types (it would refuse them).
#[test]
fn both_sides_read_every_field_number_alike() {
    for pair in pairs() {
        for number in NUMBERS {
            for probe in probes(number) {
                let (ours, theirs) = ((pair.through_ours)(&probe), (pair.through_theirs)(&probe));
                assert_eq!(ours, theirs, "{} field {number}, bytes {probe:02x?}", pair.name);
            }
        }
    }
}

#[test]
fn fields_have_the_same_names() {
    for pair in pairs() {
        assert_eq!((pair.empty_ours)(), (pair.empty_theirs)(), "{}", pair.name);
    }
}

/// The numbers that BuildGrid's bots send.
#[test]
fn a_bot_event_has_its_known_bytes() {
    let event = berth_proto::bots::PostBotEventTempRequest {
        name: "s".to_owned(),
        r#type: berth_proto::bots::post_bot_event_temp_request::Type::Error.into(),
        msg: "m".to_owned(),
    };
    assert_eq!(event.encode_to_vec(), b"\x0a\x01s\x10\x02\x1a\x01m");
}

/// The numbers that BuildGrid's clients send.
#[test]
fn scheduling_metadata_has_its_known_bytes() {
    let metadata = berth_proto::buildgrid::SchedulingMetadata { locality_hint: "h".to_owned() };
    assert_eq!(metadata.encode_to_vec(), b"\x0a\x01h");
}

/// The numbers that BuildGrid's clients read in trailers.
#[test]
fn a_client_identity_has_its_known_bytes() {
    let [actor, subject, workflow] = ["a", "s", "w"].map(str::to_owned);
    let identity = berth_proto::buildgrid::ClientIdentity { actor, subject, workflow };
    assert_eq!(identity.encode_to_vec(), b"\x0a\x01a\x12\x01s\x1a\x01w");
}

/// All pairs with the descriptors of our side.
fn described() -> Vec<(Pair, MessageDescriptor)> {
    let pool = crate::pool();
    let describe = |pair: Pair| {
        let descriptor = pool.get_message_by_name(&pair.name).expect("what is generated is described");
        (pair, descriptor)
    };
    pairs().into_iter().map(describe).collect()
}

/// Field `number` with each wire type, and contents that tell types apart.
fn probes(number: u32) -> Vec<Vec<u8>> {
    const VARINT: u32 = 0;
    const FIXED64: u32 = 1;
    const DELIMITED: u32 = 2;
    const FIXED32: u32 = 5;

    let field = |wire_type: u32, content: &[u8]| {
        let mut bytes = Vec::new();
        prost::encoding::encode_varint(u64::from(number << 3 | wire_type), &mut bytes);
        bytes.extend_from_slice(content);
        bytes
    };
    let delimited = |content: &[u8]| {
        let length = u8::try_from(content.len()).expect("probes are short");
        field(DELIMITED, &[&[length], content].concat())
    };

    let mut probes = vec![field(FIXED64, &[1, 2, 3, 4, 5, 6, 7, 0x88]), field(FIXED32, &[1, 2, 3, 0x84])];
    for value in [0, 1, 2, 1 << 31, 1 << 40 | 5, u64::MAX] {
        let mut varint = Vec::new();
        prost::encoding::encode_varint(value, &mut varint);
        probes.push(field(VARINT, &varint));
    }
    // Nothing; text; bytes that are neither text nor a message; a message with the integer 9, or the text "x", as
    // field 1; one of a foreign field. And each twice: a field that repeats keeps both.
    for content in [&b""[..], b"text", b"\xff\xff", b"\x08\x09", b"\x0a\x01x", b"\xf8\x7f\x01"] {
        let once = delimited(content);
        probes.push([once.clone(), once.clone()].concat());
        probes.push(once);
    }
    probes
}
