# The verbs with the real core, on every kind of object and both transports.

test_that("SCE and Seurat give the same numbers, on both transports", {
    skip_if_no_core()
    x <- simulated()
    y <- simulatedSeurat(x)
    local_transport("inprocess")
    sce <- quickly(x)
    expectUntouched(sce, x)
    z <- unname(embeddingOf(sce))
    expect_true(all(is.finite(z)))
    seurat <- quickly(y)
    expectUntouched(seurat, y)
    expectSameNumbers(unname(embeddingOf(seurat)), z)
    local_transport("process")
    expectSameNumbers(unname(embeddingOf(quickly(y))), z)
})

test_that("another seed gives other numbers, the same seed the same", {
    skip_if_no_core()
    z <- embeddingOf(quickly(simulated(), seed = 3))
    expectSameNumbers(embeddingOf(quickly(simulated(), seed = 3)), z)
    expect_false(isTRUE(all.equal(embeddingOf(quickly(simulated(), seed = 4)), z)))
})

test_that("a query of a new batch that lacks genes is projected and labelled", {
    skip_if_no_core()
    x <- simulated()
    new <- x$batch == "batch2"
    expect_warning(reference <- quickly(x[, !new], batch = NULL), "Nothing is integrated")
    query <- x[-(1:20), new]
    projections <- labels <- list()
    queries <- list(inprocess = list(query, simulatedSeurat(query)), process = list(simulatedSeurat(query)))
    for (transport in names(queries)) {
        local_transport(transport)
        for (given in queries[[transport]]) {
            y <- projectCells(given, reference, verbose = FALSE)
            expectUntouched(y, given)
            record <- isthmus:::.records(y)$projection
            expect_equal(length(record$coverage$missing), with(record$coverage, n_reference - n_found))
            expect_true(all(record$coverage$missing %in% rownames(x)[1:20]))
            y <- transferLabels(y, reference, verbose = FALSE)
            expectUntouched(y, given)
            projections <- c(projections, list(unname(embeddingOf(y))))
            labels <- c(labels, list(unname(y$scalex_label)))
        }
    }
    for (z in projections[-1]) expect_equal(z, projections[[1]], tolerance = 1e-6)
    for (label in labels[-1]) expect_identical(label, labels[[1]])
    expect_gt(mean(labels[[1]] == query$cell_type), 0.6)
    expect_identical(
        unname(transferLabels(query, reference, verbose = FALSE)$scalex_label), labels[[1]]
    )
})

test_that("projected rows follow the names of permuted cells and genes", {
    skip_if_no_core()
    x <- simulated()
    reference <- quickly(x)
    z <- embeddingOf(projectCells(x, reference, batch = "batch", verbose = FALSE))
    expect_equal(z, embeddingOf(reference), tolerance = 1e-5)
    order <- withr::with_seed(1, sample(ncol(x)))
    permuted <- x[rev(seq_len(nrow(x))), order]
    y <- embeddingOf(projectCells(permuted, reference, batch = "batch", verbose = FALSE))
    expect_identical(rownames(y), colnames(permuted))
    expect_equal(y, z[order, ], tolerance = 1e-5)
})

test_that("values are imputed for reference and query, in memory and in a file", {
    skip_if_no_core()
    skip_if_not_installed("HDF5Array")
    x <- simulated()
    reference <- quickly(x, n_features = 100)
    values <- list()
    for (transport in transports) {
        local_transport(transport)
        y <- imputeAssay(reference, verbose = FALSE)
        expectUntouched(y, x)
        other <- SingleCellExperiment::altExp(y, "SCALEX")
        expect_identical(rownames(other), isthmusModel(reference)@features)
        values <- c(values, list(as.matrix(SummarizedExperiment::assay(other, "SCALEX"))))
        large <- imputeAssay(
            reference, file = withr::local_tempfile(fileext = ".h5ad"), verbose = FALSE
        )
        large <- SummarizedExperiment::assay(SingleCellExperiment::altExp(large, "SCALEX"))
        expect_s4_class(large, "DelayedMatrix")
        values <- c(values, list(as.matrix(large)))
    }
    for (v in values[-1]) expect_equal(v, values[[1]], tolerance = 1e-6)
    # Slow and obvious: imputed expression follows the observed one, gene by gene.
    observed <- as.matrix(SummarizedExperiment::assay(x, "counts"))[rownames(values[[1]]), ]
    observed <- log1p(t(t(observed) / colSums(as.matrix(SummarizedExperiment::assay(x, "counts")))) * 1e4)
    expect_gt(cor(rowMeans(observed), rowMeans(values[[1]])), 0.9)
    one <- imputeAssay(reference, batch = "batch1", features = rownames(observed)[2:3], verbose = FALSE)
    one <- SummarizedExperiment::assay(SingleCellExperiment::altExp(one, "SCALEX"))
    expect_identical(dimnames(one), list(rownames(observed)[2:3], colnames(x)))
})

