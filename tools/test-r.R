# usage: Rscript test-r.R FILE    runs the tests of the installed package and writes the closing line into FILE
# testthat's own runner stops at nothing and counts expectations; one line per run of both languages counts tests.
closingFile <- commandArgs(TRUE)[1]
filter <- Sys.getenv("FILTER")

# Snapshots of error texts are read like code here; only on CRAN does their wording matter less.
Sys.setenv(NOT_CRAN = "true")

library(testthat)
library(isthmus)

started <- proc.time()[["elapsed"]]
raw <- test_dir(
    "tests/testthat",
    filter = if (nzchar(filter)) filter,
    package = "isthmus",
    load_package = "installed",
    reporter = if (interactive()) "progress" else "summary",
    stop_on_failure = FALSE
)
results <- as.data.frame(raw)
# The table sees an error only where it was the last thing of a test; one inside expect_snapshot() is not.
broken <- vapply(raw, function(test) any(vapply(test$results, inherits, NA, "expectation_error")), NA)
failed <- results$failed > 0 | results$error | broken
skipped <- !failed & results$skipped
passed <- !failed & !skipped

slowest <- head(results[order(-results$real), c("file", "test", "real")], 8)
message("\nSlowest tests (seconds)")
message(paste(sprintf("%6.1f  %s: %s", slowest$real, slowest$file, slowest$test), collapse = "\n"))
message(sprintf(
    "%d expectations, %d warnings, in %.0f s",
    sum(results$nb), sum(results$warning), proc.time()[["elapsed"]] - started
))
for (i in which(failed)) message("FAILED ", results$file[i], ": ", results$test[i])

line <- sprintf("R: %d passed, %d failed, %d skipped", sum(passed), sum(failed), sum(skipped))
writeLines(line, closingFile)
message(line)
# No test at all is a broken run, not a good one.
quit(status = as.integer(any(failed) || !any(passed)))
