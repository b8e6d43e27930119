#!/bin/sh
# Writes requirements.lock anew from pyproject.toml, after setup.sh. uv is used where it is there and fetched where not.
set -eu
cd "$(dirname "$0")/.."

uv_version="$(sed -n 's/^uv_version=//p' scripts/setup.sh)"
fetched=.venv/.uv/bin/uv

fetch() {
    .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null 2>&1 || return 1
    .venv/bin/python -m pip --disable-pip-version-check install --quiet --upgrade --target .venv/.uv "uv==$uv_version"
}

if command -v uv >/dev/null 2>&1; then
    uv=uv
elif [ -x "$fetched" ] || fetch; then
    uv="$fetched"
else
    printf '%s\n' "requirements.lock is written by uv, which is not here and could not be fetched: install it" \
        "(https://docs.astral.sh/uv/), and try again." >&2
    exit 1
fi
"$uv" pip compile pyproject.toml --extra dev --generate-hashes --no-header --universal --quiet -o requirements.lock
