#!/usr/bin/env bash
# Every check of the project; arguments go to pytest, as in
#
#     tools/check.sh -m "not slow"
#
# PYTHON names the interpreter (default: python), PYTEST=no leaves the tests
# out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python}
buildifier_version=8.2.1

step() { printf '\n== %s\n' "$*"; }

step "ruff"
"$python" -m ruff check .
"$python" -m ruff format --check .

step "mypy"
"$python" -m mypy

step "BUILD files against the imports"
"$python" tools/build_files.py --check

step "buildifier"
npx_buildifier() { npx --yes "@bazel/buildifier@$buildifier_version" "$@"; }
if command -v buildifier > /dev/null; then
    run=buildifier
elif npx_buildifier --version > /dev/null 2>&1; then
    run=npx_buildifier
else
    run=
fi
if [ -n "$run" ]; then
    mapfile -d '' -t files < <(find BUILD l2o_tf -name BUILD -print0)
    "$run" --mode=check --lint=warn "${files[@]}"
    echo "${#files[@]} files are clean."
else
    echo "SKIPPED: neither buildifier nor npx with a registry is here;" \
        "the format of the BUILD files was NOT checked." >&2
fi

if [ "${PYTEST:-yes}" != no ]; then
    step "pytest"
    "$python" -m pytest "$@"
fi
