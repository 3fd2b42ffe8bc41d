"""Asks a server what BuildGrid's Introspection tells, with BuildGrid's own messages and stubs.

introspection.py --contract                          prints numbers and types of every field, those of quotas too, for the
                                                     tests of engine/proto
introspection.py HOST:PORT INSTANCE CASE [ARGUMENT]  checks one case; the exit code says how it went
"""

import json
import sys

import grpc
from google.protobuf.descriptor import FieldDescriptor
from buildgrid._protos.build.buildgrid import introspection_pb2 as package
from buildgrid._protos.build.buildgrid import introspection_pb2_grpc as stubs
from buildgrid._protos.build.buildgrid import quota_pb2 as quotas


def contract(file):
    """What the package knows of a service and its messages, a line each."""
    kinds = {getattr(FieldDescriptor, name): name[5:].lower() for name in dir(FieldDescriptor) if name[:5] == "TYPE_"}
    for message in file.message_types_by_name.values():
        yield message.full_name
        for field in message.fields:
            named = field.message_type or field.enum_type
            kind = named.full_name if named else kinds[field.type]
            many = "repeated " if field.is_repeated else ""
            yield f"{field.full_name} = {field.number} {many}{kind}"
    for enum in file.enum_types_by_name.values():
        for value in enum.values:
            yield f"{enum.full_name}.{value.name} = {value.number}"
    for service in file.services_by_name.values():
        for method in service.methods:
            yield f"{method.full_name}({method.input_type.full_name}) returns {method.output_type.full_name}"


class Cases:
    """Each raises if what it sees is not what it must be."""

    def __init__(self, server, instance):
        self.instance = instance
        self.stub = stubs.IntrospectionStub(grpc.insecure_channel(server))

    def workers(self):
        answer = self.stub.ListWorkers(package.ListWorkersRequest(instance_name=self.instance, page_size=1))
        assert answer.total >= 1 and len(answer.workers) == 1 and answer.page == 1, answer
        worker = answer.workers[0]
        assert worker.worker_name and worker.session_name.startswith(self.instance + "/"), worker
        assert worker.expiry_time.ToDatetime() > worker.last_updated.ToDatetime(), worker

    def filters(self):
        answer = self.stub.GetOperationFilters(package.GetOperationFiltersRequest(instance_name=self.instance))
        keys = {entry.key for entry in answer.filters}
        from buildgrid.server.operations.filtering.interpreter import VALID_OPERATION_FILTERS

        assert keys >= set(VALID_OPERATION_FILTERS), set(VALID_OPERATION_FILTERS) - keys

    def queued(self, operation):
        request = package.OperationStatsRequest(instance_name=self.instance, operation_name=operation)
        assert self.stub.GetOperationStats(request).queue_position == "~1"

    def history(self, operation):
        request = package.GetJobHistoryRequest(instance_name=self.instance, operation_name=operation)
        answer = self.stub.GetJobHistory(request)
        kinds = [package.JobEventType.Name(event.event_type) for event in answer.history]
        assert kinds[:3] == ["CREATION", "NEW_OPERATION", "ASSIGNMENT"] and kinds[-1] == "COMPLETION", kinds
        end = json.loads(answer.history[-1].payload)
        assert end["worker_name"] and end["status"] == 0 and end["duration"] > 0, end
        assert answer.action_digest.hash

    def metadata(self, invocation):
        request = package.ListRequestMetadataRequest(
            instance_name=self.instance, field="tool_invocation_id", pattern=invocation.upper()
        )
        answer = self.stub.ListRequestMetadata(request)
        assert list(answer.values) == [invocation] and answer.total == 1, answer
        request = package.GetRequestMetadataSummaryRequest(
            instance_name=self.instance, field="tool_invocation_id", value=invocation
        )
        answer = self.stub.GetRequestMetadataSummary(request)
        counts = (answer.queued_operation_count, answer.completed_operation_count, answer.total_operation_count)
        assert counts == (1, 3, 4), answer
        assert answer.total_duration.ToTimedelta().total_seconds() > 0, answer


def main():
    if sys.argv[1:] == ["--contract"]:
        print("\n".join(sorted([*contract(package.DESCRIPTOR), *contract(quotas.DESCRIPTOR)])))
        return
    server, instance, case, *arguments = sys.argv[1:]
    getattr(Cases(server, instance), case)(*arguments)


main()
