#!/bin/sh
# schemathesis against `tessera serve`: no 5xx, and no answer that the OpenAPI document does not describe.
# It is installed into .build/schemathesis from PyPI. Usage: Tests/openapi_check.sh [PROGRAM] [MODEL] [EXAMPLES]
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.build/schemathesis/bin/python}
if ! [ -x "$python" ]; then
    python3 -m venv .build/schemathesis
    $python -m pip install -q 'schemathesis>=4,<5'
fi
exec $python Tests/openapi_check.py "${1:-.build/release/tessera}" "${2:-Tests/Fixtures/sd15-tiny}" "${3:-25}"
