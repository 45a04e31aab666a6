# runScDREAMER and what follows with the real core, on every kind of object and both transports.

dreamQuickly <- function(x, ...) quickly(x, ..., run = runScDREAMER)
embedded <- function(x) unname(embeddingOf(x, system = "scdreamer"))
isOld <- function(x) x$batch != "batch3"

# A reference of two batches, fitted once for this file.
reference <- local({
    made <- NULL
    function() {
        if (is.null(made)) {
            x <- halfLabelled()
            made <<- dreamQuickly(x[, isOld(x)], labels = "known")
        }
        made
    }
})

test_that("SCE and Seurat give the same numbers and labels, on both transports", {
    skip_if_no_core()
    x <- halfLabelled()
    y <- simulatedSeurat(x)
    local_transport("inprocess")
    sce <- dreamQuickly(x, labels = "known")
    expectUntouched(sce, x)
    expect_true(all(is.finite(embedded(sce))))
    expect_gt(mean(sce$scdreamer_label[is.na(x$known)] == x$cell_type[is.na(x$known)]), 0.8)
    expect_true(all(sce$scdreamer_confidence > 0 & sce$scdreamer_confidence <= 1))
    expect_identical(isthmusModel(sce)@provenance$types, sort(unique(as.character(x$cell_type))))
    seurat <- dreamQuickly(y, labels = "known")
    expectUntouched(seurat, y)
    local_transport("process")
    apart <- dreamQuickly(y, labels = "known")
    for (other in list(seurat, apart)) {
        expectSameNumbers(embedded(other), embedded(sce))
        expect_identical(unname(other$scdreamer_label), unname(sce$scdreamer_label))
        expectSameNumbers(unname(other$scdreamer_confidence), unname(sce$scdreamer_confidence))
    }
})

test_that("words for unknown and missing values are the same, however the labels are given", {
    skip_if_no_core()
    x <- halfLabelled()
    briefly <- function(...) dreamQuickly(x, max_steps = 10, ...)
    expected <- embedded(briefly(labels = "known"))
    words <- ifelse(is.na(x$known), rep(c("", "NA", "unknown"), length.out = ncol(x)), x$known)
    expectSameNumbers(embedded(briefly(labels = words)), expected)
    expectSameNumbers(embedded(briefly(labels = rev(setNames(x$known, colnames(x))))), expected)
    plain <- briefly()
    expect_false(isTRUE(all.equal(embedded(plain), expected)))
    expect_null(plain$scdreamer_label)
})

test_that("cells of known and of new batches are projected, with a warning for the new", {
    skip_if_no_core()
    x <- halfLabelled()
    old <- isOld(x)
    reference <- reference()
    queries <- list(inprocess = list(x, simulatedSeurat(x)), process = list(x))
    for (transport in names(queries)) {
        local_transport(transport)
        for (query in queries[[transport]]) {
            expect_warning(
                y <- projectCells(query, reference, batch = "batch", verbose = FALSE),
                "'batch3' are new to the model"
            )
            expectUntouched(y, query)
            expect_equal(embedded(y)[old, ], embedded(reference), tolerance = 1e-5)
            expect_identical(
                isthmus:::.records(y)$projection$batches,
                list(known = c("batch1", "batch2"), new = "batch3")
            )
            expect_identical(isthmus:::.records(y)$projection$coverage$share, 1)
        }
    }
    expect_no_warning(known <- projectCells(x[, old], reference, batch = "batch", verbose = FALSE))
    expect_identical(isthmus:::.records(known)$projection$batches$new, character())
    expect_warning(projectCells(x[, !old], reference, verbose = FALSE), "batch is not known")
})

