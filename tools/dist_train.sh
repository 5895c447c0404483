#!/usr/bin/env bash
# Train with N processes on this machine (one a GPU; over gloo without GPUs): dist_train.sh CONFIG N [train.py options]
#
# PORT                            default: a free one; 29500 with several machines
# NNODES, NODE_RANK, MASTER_ADDR  several machines: their number, this one's, the address of number 0; run it on each
# MAX_RESTARTS, PYTHON            see launch.sh
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/launch.sh"

usage_unless 2 'dist_train.sh CONFIG N [train.py options]' "$@"
config=$1 processes=$2
shift 2
run_distributed "$processes" train.py "$config" "$@"
