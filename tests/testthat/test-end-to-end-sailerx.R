# runSAILERX and what follows by the real core, from every kind of object and on both transports.

sailBriefly <- function(x, ..., max_steps = 15) {
    runSAILERX(x,
        n_latent = 4, n_hidden = 8, max_steps = max_steps, batch_size = 32, precision = "32-true",
        n_components = 10, verbose = FALSE, ...
    )
}
rowsOf <- function(x) latentOf(x, "sailerx")

# One fit for the tests that only use it.
sailedPair <- local({
    made <- NULL
    function() {
        if (is.null(made)) made <<- sailBriefly(pairAlt(), batch = "batch")
        made
    }
})

test_that("every kind of object and both transports give the same numbers", {
    skip_if_no_core()
    local_transport("inprocess")
    sce <- sailedPair()
    expect_true(all(is.finite(rowsOf(sce))))
    expect_identical(pairedBare(sce), pairedBare(pairAlt()))
    mae <- sailBriefly(simulatedPair(), batch = "batch")
    seurat <- sailBriefly(pairSeurat(), atac = "peaks", batch = "batch")
    local_transport("process")
    apart <- sailBriefly(pairApart(), batch = "batch")
    for (other in list(mae[["rna"]], mae[["atac"]], seurat, apart$rna, apart$atac)) {
        expect_equal(rowsOf(other), rowsOf(sce), tolerance = 1e-4)
    }
    expect_identical(isthmusModel(apart)@features, isthmusModel(sce)@features)
    expect_identical(isthmusModel(seurat)@provenance$modalities, c(rna = 90L, atac = 90L))
})

test_that("the reference that the object has is taken, on both transports", {
    skip_if_no_core()
    local_transport("inprocess")
    x <- pairAlt()
    SingleCellExperiment::reducedDim(x, "MINE") <- withr::with_seed(1, matrix(rnorm(270), 90))
    named <- sailBriefly(x, reference = "MINE")
    plain <- sailBriefly(x)
    expect_false(isTRUE(all.equal(rowsOf(named), rowsOf(plain))))
    given <- sailBriefly(x, reference = SingleCellExperiment::reducedDim(x, "MINE"))
    expect_equal(rowsOf(given), rowsOf(named), tolerance = 1e-5)
    local_transport("process")
    expect_equal(rowsOf(sailBriefly(x, reference = "MINE")), rowsOf(named), tolerance = 1e-4)
})

test_that("cells without RNA are embedded, those without ATAC are not, and a warning names them", {
    skip_if_no_core()
    local_transport("inprocess")
    x <- pairApart()
    partly <- list(rna = x$rna[, 1:80], atac = x$atac[, 11:90])
    warned <- capture_warnings(y <- sailBriefly(partly, batch = "batch"))
    expect_match(warned, "10 of 90 cells were not measured in 'rna'", all = FALSE, fixed = TRUE)
    expect_match(warned, "not measured in 'atac': 'cell000001'", all = FALSE, fixed = TRUE)
    expect_identical(which(is.na(rowsOf(y$rna)[, 1])), 1:10)
    expect_true(all(is.finite(rowsOf(y$atac))))
    expect_equal(rowsOf(y$rna)[11:80, ], rowsOf(y$atac)[1:70, ])
    again <- sailBriefly(
        lapply(x, function(one) one[, 1:80]), batch = "batch", unpaired = x$atac[, 81:90]
    )
    expect_length(isthmusModel(again)@cells, 90L)
    more <- projectCells(x$atac[, 81:90], again, verbose = FALSE)
    expect_true(all(is.finite(rowsOf(more))))
})

