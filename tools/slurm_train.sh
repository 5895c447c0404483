#!/usr/bin/env bash
# Train on a Slurm cluster: slurm_train.sh PARTITION JOB_NAME CONFIG [train.py options]
#
# GPUS           processes, one a GPU (8)
# GPUS_PER_NODE  at most so many on a machine (8)
# CPUS_PER_TASK  cores a process (5)
# SRUN_ARGS      more options of srun, split at blanks
# PYTHON         see launch.sh
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/launch.sh"

usage_unless 3 'slurm_train.sh PARTITION JOB_NAME CONFIG [train.py options]' "$@"
partition=$1 job=$2
shift 2
run_slurm "$partition" "$job" train.py "$@"
