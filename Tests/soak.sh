#!/usr/bin/env bash
# One render under random faults: workers are killed, stopped and continued, and join late, and the
# coordinator is killed and resumed, at random. The picture must be that of an undisturbed render.
#     Tests/soak.sh [FAULTS] [SEED]
set -euo pipefail
cd "$(dirname "$0")/.."
faults=${1:-60}
RANDOM=${2:-$(date +%s)}
tessera=$PWD/.build/release/tessera
work=$(mktemp -d)
endpoint=tcp://127.0.0.1:$((20000 + RANDOM % 20000))
export XDG_STATE_HOME=$work/state
workers=()
coordinator=
cleanup() {
    for pid in "${workers[@]}" $coordinator; do
        kill -CONT "$pid" 2>/dev/null || true
        kill -KILL "$pid" 2>/dev/null || true
    done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
settings=(--prompt "a lake at sunset" --size 512x512 --steps 40 --guidance 3 --seed 3)

echo "a quiet render first"
"$tessera" render "${settings[@]}" --workers 2 --output "$work/quiet.png" 2>"$work/quiet.log"

join() {
    "$tessera" worker --connect "$endpoint" --threads 1 2>>"$work/workers.log" &
    workers+=($!)
    disown
}
begin() {
    if [ -e "$work/job/job.json" ]; then
        "$tessera" resume "$work/job" 2>>"$work/coordinator.log" &
    else
        "$tessera" coordinator --bind "$endpoint" --job-dir "$work/job" "${settings[@]}" \
            --output "$work/storm.png" 2>>"$work/coordinator.log" &
    fi
    coordinator=$!
}
alive() { kill -0 "$1" 2>/dev/null; }
begin
join
join
join
declare -A count=()
note() { count[$1]=$((${count[$1]:-0} + 1)); }
done=0
status=
while [ "$done" -lt "$faults" ]; do
    sleep "0.$((RANDOM % 5 + 1))"
    if ! alive "$coordinator"; then
        wait "$coordinator" && status=0 || status=$?
        coordinator=
        [ "$status" = 0 ] && break
        echo "the coordinator ended with $status:"
        tail -3 "$work/coordinator.log"
        exit 1
    fi
    living=()
    for pid in "${workers[@]}"; do if alive "$pid"; then living+=("$pid"); fi; done
    workers=("${living[@]}")
    if [ ${#workers[@]} -lt 2 ]; then
        join
        note "late joins"
        done=$((done + 1))
        continue
    fi
    victim=${workers[$((RANDOM % ${#workers[@]}))]}
    case $((RANDOM % 8)) in
        0 | 1)
            kill -KILL "$victim"
            note kills
            ;;
        2 | 3)
            kill -STOP "$victim"
            note stops
            ;;
        4 | 5)
            # Workers that were stopped continue; the coordinator may have given them up meanwhile.
            for pid in "${workers[@]}"; do kill -CONT "$pid" 2>/dev/null || true; done
            note continues
            ;;
        6)
            [ ${#workers[@]} -ge 4 ] && continue
            join
            note "late joins"
            ;;
        7)
            # Only once it has something to resume from.
            [ -e "$work/job/state.safetensors" ] || continue
            kill -KILL "$coordinator"
            wait "$coordinator" 2>/dev/null || true
            begin
            note "coordinator kills"
            ;;
    esac
    done=$((done + 1))
done
for pid in "${workers[@]}"; do kill -CONT "$pid" 2>/dev/null || true; done
if [ -z "$status" ]; then
    # No more faults: it must end by itself, on at least one worker.
    join
    deadline=$((SECONDS + 300))
    while alive "$coordinator" && [ $SECONDS -lt $deadline ]; do sleep 0.5; done
    if alive "$coordinator"; then
        echo "the render has not ended within five minutes"
        exit 1
    fi
    wait "$coordinator" && status=0 || status=$?
    coordinator=
fi
for kind in "${!count[@]}"; do echo "  ${count[$kind]} $kind"; done
if [ "$status" != 0 ]; then
    echo "the coordinator ended with $status:"
    tail -3 "$work/coordinator.log"
    exit 1
fi
if [ "$done" -lt 50 ]; then
    echo "the render was over after $done faults; 50 are wanted: give it more steps"
    exit 1
fi
cmp "$work/quiet.png" "$work/storm.png"
[ ! -e "$work/job" ] || { echo "the finished job was not removed"; exit 1; }
echo "$done faults, and the picture is the same to the byte"
