#!/usr/bin/env bash
# usage: test.sh [python] [r] [vignettes] [-- PYTEST-ARGUMENTS]
# Runs each, goes on after a failure, and ends with the closing lines of all.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
r_environment

closing=() failed=0

python_tests() {
    say "Python tests"
    "$VENV/bin/python" -m pytest -p no:cacheprovider "$@" 2>&1 | tee "$LOGS/pytest.log"
    [ "${PIPESTATUS[0]}" -eq 0 ] || failed=1
    closing+=("$(grep -E '(passed|failed|error|no tests ran).* in [0-9.]+s' "$LOGS/pytest.log" | tail -n 1)")
}

r_tests() {
    say "R tests"
    rm -f "$LOGS/r-tests.line"
    Rscript --vanilla tools/test-r.R "$LOGS/r-tests.line" 2>&1 | tee "$LOGS/r-tests.log"
    [ "${PIPESTATUS[0]}" -eq 0 ] || failed=1
    # A crash of R leaves no line behind: it counts as a failure.
    closing+=("$(cat "$LOGS/r-tests.line" 2>/dev/null || echo 'R: 0 passed, 1 failed')")
}

vignettes() {
    say "Vignettes"
    rm -f "$LOGS/vignettes.line"
    Rscript --vanilla tools/vignettes.R "$ROOT/.cache/vignettes" "$LOGS/vignettes.line" > "$LOGS/vignettes.log" 2>&1 ||
        { failed=1; tail -n 40 "$LOGS/vignettes.log"; }
    closing+=("$(cat "$LOGS/vignettes.line" 2>/dev/null || echo 'vignettes: 0 passed, 1 failed')")
}

runs=() arguments=()
while [ $# -gt 0 ]; do
    case $1 in --) shift; arguments=("$@"); break ;; *) runs+=("$1"); shift ;; esac
done
for run in "${runs[@]}"; do
    case $run in
        python) python_tests "${arguments[@]}" ;;
        r) r_tests ;;
        vignettes) vignettes ;;
    esac
done

say "Closing lines"
printf '%s\n' "${closing[@]}"
exit $failed
