"""The cases. A name is a sentence, a failure raises."""

import os
import time

import grpc

from cas import digest_of
from client import last, lines, ok, outcome_code, response_of, stage_of, wait_for
from protos import code, error_details, reapi, status

QUEUED, EXECUTING, COMPLETED = (reapi.ExecutionStage.QUEUED, reapi.ExecutionStage.EXECUTING,
                                reapi.ExecutionStage.COMPLETED)


def case(function):
    function.is_case = True
    return function


@case
def capabilities_name_sha256_and_execution(client):
    answer = client.capabilities.GetCapabilities(reapi.GetCapabilitiesRequest(instance_name=client.instance))
    assert reapi.DigestFunction.SHA256 in answer.cache_capabilities.digest_functions
    assert answer.execution_capabilities.exec_enabled


@case
def stdout_stderr_and_exit_code_come_back(client):
    response = client.run("echo out; echo err >&2; exit 3")
    assert response.status.code == code.OK, response.status
    assert response.result.exit_code == 3
    for stream, text in (("stdout", b"out\n"), ("stderr", b"err\n")):
        raw, digest = getattr(response.result, f"{stream}_raw"), getattr(response.result, f"{stream}_digest")
        assert (raw or client.cas.read(digest)) == text


@case
def the_command_sees_its_environment_and_working_directory(client):
    inputs = reapi.Directory()
    leaf = reapi.Directory()
    inputs.directories.add(name="sub", digest=client.put(leaf))
    variables = [reapi.Command.EnvironmentVariable(name="GREETING", value="hello")]
    result = ok(client.run('echo "$GREETING" > said; basename "$PWD" >> said', root=client.put(inputs),
                           environment_variables=variables, working_directory="sub", output_paths=["said"]))
    assert client.cas.read(result.output_files[0].digest) == b"hello\nsub\n"
    assert result.output_files[0].path == "said"


@case
def inputs_keep_contents_modes_and_symlinks(client):
    tool = b"#!/bin/sh\ncat data\n"
    client.cas.upload([(digest_of(tool), tool), (digest_of(b"text"), b"text")])
    inputs = reapi.Directory()
    inputs.files.add(name="data", digest=digest_of(b"text"))
    inputs.files.add(name="tool", digest=digest_of(tool), is_executable=True)
    inputs.symlinks.add(name="way", target="tool")
    result = ok(client.run("./way > out; readlink way >> out; test ! -x data", root=client.put(inputs),
                           output_paths=["out"]))
    assert client.cas.read(result.output_files[0].digest) == b"texttool\n"


@case
def an_output_directory_comes_back_as_a_tree(client):
    script = "mkdir -p out/sub out/empty; echo a > out/a; echo b > out/sub/b; chmod +x out/sub/b; ln -s a out/to-a"
    for field in ("output_paths", "output_directories"):
        result = ok(client.run(script, **{field: ["out"]}))
        assert [d.path for d in result.output_directories] == ["out"]
        tree = client.cas.message(reapi.Tree, result.output_directories[0].tree_digest)
        children = {digest_of(c.SerializeToString(deterministic=True)).hash: c for c in tree.children}
        assert [f.name for f in tree.root.files] == ["a"]
        assert [(s.name, s.target) for s in tree.root.symlinks] == [("to-a", "a")]
        assert [d.name for d in tree.root.directories] == ["empty", "sub"]
        sub = children[tree.root.directories[1].digest.hash]
        assert [(f.name, f.is_executable) for f in sub.files] == [("b", True)]
        assert client.cas.read(sub.files[0].digest) == b"b\n"


@case
def an_output_symlink_is_reported_as_a_link(client):
    result = ok(client.run("echo x > real; ln -s real link; ln -s nowhere dangling",
                           output_paths=["real", "link", "dangling"]))
    links = {link.path: link.target for link in result.output_symlinks}
    assert links == {"link": "real", "dangling": "nowhere"}, links
    assert [f.path for f in result.output_files] == ["real"]


