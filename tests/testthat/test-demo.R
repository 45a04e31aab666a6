# What stands behind `make demo`; the demo itself is run by hand and by make.
demo <- new.env()
sys.source(system.file("scripts", "demo-helpers.R", package = "isthmus"), envir = demo)

shownBy <- function(expr) {
    words <- tryCatch(
        {
            force(expr)
            "It was not refused"
        },
        error = conditionMessage
    )
    cat(words, "", sep = "\n")
}

saved <- function(x, env = parent.frame()) {
    path <- withr::local_tempfile(fileext = ".rds", .local_envir = env)
    saveRDS(x, path)
    path
}

own <- function(..., env = parent.frame()) {
    out <- file.path(withr::local_tempdir(.local_envir = env), "new")
    suppressMessages(demo$demoJob(list(out = out, seed = 0, ...)))
}

test_that("arguments are named, empty ones are not given, numbers are numbers", {
    expect_identical(demo$demoArguments(character()), list(seed = 0))
    given <- demo$demoArguments(c(
        "--data=a=b.h5ad", "--batch=the donor", "--query=", "--seed=3", "--min_coverage=0.1"
    ))
    expect_identical(given[order(names(given))], list(
        batch = "the donor", data = "a=b.h5ad", min_coverage = 0.1, seed = 3
    ))
    expect_snapshot({
        shownBy(demo$demoArguments("cells.h5ad"))
        shownBy(demo$demoArguments("--donor=x"))
        shownBy(demo$demoArguments("--seed=one"))
        shownBy(demo$demoArguments("--values=raw"))
        shownBy(demo$demoJob(list(batch = "donor", seed = 0)))
    })
})

test_that("the user's cells need a batch column that is there", {
    x <- smallSCE()
    path <- saved(x)
    expect_snapshot(
        {
            shownBy(own(data = path))
            shownBy(own(data = path, batch = "lab"))
            shownBy(own(data = path, batch = "donor", labels = "type"))
        },
        transform = function(lines) gsub(path, "cells.rds", lines, fixed = TRUE)
    )
})

test_that("labels and the query's batch are taken where they are obvious", {
    for (x in bothObjects()) {
        path <- saved(x)
        job <- own(data = path, batch = "donor", query = path)
        expect_identical(job$labels, "cell_type")
        expect_identical(job$query_batch, "donor")
        expect_identical(job[c("values", "query_values", "min_coverage")], list(
            values = "counts", query_values = "counts", min_coverage = 0.2
        ))
        expect_identical(job$reference, x)
        expect_true(dir.exists(job$out))
    }
    x <- smallSCE()
    x$cell_type <- NULL
    query <- smallSCE()
    query$donor <- NULL
    job <- own(
        data = saved(x), batch = "donor", query = saved(query),
        values = "lognorm", query_values = "counts"
    )
    expect_null(job$labels)
    expect_null(job$query_batch)
    expect_identical(job[c("values", "query_values")], list(values = "lognorm", query_values = "counts"))
})

test_that("only so many features are imputed as make a result of bearable size", {
    localCore()
    reference <- suppressMessages(runSCALEX(smallSCE(), batch = "donor", n_features = 20, n_latent = 3))
    query <- smallSCE(nCells = 10L)
    expect_null(demo$featuresThatFit(reference, query))
    expect_identical(demo$featuresThatFit(reference, query, most = 55), isthmusModel(reference)@features[1:5])
    expect_length(demo$featuresThatFit(reference, query, most = 5), 1L)
})

test_that("the bundled cells are what the notes say", {
    skip_if_no_core()
    skip_if_not_installed("SeuratObject")
    utils::capture.output(job <- own())
    expect_identical(dim(job$reference), c(765L, 700L))
    expect_identical(nlevels(job$reference$channel), 8L)
    expect_identical(nlevels(job$reference$bulk_labels), 10L)
    expect_identical(dim(job$query), c(230L, 80L))
    expect_length(intersect(rownames(job$reference), rownames(job$query)), 115L)
    measured <- unlist(job$markers, use.names = FALSE) %in% rownames(job$query)
    expect_true(all(measured))
})
