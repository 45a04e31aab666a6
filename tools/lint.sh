#!/usr/bin/env bash
# Every check on the text of the code; goes on after a finding, so that one run shows all.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
r_environment
failed=0

check() { say "$1"; shift; "$@" || failed=1; }
check "ruff" "$VENV/bin/ruff" check python tests/python tools
check "ruff format" "$VENV/bin/ruff" format --check --output-format concise python tests/python tools
check "size limits" "$VENV/bin/python" tools/check_limits.py
check "lintr" Rscript --vanilla tools/lint.R
check "NAMESPACE and man/" bash tools/document.sh --check
[ $failed -eq 0 ] && say "lint: clean" || say "lint: findings above"
exit $failed
