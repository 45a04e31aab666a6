# What the core refuses: the same words in R, before anything is changed.

words <- function(...) tryCatch(..., isthmus_input_error = conditionMessage)

badCounts <- function(value) {
    x <- simulated()
    m <- SummarizedExperiment::assay(x, "counts")
    m[3, 7] <- value
    SummarizedExperiment::assay(x, "counts") <- m
    x
}

test_that("values that are no counts are refused on both transports in the same words", {
    skip_if_no_core()
    refused <- function(x, transport) {
        local_transport(transport)
        words(quickly(x))
    }
    half <- refused(badCounts(0.5), "inprocess")
    expect_match(half, "^Expected .*\nFound .*\nRemedy: .*")
    expect_identical(refused(badCounts(0.5), "process"), half)
    expect_match(refused(badCounts(-1), "inprocess"), "-1")
    expect_match(suppressWarnings(refused(badCounts(NA_real_), "inprocess")), "Expected .*\nRemedy: ")
})

test_that("a query without shared genes is refused with the numbers", {
    skip_if_no_core()
    reference <- quickly(simulated())
    query <- simulated()
    rownames(query) <- paste0("other", seq_len(nrow(query)))
    expect_error(projectCells(query, reference, verbose = FALSE), "Found .*0", class = "isthmus_input_error")
})

test_that("fewer cells than a mini-batch and unknown words are refused", {
    skip_if_no_core()
    x <- simulated()
    expect_error(quickly(x[, 1:10]), class = "isthmus_input_error")
    expect_error(quickly(x, statistics = "guess"), "statistics", class = "isthmus_input_error")
    expect_error(quickly(x, n_latnt = 3), "n_latnt", class = "isthmus_input_error")
    expect_error(quickly(x, profile = "protein"), "profile", class = "isthmus_input_error")
})

test_that("an unknown batch or feature of imputation is refused", {
    skip_if_no_core()
    x <- quickly(simulated())
    unknown <- words(imputeAssay(x, batch = "batch9", verbose = FALSE))
    expect_match(unknown, "batch9")
    expect_match(unknown, "Remedy: give a known name, or project cells of a new batch", fixed = TRUE)
    expect_error(imputeAssay(x, features = "ACTB", verbose = FALSE), "ACTB", class = "isthmus_input_error")
})
