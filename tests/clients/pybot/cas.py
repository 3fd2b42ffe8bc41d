"""A client of the content-addressable storage, with a folder of blobs that were fetched already.

Not for: anything about leases or commands. `action.py` uses it to get inputs and to hand over outputs.
"""

import hashlib
import os
import random
import time
import uuid

import grpc

from protos import bytestream, bytestream_grpc, code, reapi, reapi_grpc

BATCH_BLOB_BYTES = 2 << 20    # larger blobs go through ByteStream
BATCH_BYTES = 3 << 20         # stays below the 4 MiB that gRPC accepts by default
BATCH_BLOBS = 500
CHUNK_BYTES = 512 << 10
ATTEMPTS = 6
RETRYABLE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.ABORTED,
             grpc.StatusCode.RESOURCE_EXHAUSTED)
# REAPI does not name the hash function in a digest: the length tells.
FUNCTIONS = {32: "md5", 40: "sha1", 64: "sha256", 96: "sha384", 128: "sha512"}


class MissingBlobs(Exception):
    """The storage does not have these: the client has to upload them again."""

    def __init__(self, digests):
        super().__init__("missing blobs: " + ", ".join(f"{d.hash}/{d.size_bytes}" for d in digests))
        self.digests = list(digests)


class BadAction(Exception):
    """The action itself is wrong: another attempt would end the same."""


def function_of(digest):
    if len(digest.hash) not in FUNCTIONS:
        raise BadAction(f"the hash {digest.hash!r} has an odd length")
    return FUNCTIONS[len(digest.hash)]


def digest_of(data, function="sha256"):
    return reapi.Digest(hash=hashlib.new(function, data).hexdigest(), size_bytes=len(data))


def digest_of_file(path, function):
    hasher, size_bytes = hashlib.new(function), 0
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            hasher.update(block)
            size_bytes += len(block)
    return reapi.Digest(hash=hasher.hexdigest(), size_bytes=size_bytes)


def batches(items, size_of):
    """Cuts `items` into lists that one batch call may carry."""
    batch, total = [], 0
    for item in items:
        if batch and (total + size_of(item) > BATCH_BYTES or len(batch) >= BATCH_BLOBS):
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += size_of(item)
    if batch:
        yield batch


