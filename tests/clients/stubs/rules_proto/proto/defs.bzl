"""Bazel 4 has the rules of rules_proto built in: the names alone are enough."""

proto_lang_toolchain = native.proto_lang_toolchain
proto_library = native.proto_library
