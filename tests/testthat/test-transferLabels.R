fitted <- function(x) {
    suppressMessages(runSCALEX(x, batch = "donor", n_features = 20, n_latent = 3))
}
labelled <- function(...) suppressMessages(transferLabels(...))

test_that("two columns are added and nothing else changes", {
    localCore()
    reference <- fitted(smallSCE())
    for (query in bothObjects()) {
        y <- labelled(query, reference)
        expect_identical(unname(y$scalex_label), unname(query$cell_type))
        expect_type(unname(y$scalex_confidence), "double")
        expectUntouched(y, query)
    }
})

test_that("labels follow the cells when the reference was sorted, subset or is Seurat", {
    log <- localCore()
    query <- smallSCE()
    expected <- query$cell_type
    for (reference in lapply(bothObjects(), fitted)) {
        sorted <- labelled(query, reference[, rev(colnames(reference))])
        expect_identical(sorted$scalex_label, expected)
        some <- labelled(query, reference[, 1:30])
        expect_identical(some$scalex_label[1:30], expected[1:30])
        expect_identical(unique(some$scalex_label[31:60]), "unknown")
        expect_identical(sum(is.na(lastCall(log)$params$labels)), 30L)
    }
})

test_that("labels may be a vector: named in any order, or along the reference", {
    localCore()
    x <- smallSCE()
    model <- isthmusModel(fitted(x))
    named <- setNames(toupper(x$cell_type), colnames(x))
    expect_identical(labelled(x, model, rev(named))$scalex_label, unname(named))
    expect_identical(labelled(x, model, unname(named))$scalex_label, unname(named))
    factors <- factor(named)
    names(factors) <- names(named)
    expect_identical(labelled(x, model, factors)$scalex_label, unname(named))
})

test_that("labels without names are in the order of the reference that is given", {
    localCore()
    reference <- fitted(smallSCE())
    types <- reference$cell_type
    turned <- labelled(smallSCE(), reference[, 60:1], rev(types))
    expect_identical(turned$scalex_label, types)
    some <- labelled(smallSCE(), reference[, 40:11], types[40:11])
    expect_identical(some$scalex_label[11:40], types[11:40])
    expect_identical(unique(some$scalex_label[-(11:40)]), "unknown")
})

test_that("a reference without cell names cannot be matched, and numbers are no names", {
    log <- localCore()
    x <- smallSCE()
    colnames(x) <- NULL
    reference <- fitted(x)
    calls <- length(log$calls)
    for (labels in list("cell_type", x$cell_type)) {
        expect_error(
            labelled(smallSCE(), reference[, 60:1], labels), "before the fit", class = "isthmus_input_error"
        )
    }
    expect_length(log$calls, calls)
    # Other cells without names are not the reference's, whatever their columns.
    other <- smallSCE(seed = 2L)
    colnames(other) <- NULL
    y <- labelled(other, isthmusModel(reference), x$cell_type)
    expect_false("batch_key" %in% names(lastCall(log)$params))
    expect_length(y$scalex_label, 60L)
})

test_that("the query need not be projected; if it was, its embedding is used", {
    log <- localCore()
    reference <- fitted(smallSCE())
    query <- smallSCE(seed = 2L)
    colnames(query) <- paste0("new", seq_len(60))
    query$lab <- rep(c("x", "y"), 30)
    labelled(query, reference, batch = "lab")
    expect_identical(lastCall(log)$params$batch_key, "lab")
    query <- suppressMessages(projectCells(query, reference))
    labelled(query, reference, unknown_below = 0.2)
    expect_length(lastCall(log)$study$assays, 0L)
    expect_equal(lastCall(log)$study$reducedDims$embedding, embeddingOf(query), ignore_attr = TRUE)
    # Who says how to project gets a projection.
    labelled(query, reference, min_coverage = 0.1)
    expect_length(lastCall(log)$study$assays, 1L)
    labelled(query, reference, batch = "lab")
    expect_identical(lastCall(log)$params$batch_key, "lab")
})

test_that("bad labels are refused before anything runs", {
    log <- localCore()
    x <- smallSCE()
    reference <- fitted(x)
    model <- isthmusModel(reference)
    before <- length(log$calls)
    empty <- reference
    empty$cell_type <- NA
    taken <- x
    taken$scalex_label <- "mine"
    expect_snapshot({
        refusal(transferLabels(x, reference, labels = "celltype"))
        refusal(transferLabels(x, model))
        refusal(transferLabels(x, model, labels = c("a", "b")))
        refusal(transferLabels(x, model, labels = c(one = "a", two = "b")))
        refusal(transferLabels(x, empty))
        refusal(transferLabels(taken, reference))
    })
    expect_length(log$calls, before)
    again <- labelled(labelled(x, reference), reference)
    expect_identical(again$scalex_label, x$cell_type)
})
