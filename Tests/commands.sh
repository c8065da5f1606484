#!/usr/bin/env bash
# Runs the tests of the built program in three processes at once, since they mostly wait for other processes.
set -uo pipefail
cd "$(dirname "$0")/.."
tests=.build/release/tesseraPackageTests.xctest
# Tests that compute most, and tests of single commands. The others share networks, so they run one after another.
pictures='TesseraTests\.(PictureTests|RefineTests|RefineFixtureTests|FixtureRunTests|PromptTests|ModelKindCommandTests|ComposedTests|RepeatCommandTests|SeriesCommandTests|MaskTests|FaultTests)/'
commands='TesseraTests\.(ServeTests|CommandTests|GuidedTests|LanguageCommandTests|HabitTests|HostileCommandTests|OutputFormatTests|HostilePeerTests)/'
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

part() {
    local log=$1
    shift
    "$tests" --testing-library swift-testing --no-parallel "$@" >"$logs/$log" 2>&1
}

part pictures --filter "$pictures" &
first=$!
part commands --filter "$commands" &
second=$!
part clusters --filter 'TesseraTests\.' --skip "$pictures" --skip "$commands"
status=$?
wait "$first" || status=$?
wait "$second" || status=$?
cat "$logs/pictures" "$logs/commands" "$logs/clusters"
exit "$status"
