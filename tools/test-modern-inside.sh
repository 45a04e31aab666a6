#!/usr/bin/env bash
# Runs inside the chroot, in a copy of the repository; see test-modern.sh.
set -uo pipefail
Rscript --vanilla -e 'for (p in c("Seurat", "SeuratObject", "reticulate", "SingleCellExperiment", "rhdf5"))
    message(p, " ", packageVersion(p)); message(R.version.string)'
failed=0 log=$(mktemp)

Rscript --vanilla tools/test-r.R "$log.line" || failed=1
[ -n "${FILTER:-}" ] || {
    /opt/venv/bin/python -m pytest -q -p no:cacheprovider $(ls -d tests/python/bridge tests/python/test_package.py 2>/dev/null) 2>&1 | tee "$log"
    [ "${PIPESTATUS[0]}" -eq 0 ] || failed=1
}
printf '\n==> Closing lines (modern stack)\n%s\n%s\n' "$(grep -E ' in [0-9.]+s' "$log" | tail -n 1)" \
    "$(cat "$log.line" 2>/dev/null || echo 'R: 0 passed, 1 failed')"
exit $failed
