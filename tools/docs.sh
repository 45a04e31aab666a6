#!/usr/bin/env bash
# The Python documentation; every warning is an error.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
r_environment
stamp=$(hash_of pyproject.toml)
is_done docs "$stamp" || {
    say "packages for the documentation"
    run_logged docs-packages "$VENV/bin/python" -m pip install -c .cache/constraints.txt --group docs
    mark_done docs "$stamp"
}
"$VENV/bin/python" -m sphinx -W --keep-going -q -b html python/docs python/docs/_build/html
say "documentation: python/docs/_build/html/index.html"
