#!/bin/sh
# Writes Sources/Protocol/Generated/messages.pb.swift from messages.proto.
# Needs protoc (Debian: protobuf-compiler) and the checkout of swift-protobuf that a build leaves;
# the plug-in is built once, beside it.
#
# Messages with many fields keep them in a class, which is copied before a change unless nobody else refers to it. So values can
# be passed between threads, and the first, empty instance is never changed: that is why the plug-in writes @unchecked Sendable and
# nonisolated(unsafe).
set -eu
cd "$(dirname "$0")/.."
plugin=${PROTOC_GEN_SWIFT:-}
if [ -z "$plugin" ]; then
    scratch=.build/protoc-gen-swift
    swift build --package-path .build/checkouts/swift-protobuf --scratch-path "$scratch" \
        --product protoc-gen-swift
    plugin="$scratch/debug/protoc-gen-swift"
fi
protoc --plugin=protoc-gen-swift="$plugin" --proto_path=Sources/Protocol \
    --swift_opt=Visibility=Package --swift_out=Sources/Protocol/Generated messages.proto