@case
def a_missing_output_is_left_out(client):
    result = ok(client.run("echo made > made", output_paths=["forgotten", "made"]))
    assert [f.path for f in result.output_files] == ["made"]


@case
def outputs_may_be_larger_than_a_message(client):
    result = ok(client.run("head -c 6291456 /dev/zero > large; head -c 5242880 /dev/zero", output_paths=["large"]))
    assert client.cas.read(result.output_files[0].digest) == bytes(6291456)
    assert client.cas.read(result.stdout_digest) == bytes(5242880)


@case
def a_timeout_ends_the_command_and_its_children(client):
    children = client.scratch("children")
    begun = time.monotonic()
    operation = last(client.execute(client.action(f"sleep 60 & echo $! > {children}; sleep 60", timeout_s=1)))
    assert outcome_code(operation) == code.DEADLINE_EXCEEDED, operation
    assert time.monotonic() - begun < 20
    wait_for(lambda: not os.path.exists(f"/proc/{lines(children)[0]}"))


@case
def a_finished_action_is_answered_from_the_cache(client):
    digest = client.action("echo once; echo out > out", output_paths=["out"])
    first = response_of(last(client.execute(digest)))
    second = response_of(last(client.execute(digest)))
    assert not first.cached_result and second.cached_result
    assert ok(first).output_files == ok(second).output_files


@case
def skip_cache_lookup_runs_it_again(client):
    ran = client.scratch("ran")
    digest = client.action(f"echo run >> {ran}")
    ok(response_of(last(client.execute(digest))))
    ok(response_of(last(client.execute(digest, skip_cache_lookup=True))))
    assert len(lines(ran)) == 2


@case
def a_failed_action_is_not_cached(client):
    ran = client.scratch("ran")
    digest = client.action(f"echo run >> {ran}; exit 1")
    for _ in range(2):
        assert response_of(last(client.execute(digest))).result.exit_code == 1
    assert len(lines(ran)) == 2


@case
def equal_actions_at_once_run_once(client):
    ran = client.scratch("ran")
    for _ in range(5):
        digest = client.action(f"echo {ran} >> {ran}")
        for operation in [last(s) for s in [client.execute(digest) for _ in range(32)]]:
            ok(response_of(operation))
    assert len(lines(ran)) == 5, f"5 actions ran {len(lines(ran))} times"


@case
def do_not_cache_never_merges(client):
    ran = client.scratch("ran")
    digest = client.action(f"echo run >> {ran}", do_not_cache=True)
    names = set()
    for operation in [last(s) for s in [client.execute(digest) for _ in range(8)]]:
        ok(response_of(operation))
        names.add(operation.name)
    assert len(lines(ran)) == 8 and len(names) == 8


@case
def exec_properties_choose_the_bots(client):
    custom = {ok(client.run("true", pool="custom")).execution_metadata.worker for _ in range(3)}
    default = {ok(client.run("true", pool="default")).execution_metadata.worker for _ in range(6)}
    assert len(custom) == 1 and not custom & default, (custom, default)


@case
def an_action_that_no_bot_can_take_waits_and_can_be_cancelled(client):
    stream, name = client.started("true", pool="nowhere")
    assert stage_of(client.operation(name)) == QUEUED
    client.cancel(name)
    operation = last(stream)
    assert outcome_code(operation) == code.CANCELLED, operation
    assert client.operation(name).done


@case
def cancel_ends_a_running_command_and_frees_its_slot(client):
    begun, survivor = client.scratch("begun"), client.scratch("survivor")
    stream, name = client.started(f"touch {begun}; sleep 50; touch {survivor}", pool="custom")
    wait_for(lambda: os.path.exists(begun))
    client.cancel(name)
    assert outcome_code(last(stream)) == code.CANCELLED
    # The pool has one slot: this can only run once the bot has let go.
    ok(client.run("true", pool="custom"))
    assert not os.path.exists(survivor)


