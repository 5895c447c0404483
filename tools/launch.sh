# Shared by dist_train.sh, dist_test.sh, slurm_train.sh and slurm_test.sh, which source it.
#
# PYTHON        the interpreter; else the activated environment's, else that of .venv, else python3
# MAX_RESTARTS  how often all processes start again after one died, and go on from the last checkpoint; default: 0

TOOLS="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

if [ -z "${PYTHON:-}" ]; then
    if [ -n "${VIRTUAL_ENV:-}" ]; then
        PYTHON="$VIRTUAL_ENV/bin/python"
    elif [ -x "$TOOLS/../.venv/bin/python" ]; then
        PYTHON="$TOOLS/../.venv/bin/python"
    else
        PYTHON=python3
    fi
fi

# run_distributed PROCESSES TOOL [ARGUMENT ...]: PROCESSES processes on this machine, one part of NNODES.
run_distributed() {
    local processes=$1 tool=$2
    shift 2
    local rendezvous
    if [ "${NNODES:-1}" -eq 1 ] && [ -z "${PORT:-}" ]; then
        # torchrun takes a free port by itself; the address spares it a look-up of this machine's name.
        rendezvous=(--standalone --local-addr 127.0.0.1)
    else
        rendezvous=(--nnodes "${NNODES:-1}" --node-rank "${NODE_RANK:-0}"
            --master-addr "${MASTER_ADDR:-127.0.0.1}" --master-port "${PORT:-29500}")
    fi
    exec "$PYTHON" -m torch.distributed.run "${rendezvous[@]}" --max-restarts "${MAX_RESTARTS:-0}" \
        --nproc-per-node "$processes" \
        "$TOOLS/$tool" "$@" --launcher pytorch
}

# run_slurm PARTITION JOB_NAME TOOL [ARGUMENT ...]
run_slurm() {
    local partition=$1 job=$2 tool=$3
    shift 3
    local processes=${GPUS:-8}
    local per_node=${GPUS_PER_NODE:-$((processes < 8 ? processes : 8))}
    local extra
    read -r -a extra <<<"${SRUN_ARGS:-}"
    exec srun --partition="$partition" --job-name="$job" --gres="gpu:$per_node" --ntasks="$processes" \
        --ntasks-per-node="$per_node" --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${extra[@]+"${extra[@]}"} \
        "$PYTHON" -u "$TOOLS/$tool" "$@" --launcher slurm
}

# usage_unless COUNT TEXT "$@": leave with TEXT where fewer than COUNT arguments follow.
usage_unless() {
    local count=$1 text=$2
    shift 2
    if [ "$#" -lt "$count" ]; then
        echo "usage: $text" >&2
        exit 2
    fi
}
