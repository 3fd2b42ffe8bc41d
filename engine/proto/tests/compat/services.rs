//! Every method: clients of both sides are made to call it, and what arrives is compared.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::codegen::{Service, http, tokio_stream};
use tonic::{Response, Status, Streaming};

/// One call: path, whether the client streams, whether the server streams.
type Call = (String, bool, bool);

/// A server that notes the paths asked for and implements none.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

impl Recorder {
    /// The path of the latest call.
    fn take(&self) -> String {
        self.0.lock().expect("nothing panics under this lock").pop().expect("the client has called")
    }
}

impl Service<http::Request<Body>> for Recorder {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.0.lock().expect("nothing panics under this lock").push(request.uri().path().to_owned());
        ready(Ok(Status::unimplemented("a recorder").into_http()))
    }
}

/// Calls methods of a client. The annotations make the compiler check types and streaming:
/// `unary` one to one, `down` one to a stream, `up` a stream to one.
macro_rules! calls {
    ($log:ident, $side:ident, $module:ident::$client_module:ident::$client:ident {
        $($kind:ident $method:ident($($in:ident)::+) -> $($out:ident)::+;)+
    }) => {{
        let recorder = Recorder::default();
        let mut client = crate::$side::$module::$client_module::$client::new(recorder.clone());
        $(calls!(@$kind $log, recorder, client, $method, crate::$side::$($in)::+, crate::$side::$($out)::+);)+
    }};
    (@unary $log:ident, $recorder:ident, $client:ident, $method:ident, $in:ty, $out:ty) => {
        let _: Result<Response<$out>, Status> = $client.$method(<$in>::default()).await;
        $log.insert(($recorder.take(), false, false));
    };
    (@down $log:ident, $recorder:ident, $client:ident, $method:ident, $in:ty, $out:ty) => {
        let _: Result<Response<Streaming<$out>>, Status> = $client.$method(<$in>::default()).await;
        $log.insert(($recorder.take(), false, true));
    };
    (@up $log:ident, $recorder:ident, $client:ident, $method:ident, $in:ty, $out:ty) => {
        let _: Result<Response<$out>, Status> = $client.$method(tokio_stream::iter([<$in>::default()])).await;
        $log.insert(($recorder.take(), true, false));
    };
}

/// Every method that both sides have, called by the clients of `$side`.
macro_rules! all_calls {
    ($side:ident) => {{
        let mut log = BTreeSet::<Call>::new();
        calls!(log, $side, reapi::execution_client::ExecutionClient {
            down execute(reapi::ExecuteRequest) -> longrunning::Operation;
            down wait_execution(reapi::WaitExecutionRequest) -> longrunning::Operation;
        });
        calls!(log, $side, reapi::action_cache_client::ActionCacheClient {
            unary get_action_result(reapi::GetActionResultRequest) -> reapi::ActionResult;
            unary update_action_result(reapi::UpdateActionResultRequest) -> reapi::ActionResult;
        });
        calls!(log, $side, reapi::content_addressable_storage_client::ContentAddressableStorageClient {
            unary find_missing_blobs(reapi::FindMissingBlobsRequest) -> reapi::FindMissingBlobsResponse;
            unary batch_update_blobs(reapi::BatchUpdateBlobsRequest) -> reapi::BatchUpdateBlobsResponse;
            unary batch_read_blobs(reapi::BatchReadBlobsRequest) -> reapi::BatchReadBlobsResponse;
            down get_tree(reapi::GetTreeRequest) -> reapi::GetTreeResponse;
            unary split_blob(reapi::SplitBlobRequest) -> reapi::SplitBlobResponse;
            down get_chunk_mapping(reapi::GetChunkMappingRequest) -> reapi::GetChunkMappingResponse;
            unary splice_blob(reapi::SpliceBlobRequest) -> reapi::SpliceBlobResponse;
            up register_chunk_mapping(reapi::RegisterChunkMappingRequest) -> reapi::RegisterChunkMappingResponse;
        });
        calls!(log, $side, reapi::capabilities_client::CapabilitiesClient {
            unary get_capabilities(reapi::GetCapabilitiesRequest) -> reapi::ServerCapabilities;
        });
        calls!(log, $side, bytestream::byte_stream_client::ByteStreamClient {
            down read(bytestream::ReadRequest) -> bytestream::ReadResponse;
            up write(bytestream::WriteRequest) -> bytestream::WriteResponse;
            unary query_write_status(bytestream::QueryWriteStatusRequest) -> bytestream::QueryWriteStatusResponse;
        });
        calls!(log, $side, longrunning::operations_client::OperationsClient {
            unary list_operations(longrunning::ListOperationsRequest) -> longrunning::ListOperationsResponse;
            unary get_operation(longrunning::GetOperationRequest) -> longrunning::Operation;
            unary delete_operation(longrunning::DeleteOperationRequest) -> protobuf::Empty;
            unary cancel_operation(longrunning::CancelOperationRequest) -> protobuf::Empty;
            unary wait_operation(longrunning::WaitOperationRequest) -> longrunning::Operation;
        });
        calls!(log, $side, bots::bots_client::BotsClient {
            unary create_bot_session(bots::CreateBotSessionRequest) -> bots::BotSession;
            unary update_bot_session(bots::UpdateBotSessionRequest) -> bots::BotSession;
        });
        log
    }};
}

/// Ours alone: the other implementation left it out.
const WITHOUT_PEER: &str = "/google.devtools.remoteworkers.v1test2.Bots/PostBotEventTemp";

#[tokio::test]
async fn our_clients_make_the_calls_that_theirs_make() {
    assert_eq!(all_calls!(ours), all_calls!(theirs));
}

#[tokio::test]
async fn every_public_method_is_compared() {
    let mut described = BTreeSet::<Call>::new();
    let pool = crate::pool();
    let public = pool.services().filter(|service| crate::is_public(service.package_name()));
    for service in public.filter(|service| !crate::buildgrid::has(service.parent_file().name())) {
        for method in service.methods() {
            let path = format!("/{}/{}", service.full_name(), method.name());
            described.insert((path, method.is_client_streaming(), method.is_server_streaming()));
        }
    }
    let mut compared = all_calls!(theirs);
    compared.insert((WITHOUT_PEER.to_owned(), false, false));
    assert_eq!(described, compared);
}