@case
def a_more_urgent_action_overtakes(client):
    begun, go, order = client.scratch("begun"), client.scratch("go"), client.scratch("order")
    hold = f"touch {begun}; for i in $(seq 300); do [ -e {go} ] && break; sleep 0.1; done"
    blocker = client.execute(client.action(hold, pool="custom"))
    wait_for(lambda: os.path.exists(begun))
    streams = []
    for priority in (10, 0, -10):    # smaller runs sooner
        streams.append(client.execute(client.action(f"echo {priority} >> {order}", pool="custom"), priority=priority))
        next(streams[-1])
    with open(go, "w"):
        pass
    for stream in [blocker, *streams]:
        last(stream)
    assert lines(order) == ["-10", "0", "10"], lines(order)


@case
def a_dropped_stream_cancels_nothing_and_wait_execution_picks_it_up(client):
    begun, go = client.scratch("begun"), client.scratch("go")
    stream, name = client.started(f"touch {begun}; for i in $(seq 300); do [ -e {go} ] && break; sleep 0.1; done; echo ok")
    wait_for(lambda: os.path.exists(begun))
    stream.cancel()
    assert stage_of(client.operation(name)) == EXECUTING
    again = client.execution.WaitExecution(reapi.WaitExecutionRequest(name=name), timeout=60)
    assert not next(again).done
    with open(go, "w"):
        pass
    operation = last(again)
    assert stage_of(operation) == COMPLETED
    ok(response_of(operation))


@case
def an_absent_action_is_named_as_missing(client):
    absent = reapi.Action(command_digest=digest_of(os.urandom(8)), input_root_digest=digest_of(b""))
    digest = digest_of(absent.SerializeToString())
    assert missing_after(lambda: last(client.execute(digest))) == {f"blobs/{digest.hash}/{digest.size_bytes}"}


@case
def absent_inputs_are_named_as_missing(client):
    blobs = [digest_of(os.urandom(8)) for _ in range(3)]
    leaf = reapi.Directory()
    leaf.files.add(name="deep", digest=blobs[2])
    inputs = reapi.Directory()
    inputs.files.add(name="one", digest=blobs[0])
    inputs.files.add(name="two", digest=blobs[1])
    inputs.directories.add(name="sub", digest=client.put(leaf))
    digest = client.action("true", root=client.put(inputs))
    assert missing_after(lambda: last(client.execute(digest))) == {f"blobs/{b.hash}/{b.size_bytes}" for b in blobs}


def missing_after(call):
    """The subjects of the violations with which a call is refused."""
    try:
        operation = call()
    except grpc.RpcError as e:
        assert e.code() == grpc.StatusCode.FAILED_PRECONDITION, e
        trailers = {key: value for key, value in e.trailing_metadata()}
        refusal = status.Status.FromString(trailers["grpc-status-details-bin"])
    else:
        refusal = response_of(operation).status
        assert refusal.code == code.FAILED_PRECONDITION, operation
    failure = error_details.PreconditionFailure()
    assert any(detail.Unpack(failure) for detail in refusal.details), refusal
    assert {violation.type for violation in failure.violations} == {"MISSING"}
    return {violation.subject for violation in failure.violations}


@case
def an_unknown_instance_and_an_unknown_operation_are_errors(client):
    try:
        last(client.execution.Execute(reapi.ExecuteRequest(instance_name="no-such-instance",
                                                           action_digest=client.action("true")), timeout=60))
        raise AssertionError("an instance that does not exist ran an action")
    except grpc.RpcError as e:
        assert e.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND), e
    try:
        client.operation(f"{client.instance}/00000000-0000-0000-0000-000000000000")
        raise AssertionError("an operation that does not exist was found")
    except grpc.RpcError as e:
        assert e.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT), e
