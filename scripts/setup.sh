#!/bin/sh
# Makes .venv from requirements.lock, with the project itself in it. Does nothing when that is up to date.
# Needs Python 3.11 or newer and either uv or venv; uv is used where it is there and fetched where not.
set -eu
cd "$(dirname "$0")/.."

uv_version=0.13.9
stamp=.venv/.spaza-setup
# The folder belongs to it, for an environment does not survive being moved.
wanted="$(cat requirements.lock pyproject.toml scripts/setup.sh | cksum) $PWD"
if [ -x .venv/bin/spaza ] && [ "$(cat "$stamp" 2>/dev/null || true)" = "$wanted" ]; then
    exit 0
fi

say() { printf '%s\n' "$*" >&2; }

suits() {
    command -v "$1" >/dev/null 2>&1 && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.14 python; do
        if suits "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
}

with_uv() {
    uv="$1"
    if ! .venv/bin/python -c '' 2>/dev/null; then
        "$uv" venv --quiet --allow-existing --python "${python:->=3.11}" .venv || return 1
    fi
    # Compiled now, or each of some thirty processes compiles for itself where writing bytecode is turned off.
    "$uv" pip sync --quiet --python .venv/bin/python --require-hashes --compile-bytecode requirements.lock || return 1
    "$uv" pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable . || return 1
}

with_pip() {
    pip=".venv/bin/python -m pip --disable-pip-version-check"
    $pip install --quiet --require-hashes --requirement requirements.lock || return 1
    $pip install --quiet --no-deps --no-build-isolation --editable . || return 1
}

python="$(find_python)"
say "Spaza sets up .venv; the first time this takes a minute or two."
rm -f "$stamp"

if command -v uv >/dev/null 2>&1; then
    if with_uv uv; then
        printf '%s' "$wanted" >"$stamp"
        exit 0
    fi
    say "uv did not get through; trying with pip."
fi

if [ -z "$python" ]; then
    say "Spaza needs Python 3.11 or newer, and none was found. Install one (Debian, Ubuntu: apt install python3"
    say "python3-venv; macOS: brew install python), or install uv, which brings its own (https://docs.astral.sh/uv/)."
    say "A Python in another place is named by: make PYTHON=/path/to/python3 ..."
    exit 1
fi
# An environment that uv made has no pip; it is given one rather than made anew.
if ! .venv/bin/python -m pip --version >/dev/null 2>&1 && ! .venv/bin/python -m ensurepip >/dev/null 2>&1; then
    if ! "$python" -m venv --clear .venv >/dev/null 2>&1; then
        say "$python cannot make a virtual environment: it comes without venv or ensurepip. Install it (Debian, Ubuntu:"
        say "apt install python3-venv), or install uv (https://docs.astral.sh/uv/), and try again."
        exit 1
    fi
fi
if .venv/bin/python -m pip --disable-pip-version-check install --quiet --upgrade --target .venv/.uv "uv==$uv_version" 2>/dev/null &&
    with_uv .venv/.uv/bin/uv; then
    :
elif ! with_pip; then
    say "The packages of requirements.lock could not be installed; what went wrong stands above. Without a way to the"
    say "package index, name a mirror (PIP_INDEX_URL, UV_DEFAULT_INDEX) or a folder of wheels (PIP_FIND_LINKS)."
    exit 1
fi
printf '%s' "$wanted" >"$stamp"
