#!/usr/bin/env bash
# Test on a Slurm cluster: slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [test.py options]
# The environment variables are those of slurm_train.sh.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/launch.sh"

usage_unless 4 'slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [test.py options]' "$@"
partition=$1 job=$2
shift 2
run_slurm "$partition" "$job" test.py "$@"
