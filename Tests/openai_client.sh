#!/bin/sh
# OpenAI's own client against `tessera serve`. The client is installed into .build/openai from PyPI.
set -eu
cd "$(dirname "$0")/.."
python=.build/openai/bin/python
[ -x $python ] || python3 -m venv .build/openai
$python -c 'import openai' 2>/dev/null || $python -m pip install -q 'openai>=1.109,<4'
exec $python Tests/openai_client.py "${1:-.build/release/tessera}" "${2:-Tests/Fixtures/sd15-tiny}"
