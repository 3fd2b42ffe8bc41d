"""Runs one action: lays out the inputs, runs the command, collects the outputs.

Knows REAPI and nothing of leases: `lease.py` wraps this and turns what goes wrong into a status.
"""

import os
import shutil
import signal
import stat
import subprocess
import tempfile
import threading

from cas import BadAction, digest_of, digest_of_file, function_of
from protos import code, reapi, status

INLINE_BYTES = 16 << 10    # stdout and stderr up to this size also go inline into the result
KILLED = status.Status(code=code.CANCELLED, message="the command was killed by its bot")


class Execution:
    """One run of one action. `kill` may be called from another thread at any moment."""

    def __init__(self, cas, work_dir, worker):
        self.cas, self.work_dir, self.worker = cas, work_dir, worker
        self.process, self.killed = None, False
        self.lock = threading.Lock()

    def kill(self):
        with self.lock:
            self.killed = True
            if self.process is not None and self.process.poll() is None:
                kill_group(self.process.pid)

    def run(self, action, before_command=lambda: None):
        """Returns (status, result or None)."""
        times = reapi.ExecutedActionMetadata(worker=self.worker)
        times.worker_start_timestamp.GetCurrentTime()
        times.input_fetch_start_timestamp.GetCurrentTime()
        command = self.cas.message(reapi.Command, action.command_digest)
        if not command.arguments:
            raise BadAction("the command has no arguments")
        top = tempfile.mkdtemp(prefix="job-", dir=self.work_dir)
        try:
            root = os.path.join(top, "root")
            self._lay_out(action.input_root_digest, root)
            directory = inside(root, command.working_directory)
            os.makedirs(directory, exist_ok=True)
            for path, _ in wanted_outputs(command):
                os.makedirs(os.path.dirname(inside(root, os.path.join(command.working_directory, path))), exist_ok=True)
            times.input_fetch_completed_timestamp.GetCurrentTime()
            before_command()

            times.execution_start_timestamp.GetCurrentTime()
            exit_code, timed_out = self._run_command(action, command, directory, top)
            times.execution_completed_timestamp.GetCurrentTime()
            if self.killed:
                return KILLED, None

            times.output_upload_start_timestamp.GetCurrentTime()
            result = reapi.ActionResult(exit_code=exit_code)
            self.cas.upload(collect(command, root, top, function_of(action.command_digest), result))
            times.output_upload_completed_timestamp.GetCurrentTime()
            times.worker_completed_timestamp.GetCurrentTime()
            result.execution_metadata.CopyFrom(times)
            if timed_out:
                return status.Status(code=code.DEADLINE_EXCEEDED, message="the command ran into its timeout"), result
            return status.Status(), result
        finally:
            remove_tree(top)

    def _lay_out(self, root_digest, root):
        directories = self.cas.tree(root_digest)
        self.cas.fetch(f.digest for d in directories.values() for f in d.files)

        def put(directory, path):
            os.mkdir(path)
            for node in [*directory.files, *directory.directories, *directory.symlinks]:
                if node.name in ("", ".", "..") or "/" in node.name or "\0" in node.name:
                    raise BadAction(f"{node.name!r} is no name for a file")
            for node in directory.files:
                target = os.path.join(path, node.name)
                shutil.copyfile(self.cas.path(node.digest), target)
                os.chmod(target, node.node_properties.unix_mode.value or (0o755 if node.is_executable else 0o644))
                if node.node_properties.HasField("mtime"):
                    mtime_ns = node.node_properties.mtime.ToNanoseconds()
                    os.utime(target, ns=(mtime_ns, mtime_ns))
            for node in directory.symlinks:
                os.symlink(node.target, os.path.join(path, node.name))
            for node in directory.directories:
                put(directories[node.digest.hash], os.path.join(path, node.name))

        put(directories[root_digest.hash], root)

    def _run_command(self, action, command, directory, top):
        """Returns (exit code, whether the timeout ended it). Output goes to top/stdout and top/stderr."""
        scratch = os.path.join(top, "tmp")
        os.mkdir(scratch)
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "TMPDIR": scratch, "HOME": scratch}
        environment |= {v.name: v.value for v in command.environment_variables}
        program = command.arguments[0]
        if "/" not in program:
            program = shutil.which(program, path=environment["PATH"]) or program
        elif not os.path.isabs(program):
            program = os.path.join(directory, program)
        timeout_s = action.timeout.ToNanoseconds() / 1e9 if action.HasField("timeout") else None
        with open(f"{top}/stdout", "wb") as out, open(f"{top}/stderr", "wb") as err:
            try:
                with self.lock:
                    if self.killed:
                        return -signal.SIGKILL, False
                    self.process = subprocess.Popen(
                        list(command.arguments), executable=program, cwd=directory, env=environment,
                        stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True)
            except OSError as e:
                err.write(f"pybot: cannot run {command.arguments[0]}: {e}\n".encode())
                return (127 if isinstance(e, FileNotFoundError) else 126), False
            try:
                self.process.wait(timeout_s or None)
                timed_out = False
            except subprocess.TimeoutExpired:
                timed_out = True
            kill_group(self.process.pid)    # what the command left running dies with it
            exit_code = self.process.wait()
        return (exit_code if exit_code >= 0 else 128 - exit_code), timed_out


