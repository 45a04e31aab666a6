# lintr over the R files; any finding ends with status 1. Settings: .lintr
folders <- Filter(dir.exists, c("R", "tests/testthat", "inst/scripts"))
lints <- do.call(c, lapply(folders, lintr::lint_dir))
for (lint in lints) {
    cat(sprintf("%s:%d:%d: %s\n", lint$filename, lint$line_number, lint$column_number, lint$message))
}
quit(status = as.integer(length(lints) > 0))