test_that("new cells are projected by ATAC alone, labelled, and imputed; also in another session", {
    skip_if_no_core()
    local_transport("inprocess")
    path <- withr::local_tempfile(fileext = ".rds")
    saveRDS(sailedPair(), path)
    reference <- readRDS(path)
    folder <- file.path(withr::local_tempdir(), "model")
    saveModel(reference, folder)
    atac <- simulatedPair()[["atac"]]
    for (model in list(reference, loadModel(folder))) {
        y <- projectCells(atac[, 50:1], model, verbose = FALSE)
        expect_equal(rowsOf(y), rowsOf(reference)[50:1, ], tolerance = 1e-4)
    }
    y <- projectCells(pairSeurat(), folder, atac = "peaks", verbose = FALSE)
    expect_equal(rowsOf(y), rowsOf(reference), tolerance = 1e-4)
    y <- transferLabels(y, reference, unknown_below = 0, verbose = FALSE)
    expect_true(all(y$sailerx_label %in% reference$cell_type))
    values <- list()
    for (transport in transports) {
        local_transport(transport)
        z <- imputeAssay(reference, top = 20, batch = "batch1", verbose = FALSE)
        m <- SummarizedExperiment::assay(SingleCellExperiment::altExp(z, "SAILERX"), "SAILERX")
        expect_s4_class(m, "dgCMatrix")
        expect_true(all(Matrix::colSums(m > 0) == 20))
        expect_lte(max(m), 1)
        values <- c(values, list(as.matrix(m)))
    }
    expect_equal(values[[1]], values[[2]], tolerance = 1e-5)
    # The strongest are the largest of all.
    all <- imputeAssay(reference, batch = "batch1", verbose = FALSE)
    all <- as.matrix(SummarizedExperiment::assay(SingleCellExperiment::altExp(all, "SAILERX"), "SAILERX"))
    expect_equal(values[[1]], apply(all, 2, function(p) ifelse(rank(-p) <= 20, p, 0)), tolerance = 1e-5)
    skip_if_not_installed("HDF5Array")
    file <- withr::local_tempfile(fileext = ".h5ad")
    z <- imputeAssay(reference, top = 20, batch = "batch1", file = file, verbose = FALSE)
    z <- SummarizedExperiment::assay(SingleCellExperiment::altExp(z, "SAILERX"), "SAILERX")
    expect_s4_class(z, "DelayedMatrix")
    expect_equal(as.matrix(z), values[[1]], tolerance = 1e-5)
})

test_that("what the core refuses is said in its own words on both transports, and nothing changes", {
    skip_if_no_core()
    x <- pairApart()
    other <- x
    colnames(other$rna) <- paste0("x", 1:90)
    negative <- x
    SummarizedExperiment::assay(negative$atac, "counts")[1, 1] <- -1
    halves <- x
    SummarizedExperiment::assay(halves$atac, "counts") <- SummarizedExperiment::assay(x$atac, "counts") / 3
    words <- function(...) tryCatch(sailBriefly(...), isthmus_input_error = conditionMessage)
    local_transport("inprocess")
    said <- list(
        words(other), words(negative), words(halves), words(x, structure_pairs = "none"),
        words(x, n_hiden = 3)
    )
    expect_match(said[[1]], "no name in common, for example 'x1' in 'rna'")
    expect_match(said[[2]], "atac.*-1")
    expect_match(said[[3]], "whole|count")
    expect_match(said[[4]], "structure_pairs")
    expect_match(said[[5]], "unknown setting \"n_hiden\"")
    counts <- SummarizedExperiment::assay(x$atac, "counts")
    rownames(counts) <- paste0("peak", seq_len(nrow(counts)))
    x$atac <- SingleCellExperiment::SingleCellExperiment(list(counts = counts))
    expect_warning(sailBriefly(x, max_steps = 2), "Peaks have no positions")
    local_transport("process")
    expect_identical(words(other), said[[1]])
    gone <- simulatedPair()[["atac"]][1:20, ]
    gone <- gone[, Matrix::colSums(SummarizedExperiment::assay(gone, "counts")) > 0]
    expect_error(
        projectCells(gone, sailedPair()), "of the model's .* features", class = "isthmus_input_error"
    )
})
