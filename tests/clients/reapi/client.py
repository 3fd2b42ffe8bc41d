"""A small client: uploads an action, starts it, follows its operation."""

import os
import shutil
import tempfile
import time
import uuid

import grpc

from cas import Cas, digest_of
from protos import code, operations, operations_grpc, reapi, reapi_grpc

CALL_S = 60    # no case should need as long


class Client:
    def __init__(self, server, instance):
        self.instance = instance
        self.folder = tempfile.mkdtemp(prefix="reapi-")
        self.channel = grpc.insecure_channel(server, [("grpc.max_receive_message_length", 64 << 20)])
        self.cas = Cas(self.channel, instance, os.path.join(self.folder, "cas"), CALL_S)
        self.execution = reapi_grpc.ExecutionStub(self.channel)
        self.operations = operations_grpc.OperationsStub(self.channel)
        self.capabilities = reapi_grpc.CapabilitiesStub(self.channel)

    def close(self):
        self.channel.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def scratch(self, name):
        """A path that the commands of this case may write to: client and bots are on one machine."""
        return os.path.join(self.folder, name)

    def put(self, *messages):
        """Uploads messages, returns the digest of the last."""
        items = [(digest_of(data), data) for data in (m.SerializeToString(deterministic=True) for m in messages)]
        self.cas.upload(items)
        return items[-1][0]

    def action(self, script, *, root=None, pool=None, timeout_s=None, do_not_cache=False, **command):
        """Uploads an action that runs `script` in a shell, returns its digest. No two are equal."""
        command = reapi.Command(arguments=["/bin/sh", "-c", script], **command)
        command.environment_variables.add(name="TOKEN", value=uuid.uuid4().hex)
        if pool:
            command.platform.properties.add(name="pool", value=pool)
        action = reapi.Action(command_digest=self.put(command), do_not_cache=do_not_cache)
        action.input_root_digest.CopyFrom(root or self.put(reapi.Directory()))
        action.platform.CopyFrom(command.platform)
        if timeout_s:
            action.timeout.FromMilliseconds(int(timeout_s * 1000))
        return self.put(action)

    def execute(self, digest, *, priority=0, skip_cache_lookup=False):
        """Starts an action, returns the stream of its operation."""
        return self.execution.Execute(reapi.ExecuteRequest(
            instance_name=self.instance, action_digest=digest, skip_cache_lookup=skip_cache_lookup,
            execution_policy=reapi.ExecutionPolicy(priority=priority)), timeout=CALL_S)

    def run(self, script, **action):
        """Runs a script to its end, returns the ExecuteResponse."""
        return response_of(last(self.execute(self.action(script, **action))))

    def started(self, script, **action):
        """Starts a script, returns (stream, name of its operation)."""
        stream = self.execute(self.action(script, **action))
        return stream, next(stream).name

    def operation(self, name):
        return self.operations.GetOperation(operations.GetOperationRequest(name=name), timeout=CALL_S)

    def cancel(self, name):
        self.operations.CancelOperation(operations.CancelOperationRequest(name=name), timeout=CALL_S)


def last(stream):
    operation = None
    for operation in stream:
        pass
    assert operation is not None and operation.done, f"the stream ended before the operation: {operation}"
    return operation


def response_of(operation):
    response = reapi.ExecuteResponse()
    assert operation.response.Unpack(response), f"no ExecuteResponse: {operation}"
    return response


def stage_of(operation):
    metadata = reapi.ExecuteOperationMetadata()
    assert operation.metadata.Unpack(metadata), f"no ExecuteOperationMetadata: {operation}"
    return metadata.stage


def outcome_code(operation):
    """The gRPC code of a finished operation, wherever it stands."""
    return operation.error.code if operation.HasField("error") else response_of(operation).status.code


def wait_for(what, seconds=30):
    """Polls: the commands of a case tell by files how far they are."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def lines(path):
    if not os.path.exists(path):
        return []
    with open(path) as f:
        return f.read().split()


def ok(response):
    assert response.status.code == code.OK, response.status
    assert response.result.exit_code == 0, (response.result.exit_code, response.result.stderr_raw)
    return response.result
