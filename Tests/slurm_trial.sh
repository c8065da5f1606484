#!/usr/bin/env bash
# Tries deploy/slurm/tessera.sbatch on a real Slurm of one node on this machine, which it sets up in a temporary
# folder and takes down again. Needs root and Debian's slurm-wlm and munge.
set -euo pipefail
cd "$(dirname "$0")/.."
for program in munged slurmctld slurmd sbatch; do
    command -v "$program" >/dev/null || { echo "skipped: install slurm-wlm and munge"; exit 0; }
done
[ "$(id -u)" = 0 ] || { echo "skipped: Slurm's daemons need root"; exit 0; }
place=$(mktemp -d /tmp/tessera-slurm-XXXXXX)
chmod 755 "$place"
node=$(hostname -s)
end() {
    for name in slurmd slurmctld munged; do
        [ -s "$place/$name.pid" ] && kill "$(cat "$place/$name.pid")" 2>/dev/null || true
    done
    sleep 1
    rm -rf "$place"
}
trap end EXIT

(umask 077; head -c 1024 /dev/urandom >"$place/munge.key")
munged --force --socket="$place/munge.socket" --key-file="$place/munge.key" --pid-file="$place/munged.pid" \
    --log-file="$place/munged.log" --seed-file="$place/munged.seed"
mkdir "$place/state" "$place/spool"
cat >"$place/slurm.conf" <<CONF
ClusterName=trial
SlurmctldHost=$node(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$place/munge.socket
CredType=cred/munge
SlurmctldPort=26817
SlurmdPort=26818
SlurmctldPidFile=$place/slurmctld.pid
SlurmdPidFile=$place/slurmd.pid
SlurmctldLogFile=$place/slurmctld.log
SlurmdLogFile=$place/slurmd.log
StateSaveLocation=$place/state
SlurmdSpoolDir=$place/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
NodeName=$node NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=$node Default=YES MaxTime=10 State=UP
CONF
export SLURM_CONF=$place/slurm.conf
slurmctld
slurmd

tessera=$PWD/.build/release/tessera
script=$PWD/deploy/slurm/tessera.sbatch
lora=$PWD/Tests/Fixtures/lora/sdxl-kohya.safetensors
model=$PWD/Tests/Fixtures/sdxl-tiny
picture=(--model "$model" --lora="$lora" --lora "$lora:0.5" --precision f32
    --prompt "a calm sea at sunset" --size 256x192 --steps 4 --seed 3)
export TESSERA=$tessera TESSERA_HOST=127.0.0.1 XDG_STATE_HOME=$place/jobs
cd "$place"
umask 022

# Nodes load what the coordinator loads, however its flags are written.
"$tessera" render "${picture[@]}" --output "$place/alone.png" 2>/dev/null
timeout 120 sbatch --wait --nodes 1 --output "$place/job.log" "$script" \
    "${picture[@]}" --output "$place/job.png" || { cat "$place/job.log" "$place/slurmctld.log"; exit 1; }
cat "$place/job.log"
cmp "$place/alone.png" "$place/job.png"
[ "$(stat -c %a "$place/job.png")" = 644 ] || { echo "the picture's mode is not that of the umask"; exit 1; }

# If all workers are refused, the job ends.
cat >"$place/other" <<SCRIPT
#!/bin/sh
[ "\$1" = worker ] && set -- "\$@" --lora "$lora:0.25"
exec "$tessera" "\$@"
SCRIPT
chmod +x "$place/other"
status=0
TESSERA=$place/other timeout 60 sbatch --wait --nodes 1 --output "$place/refused.log" "$script" \
    "${picture[@]}" --output "$place/none.png" || status=$?
cat "$place/refused.log"
[ "$status" = 69 ] || { echo "a job whose workers were refused ended with status $status, not 69"; exit 1; }
grep -q "refused this worker" "$place/refused.log"

# The script resumes what was saved, on workers with the same flags.
folder=$(sed -n 's/^to continue: tessera resume //p' "$place/refused.log")
timeout 120 sbatch --wait --nodes 1 --output "$place/resumed.log" "$script" resume "$folder" \
    --model "$model" --lora="$lora" --lora "$lora:0.5" --precision f32 ||
    { cat "$place/resumed.log"; exit 1; }
cmp "$place/alone.png" "$place/none.png"
[ -z "$(ls -d "$place"/.tessera-* 2>/dev/null)" ] || { echo "keys were left behind"; exit 1; }
echo "Slurm rendered the same bytes"
