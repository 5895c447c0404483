#!/usr/bin/env bash
# Makes a virtual environment with the pinned requirements and this repository in it, or brings one up to date; with EXTRA
# files of requirements, adds those to a finished one.
# Usage: install.sh VENV REQUIREMENTS [PYTHON [EXTRA…]]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

venv=$1
requirements=$2
python=${3:-}
extras=("${@:4}")
# Says what the folder is: 'installing FILE' or 'ready FILE', with the file of requirements.
state=$venv/.state

export PIP_DISABLE_PIP_VERSION_CHECK=1

# By uv where there is one, which takes a sixth of the time. It reads no pip.conf: what it does not find, pip may.
install() {
    if command -v uv >/dev/null; then
        uv pip install --python "$venv/bin/python" "$@" && return
        echo 'uv could not install this; trying pip.' >&2
    fi
    # Compiling every file of torch takes half a minute; Python compiles those that it imports. (PIP_NO_COMPILE=1 has
    # pip compile them.)
    "$venv/bin/python" -m pip install --no-compile "$@"
}

if [ ${#extras[@]} -gt 0 ]; then
    # Together with the stack's pins, lest one of those is moved.
    install "${extras[@]/#/--requirement=}" --constraint "$requirements"
    exit
fi

# An interrupted pip may leave half a package that it later takes for a whole one: such a folder is made anew.
if [ "$(cat "$state" 2>/dev/null)" = "installing $requirements" ]; then
    rm -rf "$venv"
fi
if [ -z "$(ls -A "$venv" 2>/dev/null)" ]; then
    python=$(tools/setup/find_python.sh "$python")
    mkdir -p "$venv"
    echo "installing $requirements" >"$state"
    "$python" -m venv "$venv"
elif [ "$(cat "$state" 2>/dev/null)" != "ready $requirements" ]; then
    echo "VENV=$venv exists and was not made by make from $requirements: name another folder, or remove this one." >&2
    exit 1
fi
echo "installing $requirements" >"$state"

install --requirement "$requirements"
# One at a time, where two stacks are being installed: it writes into this folder.
{
    if command -v flock >/dev/null; then flock 9; fi
    install --no-deps --editable .
} 9<pyproject.toml

# opencv-python (onedl-mmcv and imaug want it) needs libGL, which a bare server lacks; opencv-python-headless (imaug wants
# it too) does not. Both write the folder cv2, so whichever pip unpacks last wins. We want the headless one, therefore it
# is unpacked once more. The other stays listed as installed, so that pip sees every requirement met and leaves it alone.
headless=()
while IFS= read -r line; do headless+=("$line"); done < <(grep '^opencv-python-headless==' "$requirements")
install --no-deps --force-reinstall "${headless[@]}"

# This compiles, too, also where the environment forbids it: each start would take twice as long.
PYTHONDONTWRITEBYTECODE= "$venv/bin/python" -c 'import sparse_rcnn_ext, mmdet.models'
echo "ready $requirements" >"$state"
