fitted <- function(x, ..., batch = "donor", n_features = 20) {
    suppressMessages(runSCALEX(x, batch = batch, n_features = n_features, n_latent = 3, ...))
}
imputed <- function(...) suppressMessages(imputeAssay(...))

imputedBySCE <- function(x) {
    SummarizedExperiment::assay(SingleCellExperiment::altExp(x, "SCALEX"), "SCALEX")
}

# What the mock core imputes, from the embedding alone.
expectedFrom <- function(z, features) {
    matrix(
        outer(seq_along(features), unname(z[, 1])), length(features),
        dimnames = list(features, rownames(z))
    )
}

test_that("some features go to an alternative experiment, all of them to an assay", {
    localCore()
    x <- smallSCE()
    some <- imputed(fitted(x))
    expect_equal(imputedBySCE(some), expectedFrom(embeddingOf(some), isthmusModel(some)@features))
    all <- imputed(fitted(x, n_features = 50))
    expect_equal(
        SummarizedExperiment::assay(all, "SCALEX"),
        expectedFrom(embeddingOf(all), isthmusModel(all)@features)[rownames(x), ]
    )
    expectUntouched(some, x)
    expectUntouched(all, x)
})

test_that("a place is taken anew by the same name, and by earlier ones", {
    localCore()
    places <- function(x) {
        assays <- setdiff(SummarizedExperiment::assayNames(x), c("counts", "logcounts"))
        sort(c(SingleCellExperiment::altExpNames(x), assays))
    }
    x <- fitted(smallSCE(), n_features = 50)
    x <- imputeAssay(x, name = "A", features = c("gene1", "gene2"), verbose = FALSE)
    expect_identical(SingleCellExperiment::altExpNames(x), "A")
    x <- imputeAssay(x, name = "B", verbose = FALSE)
    x <- imputeAssay(x, name = "A", verbose = FALSE)
    expect_identical(SingleCellExperiment::altExpNames(x), character())
    expect_identical(places(x), c("A", "B"))
    x <- imputeAssay(x, name = "B", features = "gene3", verbose = FALSE)
    expect_identical(SingleCellExperiment::altExpNames(x), "B")
    expect_identical(places(x), c("A", "B"))
})

test_that("Seurat gets an assay of its own and keeps its default", {
    localCore()
    x <- smallSeurat()
    y <- imputed(fitted(x))
    expectUntouched(y, x)
    expect_identical(SeuratObject::DefaultAssay(y), "RNA")
    expect_identical(rownames(y[["SCALEX"]]), isthmusModel(y)@features)
    data <- if (seuratFive()) {
        SeuratObject::LayerData(y[["SCALEX"]], layer = "data")
    } else {
        SeuratObject::GetAssayData(y[["SCALEX"]], slot = "data")
    }
    expect_equal(as.matrix(data), expectedFrom(embeddingOf(y), isthmusModel(y)@features))
    expect_true(validObject(y))
    expect_identical(names(imputed(y)@assays), c("RNA", "SCALEX"))
})

test_that("only the embedding crosses where the model made it", {
    log <- localCore()
    for (x in lapply(bothObjects(), fitted)) {
        imputed(x, batch = c("a", "b"), features = "gene1")
        call <- lastCall(log)
        expect_length(call$study$assays, 0L)
        expect_equal(call$study$reducedDims$embedding, embeddingOf(x), ignore_attr = TRUE)
        expect_identical(rownames(call$study$obs), colnames(x))
        expect_identical(call$params$batch, c("a", "b"))
        expect_identical(as.character(call$params$features), "gene1")
        expect_false("batch_key" %in% names(call$params))
    }
})

test_that("the embedding follows the cells of a subset", {
    localCore()
    x <- fitted(smallSCE())
    all <- imputedBySCE(imputed(x))
    some <- c("cell9", "cell2")
    expect_equal(imputedBySCE(imputed(x[, some])), all[, some])
})

test_that("reference cells that lost their embedding are projected with their batches", {
    log <- localCore()
    x <- fitted(smallSCE())
    SingleCellExperiment::reducedDim(x, "SCALEX") <- NULL
    imputed(x)
    expect_identical(lastCall(log)$params$batch_key, "donor")
    expect_length(lastCall(log)$study$assays, 1L)
})