def wanted_outputs(command):
    """Pairs of a path and "any", "file" or "directory": newer clients name paths only."""
    if command.output_paths:
        return [(path, "any") for path in command.output_paths]
    return [(path, "file") for path in command.output_files] + [(path, "directory") for path in command.output_directories]


def collect(command, root, top, function, result):
    """Fills `result` with what the command made, and returns what has to be uploaded for it."""
    uploads = []

    def blob(data):
        digest = digest_of(data, function)
        uploads.append((digest, data))
        return digest

    def file(path):
        digest = digest_of_file(path, function)
        uploads.append((digest, path))
        return {"digest": digest, "is_executable": bool(os.stat(path).st_mode & stat.S_IXUSR)}

    def directory(path, children):
        message = reapi.Directory()
        for name in sorted(os.listdir(path)):
            entry = os.path.join(path, name)
            mode = os.lstat(entry).st_mode
            if stat.S_ISLNK(mode):
                message.symlinks.add(name=name, target=os.readlink(entry))
            elif stat.S_ISREG(mode):
                message.files.add(name=name, **file(entry))
            elif stat.S_ISDIR(mode):
                child = directory(entry, children)
                digest = digest_of(child.SerializeToString(deterministic=True), function)
                children[digest.hash] = child
                message.directories.add(name=name, digest=digest)
        return message

    def output_directory(name, path):
        children = {}
        top_directory = directory(path, children)
        output = result.output_directories.add(path=name)
        kind = command.output_directory_format
        if kind != reapi.Command.DIRECTORY_ONLY:
            tree = reapi.Tree(root=top_directory, children=children.values())
            output.tree_digest.CopyFrom(blob(tree.SerializeToString(deterministic=True)))
        if kind != reapi.Command.TREE_ONLY:
            for child in children.values():
                blob(child.SerializeToString(deterministic=True))
            output.root_directory_digest.CopyFrom(blob(top_directory.SerializeToString(deterministic=True)))

    for name, kind in wanted_outputs(command):
        path = inside(root, os.path.join(command.working_directory, name))
        if not os.path.lexists(path):
            continue    # no error in REAPI: the client finds that it is not there
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode):
            link = result.output_symlinks.add(path=name, target=os.readlink(path))
            # The two older fields, for clients that do not read output_symlinks.
            to_directory = kind == "directory" or kind == "any" and os.path.isdir(path)
            (result.output_directory_symlinks if to_directory else result.output_file_symlinks).append(link)
        elif stat.S_ISDIR(mode):
            output_directory(name, path)
        elif stat.S_ISREG(mode):
            result.output_files.add(path=name, **file(path))
    for stream in ("stdout", "stderr"):
        path = f"{top}/{stream}"
        if size_bytes := os.path.getsize(path):
            getattr(result, f"{stream}_digest").CopyFrom(file(path)["digest"])
            if size_bytes <= INLINE_BYTES:
                with open(path, "rb") as f:
                    setattr(result, f"{stream}_raw", f.read())
    return uploads


def inside(root, relative):
    path = os.path.normpath(os.path.join(root, relative))
    if os.path.isabs(relative) or path != root and not path.startswith(root + os.sep):
        raise BadAction(f"the path {relative!r} leaves the input root")
    return path


def kill_group(pid):
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass    # all of it has ended already


def remove_tree(top):
    for folder, names, _ in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                os.chmod(path, 0o755)    # a command may have left folders that nobody can write
    shutil.rmtree(top, ignore_errors=True)