class Cas:
    def __init__(self, channel, instance, folder, timeout_s):
        self.instance, self.folder, self.timeout_s = instance, folder, timeout_s
        self.prefix = f"{instance}/" if instance else ""
        self.storage = reapi_grpc.ContentAddressableStorageStub(channel)
        self.bytes = bytestream_grpc.ByteStreamStub(channel)

    def path(self, digest):
        return os.path.join(self.folder, digest.hash[:2], f"{digest.hash}_{digest.size_bytes}")

    def read(self, digest):
        self.fetch([digest])
        with open(self.path(digest), "rb") as f:
            return f.read()

    def message(self, kind, digest):
        data = self.read(digest)
        try:
            return kind.FromString(data)
        except Exception as e:
            raise BadAction(f"{kind.__name__} {digest.hash}/{digest.size_bytes} does not parse: {e}") from e

    def fetch(self, digests):
        """Brings every blob into the folder, or raises MissingBlobs with all that the storage lacks."""
        wanted = {}
        for digest in digests:
            function_of(digest)
            if not os.path.exists(self.path(digest)):
                wanted[(digest.hash, digest.size_bytes)] = digest
        missing, small = [], []
        for digest in wanted.values():
            if digest.size_bytes == 0:
                self._keep(digest, b"")
            elif digest.size_bytes <= BATCH_BLOB_BYTES:
                small.append(digest)
            else:
                missing += self._fetch_stream(digest)
        for batch in batches(small, lambda digest: digest.size_bytes):
            missing += self._fetch_batch(batch)
        if missing:
            raise MissingBlobs(missing)

    def tree(self, root):
        """All directories below `root`, by hash: GetTree first, then a walk for what it left out."""
        found = {}
        if root.size_bytes:
            try:
                self._retry(lambda: self._get_tree(root, found))
            except grpc.RpcError:
                pass    # absent or not served: the walk below says which blob is missing
        level = [root]
        while level:
            absent = [digest for digest in level if digest.hash not in found]
            self.fetch(absent)
            for digest in absent:
                found[digest.hash] = self.message(reapi.Directory, digest)
            children = {c.digest.hash: c.digest for d in level for c in found[d.hash].directories}
            level = list(children.values())
        return found

    def upload(self, items):
        """Uploads what the storage lacks. `items` are pairs of a digest and its bytes or the path of a file."""
        unique = {digest.hash: (digest, source) for digest, source in items if digest.size_bytes}
        digests = [digest for digest, _ in unique.values()]
        small = []
        for i in range(0, len(digests), 1000):
            request = reapi.FindMissingBlobsRequest(instance_name=self.instance, blob_digests=digests[i:i + 1000])
            answer = self._retry(lambda: self.storage.FindMissingBlobs(request, timeout=self.timeout_s))
            for digest in answer.missing_blob_digests:
                if digest.size_bytes > BATCH_BLOB_BYTES:
                    self._upload_stream(*unique[digest.hash])
                else:
                    small.append(unique[digest.hash])
        for batch in batches(small, lambda item: item[0].size_bytes):
            self._upload_batch(batch)

    def _retry(self, call):
        delay_s = 0.1
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return call()
            except grpc.RpcError as e:
                if e.code() not in RETRYABLE or attempt == ATTEMPTS:
                    raise
            time.sleep(delay_s * (0.5 + random.random()))
            delay_s *= 2

    def _keep(self, digest, data):
        """Puts a blob into the folder: whole or not at all, and only if it is what its digest says."""
        if digest_of(data, function_of(digest)) != digest:
            raise IOError(f"the storage returned other content for {digest.hash}/{digest.size_bytes}")
        with NewFile(self.path(digest)) as new:
            new.file.write(data)
        new.place()

    def _fetch_batch(self, digests):
        request = reapi.BatchReadBlobsRequest(instance_name=self.instance, digests=digests)
        missing = []
        for blob in self._retry(lambda: self.storage.BatchReadBlobs(request, timeout=self.timeout_s)).responses:
            if blob.status.code == code.NOT_FOUND:
                missing.append(blob.digest)
            elif blob.status.code:
                raise IOError(f"BatchReadBlobs {blob.digest.hash}: {blob.status.code} {blob.status.message}")
            else:
                self._keep(blob.digest, blob.data)
        return missing

    def _fetch_stream(self, digest):
        name = f"{self.prefix}blobs/{digest.hash}/{digest.size_bytes}"

        def read():
            with NewFile(self.path(digest)) as new:
                for part in self.bytes.Read(bytestream.ReadRequest(resource_name=name), timeout=self.timeout_s):
                    new.file.write(part.data)
            if digest_of_file(new.temporary, function_of(digest)) != digest:
                raise IOError(f"the storage returned other content for {digest.hash}/{digest.size_bytes}")
            new.place()

        try:
            self._retry(read)
        except grpc.RpcError as e:
            if e.code() == grpc.StatusCode.NOT_FOUND:
                return [digest]
            raise
        return []

    def _get_tree(self, root, found):
        function, token = function_of(root), ""
        while True:
            request = reapi.GetTreeRequest(instance_name=self.instance, root_digest=root, page_token=token)
            for page in self.storage.GetTree(request, timeout=self.timeout_s):
                for directory in page.directories:
                    data = directory.SerializeToString(deterministic=True)
                    found[digest_of(data, function).hash] = directory
                token = page.next_page_token
            if not token:
                return

    def _upload_batch(self, items):
        requests = []
        for digest, source in items:
            if not isinstance(source, bytes):
                with open(source, "rb") as f:
                    source = f.read()
            requests.append(reapi.BatchUpdateBlobsRequest.Request(digest=digest, data=source))
        request = reapi.BatchUpdateBlobsRequest(instance_name=self.instance, requests=requests)
        for blob in self._retry(lambda: self.storage.BatchUpdateBlobs(request, timeout=self.timeout_s)).responses:
            if blob.status.code:
                raise IOError(f"BatchUpdateBlobs {blob.digest.hash}: {blob.status.code} {blob.status.message}")

    def _upload_stream(self, digest, source):
        name = f"{self.prefix}uploads/{uuid.uuid4()}/blobs/{digest.hash}/{digest.size_bytes}"

        def parts():
            data = source if isinstance(source, bytes) else open(source, "rb").read()
            for offset in range(0, len(data), CHUNK_BYTES):
                end = offset + CHUNK_BYTES >= len(data)
                yield bytestream.WriteRequest(resource_name="" if offset else name, write_offset=offset,
                                              data=data[offset:offset + CHUNK_BYTES], finish_write=end)

        committed = self._retry(lambda: self.bytes.Write(parts(), timeout=self.timeout_s)).committed_size
        if committed not in (digest.size_bytes, -1):    # -1: the blob was there already, compressed
            raise IOError(f"ByteStream.Write committed {committed} of {digest.size_bytes} bytes")


class NewFile:
    """A file that gets its name only when it is whole: bots may share one folder."""

    def __init__(self, path):
        self.path, self.temporary = path, f"{path}.{uuid.uuid4().hex}"

    def __enter__(self):
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        self.file = open(self.temporary, "wb")
        return self

    def __exit__(self, *_):
        self.file.close()

    def place(self):
        os.replace(self.temporary, self.path)
