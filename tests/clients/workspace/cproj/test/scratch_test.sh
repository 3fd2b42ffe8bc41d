#!/bin/sh
# Bazel promises each test a folder of its own.
test -n "$TEST_TMPDIR" && touch "$TEST_TMPDIR/file"