test_that("Seurat objects are imputed into an assay of their own", {
    skip_if_no_core()
    x <- quickly(simulatedSeurat())
    y <- imputeAssay(x, verbose = FALSE)
    expectUntouched(y, simulatedSeurat())
    expect_identical(rownames(y[["SCALEX"]]), isthmusModel(x)@features)
    sce <- imputeAssay(quickly(simulated(), n_features = 200), verbose = FALSE)
    all <- length(isthmusModel(sce)@features) == nrow(sce)
    expect_identical("SCALEX" %in% SummarizedExperiment::assayNames(sce), all)
    expect_identical("SCALEX" %in% SingleCellExperiment::altExpNames(sce), !all)
    one <- imputeAssay(x, features = isthmusModel(x)@features[5], verbose = FALSE)
    expect_identical(names(one@assays), c("RNA", "SCALEX"))
})

test_that("log-normalised values are taken where the user says so", {
    skip_if_no_core()
    x <- simulated()
    counts <- SummarizedExperiment::assay(x, "counts")
    scaled <- counts %*% Matrix::Diagonal(x = 1e4 / Matrix::colSums(counts))
    dimnames(scaled) <- dimnames(counts)
    SummarizedExperiment::assay(x, "logcounts") <- log1p(scaled)
    expect_equal(
        embeddingOf(quickly(x, values = "lognorm")), embeddingOf(quickly(x)), tolerance = 1e-3
    )
})

test_that("the small Seurat object that comes with SeuratObject runs through", {
    skip_if_no_core()
    skip_if_not_installed("SeuratObject")
    x <- suppressMessages(SeuratObject::UpdateSeuratObject(SeuratObject::pbmc_small))
    y <- runSCALEX(x, batch = "groups", batch_size = 32, max_steps = 30, compile = FALSE, verbose = FALSE)
    expectUntouched(y, x)
    y <- imputeAssay(transferLabels(y, y, labels = "letter.idents", verbose = FALSE), verbose = FALSE)
    expectUntouched(y, x)
    expect_true(all(y$scalex_label %in% c("A", "B", "unknown")))
})

test_that("a split Seurat 5 assay is integrated by its parts, also by IntegrateLayers", {
    skip_if_no_core()
    skip_if(!seuratFive(), "SeuratObject 5 is not installed")
    x <- simulatedSeurat(split = TRUE)
    y <- quickly(x, batch = NULL)
    expectUntouched(y, x)
    expectSameNumbers(unname(embeddingOf(y)), unname(embeddingOf(quickly(simulatedSeurat()))))
    skip_if_not_installed("Seurat", "5.0.0")
    z <- suppressWarnings(Seurat::IntegrateLayers(
        x, method = ScalexIntegration, orig.reduction = NULL, new.reduction = "integrated.scalex",
        features = isthmusModel(y)@features, n_latent = 6, n_hidden = 64, max_steps = 120,
        batch_size = 64, compile = FALSE, precision = "32-true", verbose = FALSE
    ))
    expect_identical(dim(embeddingOf(z, "integrated.scalex")), c(400L, 6L))
    expect_s4_class(isthmusModel(z), "IsthmusModel")
})
