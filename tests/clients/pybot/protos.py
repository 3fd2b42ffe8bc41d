"""The message classes, in one place.

They come from the `buildgrid` wheel, so that this bot shares no code with the engine: not even generated code.
"""

from buildgrid._protos.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from buildgrid._protos.build.bazel.remote.execution.v2 import remote_execution_pb2_grpc as reapi_grpc
from buildgrid._protos.google.bytestream import bytestream_pb2 as bytestream
from buildgrid._protos.google.bytestream import bytestream_pb2_grpc as bytestream_grpc
from buildgrid._protos.google.devtools.remoteworkers.v1test2 import bots_pb2 as bots
from buildgrid._protos.google.devtools.remoteworkers.v1test2 import bots_pb2_grpc as bots_grpc
from buildgrid._protos.google.devtools.remoteworkers.v1test2 import worker_pb2 as worker
from buildgrid._protos.google.longrunning import operations_pb2 as operations
from buildgrid._protos.google.longrunning import operations_pb2_grpc as operations_grpc
from buildgrid._protos.google.rpc import code_pb2 as code
from buildgrid._protos.google.rpc import error_details_pb2 as error_details
from buildgrid._protos.google.rpc import status_pb2 as status

__all__ = [
    "bots", "bots_grpc", "bytestream", "bytestream_grpc", "code", "error_details", "operations", "operations_grpc",
    "reapi", "reapi_grpc", "status", "worker",
]
