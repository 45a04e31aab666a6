# runScI2CL and what follows by the real core, from every kind of object and on both transports.

fuseBriefly <- function(x, ..., max_steps = 15) {
    runScI2CL(x,
        n_latent = 4, n_hidden = 16, n_heads = 2, n_anchors = 8, max_steps = max_steps, batch_size = 32,
        precision = "32-true", verbose = FALSE, ...
    )
}
rowsOf <- function(x) latentOf(x, "sci2cl")

# One fit for the tests that only use it.
fusedPair <- local({
    made <- NULL
    function() {
        if (is.null(made)) made <<- fuseBriefly(pairAlt(), batch = "batch")
        made
    }
})

test_that("every kind of object and both transports give the same numbers", {
    skip_if_no_core()
    local_transport("inprocess")
    sce <- fusedPair()
    expect_true(all(is.finite(rowsOf(sce))))
    expect_identical(pairedBare(sce), pairedBare(pairAlt()))
    mae <- fuseBriefly(simulatedPair(), batch = "batch")
    seurat <- fuseBriefly(pairSeurat(), atac = "peaks", batch = "batch")
    local_transport("process")
    apart <- fuseBriefly(pairApart(), batch = "batch")
    for (other in list(mae[["rna"]], mae[["atac"]], seurat, apart$rna, apart$atac)) {
        expect_equal(rowsOf(other), rowsOf(sce), tolerance = 1e-3)
        expect_identical(unname(other$sci2cl_measured), rep("both", 90))
    }
    expect_identical(isthmusModel(apart)@features, isthmusModel(sce)@features)
})

test_that("cells with one modality are embedded and flagged, at the fit and later", {
    skip_if_no_core()
    local_transport("inprocess")
    x <- pairApart()
    warned <- capture_warnings(y <- fuseBriefly(list(rna = x$rna[, 1:80], atac = x$atac[, 11:90])))
    expect_match(warned, "10 of 90 cells were not measured in 'rna'", all = FALSE, fixed = TRUE)
    expect_identical(y$rna$sci2cl_measured, rep(c("rna", "both"), c(10, 70)))
    expect_identical(y$atac$sci2cl_measured, rep(c("both", "atac"), c(70, 10)))
    expect_true(all(is.finite(c(rowsOf(y$rna), rowsOf(y$atac)))))
    path <- withr::local_tempfile(fileext = ".rds")
    saveRDS(y, path)
    model <- isthmusModel(readRDS(path)$rna)
    one <- projectCells(x$rna[, 1:10], model, verbose = FALSE)
    # After so few steps single precision shows where the embedding has next to no variance.
    expect_equal(rowsOf(one), rowsOf(y$rna)[1:10, ], tolerance = 0.02)
    expect_identical(unique(one$sci2cl_measured), "rna")
    both <- projectCells(pairSeurat(), model, atac = "peaks", rna = "RNA", verbose = FALSE)
    expect_equal(rowsOf(both)[11:80, ], rowsOf(y$rna)[11:80, ], tolerance = 0.02)
})

test_that("labels shape the embedding only where they are named, and both are said", {
    skip_if_no_core()
    local_transport("inprocess")
    x <- pairAlt()
    taught <- fuseBriefly(x, batch = "batch", labels = "cell_type")
    expect_identical(isthmusModel(taught)@provenance$labels, "cell_type")
    expect_null(isthmusModel(fusedPair())@provenance$labels)
    expect_false(isTRUE(all.equal(rowsOf(taught), rowsOf(fusedPair()))))
    vector <- fuseBriefly(x, batch = "batch", labels = unname(x$cell_type))
    expect_equal(rowsOf(vector), rowsOf(taught), tolerance = 1e-5)
})

test_that("a saved model labels and imputes new cells, on both transports", {
    skip_if_no_core()
    folder <- file.path(withr::local_tempdir(), "model")
    saveModel(fusedPair(), folder)
    made <- list()
    for (transport in transports) {
        local_transport(transport)
        y <- projectCells(pairAlt()[, 60:1], folder, verbose = FALSE)
        expect_equal(rowsOf(y), rowsOf(fusedPair())[60:1, ], tolerance = 1e-4)
        # What the chromatin says of the RNA, in the order of the cells.
        z <- imputeAssay(y,
            modality = "rna", batch = "batch1", name = "imputed", model = folder, verbose = FALSE
        )
        z <- SingleCellExperiment::altExp(z, "imputed")
        made[[transport]] <- as.matrix(SummarizedExperiment::assay(z))
        expect_identical(colnames(made[[transport]]), colnames(y))
    }
    expect_equal(made[[1]], made[[2]], tolerance = 1e-4)
    local_transport("inprocess")
    near <- transferLabels(y, fusedPair(), unknown_below = 0, verbose = FALSE)
    whole <- transferLabels(pairAlt()[, 60:1], fusedPair(), unknown_below = 0, verbose = FALSE)
    expect_gt(mean(near$sci2cl_label == whole$sci2cl_label), 0.95)
    counts <- as.matrix(SummarizedExperiment::assay(y, "counts"))[rownames(made[[1]]), ]
    expect_gt(cor(rowMeans(made[[1]]), rowMeans(log1p(counts))), 0.8)
})

test_that("labels are checked in the embedding", {
    skip_if_no_core()
    local_transport("inprocess")
    x <- fusedPair()
    SingleCellExperiment::reducedDim(x, "TRUE") <- withr::with_seed(1, outer(
        as.integer(factor(x$cell_type)), c(10, 20)
    ) + rnorm(180))
    x$given <- as.character(x$cell_type)
    x$given[1:3] <- ifelse(x$given[1:3] == x$given[10], "other", x$given[10])
    x$given[4] <- NA
    for (transport in transports) {
        local_transport(transport)
        y <- checkLabels(x, labels = "given", embedding = "TRUE", k = 10, verbose = FALSE)
        expect_identical(y$check_suggestion, as.character(x$cell_type))
        expect_identical(is.na(y$check_wrong), 1:90 == 4)
        expect_true(all(y$check_wrong[1:3] > 0.5))
    }
})

test_that("what the core refuses is said in its own words on both transports", {
    skip_if_no_core()
    x <- pairApart()
    words <- function(...) tryCatch(fuseBriefly(...), isthmus_input_error = conditionMessage)
    halves <- x
    SummarizedExperiment::assay(halves$rna, "counts") <- SummarizedExperiment::assay(x$rna, "counts") / 3
    x$rna$two <- x$atac$two <- rep(c("a", "b"), 45)
    x$atac$two[1] <- "b"
    local_transport("inprocess")
    said <- list(
        words(halves), words(x, batch = "two"), words(x, batch_weight = 1), words(x, likelihood = "normal")
    )
    expect_match(said[[1]], "modality 'rna'")
    expect_match(said[[2]], "same batch in RNA and ATAC.*'cell000001' of 'a' and 'b'")
    expect_match(said[[3]], "two batches or more")
    expect_match(said[[4]], "'normal'")
    local_transport("process")
    expect_identical(words(x, batch = "two"), said[[2]])
})
