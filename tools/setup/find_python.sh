#!/usr/bin/env bash
# Prints the path of a Python that can carry this repository: 3.10, 3.11 or 3.12 with the modules venv and ensurepip.
# Usage: find_python.sh [PYTHON]    PYTHON: the one to take; without it the newest that fits is taken.
set -euo pipefail

fits() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 13))' >/dev/null 2>&1
}

if [ "${1:-}" ]; then
    candidates=("$1")
else
    candidates=(python3.12 python3.11 python3.10 python3 python)
fi

for candidate in "${candidates[@]}"; do
    if fits "$candidate"; then
        "$candidate" -c 'import sys; print(sys.executable)'
        exit
    fi
done
echo "No usable Python among: ${candidates[*]}. Install Python 3.10, 3.11 or 3.12 with venv (Debian: apt install" \
    "python3-venv), or name one: make PYTHON=/path/to/python3.12." >&2
exit 1
