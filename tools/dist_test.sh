#!/usr/bin/env bash
# Test with N processes on this machine: dist_test.sh CONFIG CHECKPOINT N [test.py options]
# The environment variables are those of dist_train.sh.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/launch.sh"

usage_unless 3 'dist_test.sh CONFIG CHECKPOINT N [test.py options]' "$@"
config=$1 checkpoint=$2 processes=$3
shift 3
run_distributed "$processes" test.py "$config" "$checkpoint" "$@"