test_that("projected and new cells are imputed with the model of a reference", {
    log <- localCore()
    reference <- fitted(smallSCE())
    query <- smallSCE(seed = 2L)
    query$lab <- rep(c("x", "y"), 30)
    colnames(query) <- paste0("new", seq_len(60))
    expect_snapshot(refusal(imputeAssay(query)))
    new <- imputed(query, model = reference, batch_of = "lab")
    expect_identical(lastCall(log)$params$batch_key, "lab")
    query <- suppressMessages(projectCells(query, reference))
    old <- imputed(query, model = reference)
    expect_length(lastCall(log)$study$assays, 0L)
    expect_equal(imputedBySCE(new), imputedBySCE(old))
    expect_snapshot(refusal(imputeAssay(query)))
})

test_that("the embedding of another model is not taken for this model's", {
    log <- localCore()
    first <- fitted(smallSCE())
    other <- fitted(smallSCE(seed = 5L))
    imputed(first, model = other)
    expect_length(lastCall(log)$study$assays, 1L)
    query <- smallSCE(seed = 2L)
    query <- suppressMessages(projectCells(query, first))
    imputed(query, model = other)
    expect_length(lastCall(log)$study$assays, 1L)
    expect_snapshot(refusal(projectCells(first, other)))
})

test_that("a large result is a matrix in an HDF5 file", {
    skip_if_not_installed("HDF5Array")
    localCore()
    x <- fitted(smallSCE())
    file <- withr::local_tempfile(fileext = ".h5ad")
    small <- imputed(x)
    large <- imputed(x, file = file)
    values <- SummarizedExperiment::assay(SingleCellExperiment::altExp(large, "SCALEX"))
    expect_s4_class(values, "DelayedMatrix")
    expect_equal(
        as.matrix(values),
        as.matrix(SummarizedExperiment::assay(SingleCellExperiment::altExp(small, "SCALEX")))
    )
    withr::local_envvar(R_USER_DATA_DIR = withr::local_tempdir())
    expect_message(imputeAssay(x, max_memory = 100), "Imputed values are kept in")
})

test_that("a file that is there is replaced only where the user says so, before any work", {
    skip_if_not_installed("HDF5Array")
    log <- localCore()
    x <- fitted(smallSCE())
    calls <- length(log$calls)
    file <- withr::local_tempfile(lines = "precious", fileext = ".h5ad")
    expect_error(imputed(x, file = file), "overwrite = TRUE", class = "isthmus_input_error")
    expect_error(imputed(x, file = "values.h5"), "ends in .h5ad", class = "isthmus_input_error")
    expect_error(imputed(x, file = c("a.h5ad", "b.h5ad")), "one string", class = "isthmus_input_error")
    expect_length(log$calls, calls)
    expect_identical(readLines(file), "precious")
    large <- imputed(x, file = file, overwrite = TRUE)
    expect_equal(as.matrix(imputedBySCE(large)), imputedBySCE(imputed(x)))
    expect_error(imputed(x, file = "~/no-such-folder-of-isthmus/x.h5ad"))
    expect_identical(lastCall(log)$params$file, path.expand("~/no-such-folder-of-isthmus/x.h5ad"))
})

test_that("cells that were joined to those of a fit are not taken for its own", {
    log <- localCore()
    first <- fitted(smallSCE())
    second <- smallSCE(seed = 2L)
    colnames(second) <- paste0("other", seq_len(60))
    joined <- BiocGenerics::cbind(first, fitted(second))
    imputed(joined, model = first)
    expect_length(lastCall(log)$study$assays, 1L)
    expect_false("batch_key" %in% names(lastCall(log)$params))
    imputed(joined[, 60:11])
    expect_length(lastCall(log)$study$assays, 0L)
})

test_that("places that are taken and unknown features are refused", {
    localCore()
    x <- fitted(smallSCE())
    seurat <- fitted(smallSeurat())
    expect_snapshot({
        refusal(imputeAssay(x, name = "counts"))
        refusal(imputeAssay(x, features = c("gene1", "ACTB")))
        refusal(imputeAssay(smallSCE()))
        refusal(imputeAssay(seurat, max_memory = 100))
    })
})
