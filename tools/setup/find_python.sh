#!/usr/bin/env bash
# Prints the path of a Python that can carry this repository: 3.10 to 3.14 with the modules venv and ensurepip.
# Usage: find_python.sh [PYTHON]    PYTHON: the one to take; without it the newest that fits is taken.
set -euo pipefail

# Says what the program is and what it lacks: 'python3.9 is Python 3.9.18', 'python3 is Python 3.13.5 without venv'.
# Ends well where it lacks nothing.
look_at() {
    local found
    if ! found=$("$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null); then
        if command -v "$1" >/dev/null; then echo "$1 is no Python that runs"; else echo "$1 is not there"; fi
        return 1
    fi
    if ! "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 15))'; then
        echo "$1 is Python $found"
        return 1
    fi
    if ! "$1" -c 'import venv, ensurepip' 2>/dev/null; then
        echo "$1 is Python $found without venv"
        return 1
    fi
}

if [ "${1:-}" ]; then
    candidates=("$1")
else
    candidates=(python3.14 python3.13 python3.12 python3.11 python3.10 python3 python)
fi

seen=()
for candidate in "${candidates[@]}"; do
    if lack=$(look_at "$candidate"); then
        "$candidate" -c 'import sys; print(sys.executable)'
        exit
    fi
    case $lack in
        *' is not there') [ "${1:-}" ] && seen+=("$lack") ;;
        *) seen+=("$lack") ;;
    esac
done
found=$(printf '%s, ' "${seen[@]:-no Python found}")
echo "No usable Python: ${found%, }. Install Python 3.10 to 3.14 with venv (Debian: apt install python3-venv)," \
    "or name one: make PYTHON=/path/to/python3.13." >&2
exit 1