test_that("a saved and loaded model projects, predicts and transfers as the object does", {
    skip_if_no_core()
    x <- halfLabelled()
    reference <- reference()
    folder <- file.path(withr::local_tempdir(), "model")
    saveModel(reference, folder)
    model <- loadModel(folder)
    expect_identical(model@provenance$types, isthmusModel(reference)@provenance$types)
    expect_identical(model@provenance$labels, "known")
    query <- simulatedSeurat(x[, !isOld(x)])
    expect_warning(query <- projectCells(query, model, batch = "batch", verbose = FALSE), "new to the model")
    for (transport in transports) {
        local_transport(transport)
        y <- predictLabels(query, model, verbose = FALSE)
        expect_gt(mean(y$scdreamer_label == query$cell_type), 0.6)
        same <- predictLabels(query, reference, verbose = FALSE)
        expect_identical(same$scdreamer_label, y$scdreamer_label)
        expectSameNumbers(same$scdreamer_confidence, y$scdreamer_confidence)
    }
    near <- transferLabels(query, reference, labels = "cell_type", verbose = FALSE)
    expect_gt(mean(near$scdreamer_label == query$cell_type), 0.6)
    # The reference keeps what the fit said of its own cells.
    again <- predictLabels(reference, model, verbose = FALSE)
    expect_identical(again$scdreamer_label, reference$scdreamer_label)
})

test_that("batches that were a vector weigh the labels as in the fit", {
    skip_if_no_core()
    x <- halfLabelled()
    batch <- x$batch
    x$batch <- NULL
    y <- dreamQuickly(x, batch = batch, labels = "known", max_steps = 40)
    again <- predictLabels(y[, rev(colnames(y))], y, verbose = FALSE)
    expect_identical(rev(again$scdreamer_label), y$scdreamer_label)
    expect_equal(rev(again$scdreamer_confidence), y$scdreamer_confidence, tolerance = 1e-5)
})

test_that("values are imputed as the average batch or as one", {
    skip_if_no_core()
    x <- halfLabelled()
    reference <- dreamQuickly(x, n_features = 100, likelihood = "nb")
    values <- list()
    for (transport in transports) {
        local_transport(transport)
        y <- imputeAssay(reference, verbose = FALSE)
        expectUntouched(y, x)
        other <- SingleCellExperiment::altExp(y, "SCDREAMER")
        expect_identical(rownames(other), isthmusModel(reference)@features)
        values <- c(values, list(as.matrix(SummarizedExperiment::assay(other, "SCDREAMER"))))
    }
    expect_equal(values[[2]], values[[1]], tolerance = 1e-6)
    # Slow and obvious: imputed expression follows the observed one, gene by gene.
    counts <- as.matrix(SummarizedExperiment::assay(x, "counts"))
    observed <- log1p(t(t(counts) / colSums(counts)) * 1e4)[rownames(values[[1]]), ]
    expect_gt(cor(rowMeans(observed), rowMeans(values[[1]])), 0.9)
    seurat <- imputeAssay(dreamQuickly(simulatedSeurat(x), max_steps = 10), batch = "batch2", verbose = FALSE)
    expect_true("SCDREAMER" %in% names(seurat@assays))
})

test_that("what the core refuses is said in the same words on both transports", {
    skip_if_no_core()
    x <- halfLabelled()
    x$one <- ifelse(is.na(x$known), NA, "type1")
    x$none <- NA_character_
    words <- function(...) tryCatch(dreamQuickly(x, ...), isthmus_input_error = conditionMessage)
    local_transport("inprocess")
    refused <- list(
        words(labels = "one"), words(labels = "none"), words(likelihood = "normal"),
        words(values = "lognorm"), words(labels = "known", labls_weight = 2)
    )
    expect_error(quickly(x, labels = "known"), "unknown setting \"labels\"", class = "isthmus_input_error")
    expect_match(refused[[1]], "at least two cell types.*Found 1, and 200 cells without a label")
    expect_match(refused[[2]], "Found 0, and 400 cells without a label")
    expect_match(refused[[3]], "likelihood.*'normal'")
    expect_match(refused[[4]], "values.*'lognorm'")
    expect_match(refused[[5]], "unknown setting \"labls_weight\"")
    local_transport("process")
    expect_identical(words(labels = "one"), refused[[1]])
})
