#!/usr/bin/env bash
# Sets up a real one-node Slurm (munge, slurmctld, slurmd from apt) on this machine, as root, and runs a job on
# it. Usage: tools/slurm_one_node.sh BUILD_FOLDER [STUDY.yaml [options of rubato plan]]
# The folder must have been configured with -Dmpi=enabled. Ends what it started.
set -eu
build=$(realpath "$1"); shift
here=$(cd "$(dirname "$0")/.." && pwd)
[ $# -gt 0 ] || set -- "$here/tests/determinism/priced.yaml" --iterations 3 --gap 0 --no-worth --out plan
study=$(realpath "$1"); shift
source "$here/scripts/setup.sh"
need openmpi-bin libopenmpi-dev slurm-wlm slurm-wlm-basic-plugins munge procps
work=$(mktemp -d)
chmod 755 "$work"
node=$(hostname -s)
cat >"$work/slurm.conf" <<END
ClusterName=rubato
SlurmctldHost=$node
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CryptoType=crypto/munge
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
NodeName=$node NodeAddr=127.0.0.1 CPUs=$(nproc) Sockets=1 CoresPerSocket=$(nproc) ThreadsPerCore=1 State=UNKNOWN
PartitionName=main Nodes=$node Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
END
mkdir -p "$work/state" "$work/spool" /run/munge
chown munge: /run/munge
chmod 755 /run/munge
export SLURM_CONF=$work/slurm.conf OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
stop() {
    for name in slurmd slurmctld; do
        [ ! -f "$work/$name.pid" ] || kill "$(cat "$work/$name.pid")" 2>/dev/null || true
    done
    [ -z "${munge_started:-}" ] || pkill -x munged || true
}
trap stop EXIT
grep -q "[[:space:]]$node\$" /etc/hosts || echo "127.0.0.1 $node" >>/etc/hosts
pgrep -x munged >/dev/null || { runuser -u munge -- munged && munge_started=1; }
slurmctld -f "$SLURM_CONF"
slurmd -f "$SLURM_CONF" -N "$node"
for _ in $(seq 60); do
    sinfo -h -o %T 2>/dev/null | grep -qE "idle|mixed" && break
    sleep 0.5
done
echo "== sinfo"; sinfo
cd "$work"
echo "== sbatch examples/slurm/plan.sbatch $study $*"
tasks=$(nproc)
id=$(RUBATO=$build/rubato sbatch --parsable --ntasks="$tasks" "$here/examples/slurm/plan.sbatch" "$study" "$@")
while squeue -h -j "$id" 2>/dev/null | grep -q .; do sleep 1; done
echo "== rubato-plan-$id.log"; cat "rubato-plan-$id.log"
echo "== scontrol show job"; scontrol show job "$id" | grep -E "JobState|NumTasks|RunTime|Command" || true
state=$(scontrol show job "$id" | grep -oE "JobState=[A-Z]+")
echo "logs and outputs: $work"
[ "$state" = JobState=COMPLETED ]
