#!/usr/bin/env bash
# Runs the tests of the built program in two processes at once: mostly they wait for other processes.
set -uo pipefail
cd "$(dirname "$0")/.."
tests=.build/release/tesseraPackageTests.xctest
# Those that compute most. The others share networks, so they run one after the other.
heavy='TesseraTests\.(PictureTests|RefineTests|RefineFixtureTests|FixtureRunTests|PromptTests|ModelKindCommandTests|ComposedTests|RepeatCommandTests|SeriesCommandTests|CommandTests|GuidedTests|MaskTests|LanguageCommandTests|HabitTests|HostileCommandTests|OutputFormatTests|ServeTests)/'
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

half() {
    local log=$1
    shift
    "$tests" --testing-library swift-testing --no-parallel "$@" >"$logs/$log" 2>&1
}

half pictures --filter "$heavy" &
pictures=$!
half clusters --filter 'TesseraTests\.' --skip "$heavy"
status=$?
wait "$pictures" || status=$?
cat "$logs/pictures" "$logs/clusters"
exit "$status"
