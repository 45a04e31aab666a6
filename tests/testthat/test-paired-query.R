# What follows a fit of RNA and ATAC: projection, labels, imputation.

rowsOf <- function(x, system = "SAILERX") unname(embeddingOf(x, system = tolower(system)))
sumOf <- function(x) unname(Matrix::colSums(SummarizedExperiment::assay(x, "counts")))
projected <- function(...) suppressMessages(projectCells(...))
sailed <- function(x = pairedList(), ...) paired(runSAILERX, x, ...)
fused <- function(x = pairedList(), ...) paired(runScI2CL, x, ...)

# The same cells with another name.
asNew <- function(x) {
    if (is(x, "SingleCellExperiment")) {
        colnames(x) <- paste0("new", seq_len(ncol(x)))
        return(x)
    }
    SeuratObject::RenameCells(x, new.names = paste0("new", seq_len(ncol(x))))
}

test_that("SAILERX projects an object of ATAC, or the ATAC of an object of both", {
    log <- localCore(core = mockPaired)
    expected <- outer(sumOf(glueAtac(20L, "cell")), 1:3)
    seurat <- sailed(glueSeurat(), atac = "peaks")
    alone <- suppressWarnings(SeuratObject::CreateSeuratObject(
        SummarizedExperiment::assay(glueAtac(20L, "new"), "counts")
    ))
    peaks <- asNew(glueSeurat())
    queries <- list(asNew(glueAtac(20L, "new")), alone, peaks, asNew(glueAlt()))
    for (reference in list(seurat, sailed(glueAlt()), isthmusModel(sailed()))) {
        for (query in queries) {
            # An assay "peaks" is known by its features only where the fit had it by name.
            named <- identical(query, peaks) && !identical(reference, seurat)
            y <- if (named) projected(query, reference, atac = "peaks") else projected(query, reference)
            expect_identical(pairedBare(y), pairedBare(query))
            expect_equal(rowsOf(y), expected)
            expect_null(isthmus:::.records(y)$projection$columns)
            expect_setequal(rownames(lastCall(log)$study$var), isthmusModel(reference)@features)
        }
    }
    y <- projected(glueSeurat(), seurat, assay = "peaks", reduction.name = "other")
    expect_identical(names(y@reductions), "other")
})

test_that("several objects get the embedding of their own cells", {
    localCore(core = mockPaired)
    x <- pairedList(20L, 12L)
    y <- projected(x, sailed())
    expect_equal(rowsOf(y$rna)[1:12, ], rowsOf(y$atac))
    expect_true(all(is.na(rowsOf(y$rna)[13:20, ])))
    y <- projected(pairedMAE(), sailed())
    expect_s4_class(y, "MultiAssayExperiment")
    expect_equal(rowsOf(y[["rna"]]), rowsOf(y[["atac"]]))
    expect_error(projected(x["rna"], sailed()), "an experiment with ATAC", class = "isthmus_input_error")
    expect_error(projected(x, suppressMessages(runSCALEX(smallSCE(), n_latent = 3, n_features = 20))),
        "an object of class \"list\"", class = "isthmus_input_error")
})

test_that("scI2CL projects both modalities or one, and says which", {
    log <- localCore(core = mockPaired)
    reference <- fused()
    x <- pairedList(20L, 12L)
    y <- projected(x, reference)
    expect_identical(names(lastCall(log)$study$studies), c("rna", "atac"))
    expect_identical(y$rna$sci2cl_measured, rep(c("both", "rna"), c(12, 8)))
    expect_equal(rowsOf(y$rna, "SCI2CL")[1:12, ], rowsOf(y$atac, "SCI2CL"))
    expect_equal(rowsOf(y$rna, "SCI2CL")[13:20, 1], sumOf(x$rna)[13:20])
    for (one in list(asNew(glueAlt()), asNew(glueSeurat()))) {
        both <- if (is(one, "SingleCellExperiment")) projected(one, reference) else
            projected(one, reference, rna = "RNA", atac = "peaks")
        expect_identical(pairedBare(both), pairedBare(one))
        expect_identical(unname(both$sci2cl_measured), rep("both", 20))
        expect_equal(rowsOf(both, "SCI2CL")[, 1], sumOf(glueRna()) + sumOf(glueAtac(20L, "cell")))
    }
    # Which of the two an object holds is seen by its features.
    expect_identical(unique(projected(glueAtac(20L, "new"), reference)$sci2cl_measured), "atac")
    expect_identical(unique(projected(asNew(glueRna()), reference)$sci2cl_measured), "rna")
    expect_identical(unique(projected(glueAlt(), reference, atac = "ATAC")$sci2cl_measured), "atac")
    # The column is replaced with the embedding.
    expect_no_error(projected(both, reference, rna = "RNA", atac = "peaks"))
})

# Projection adds a column that transfer alone does not.
unmeasured <- function(x) {
    x$sci2cl_measured <- NULL
    SummarizedExperiment::colData(x)
}

test_that("labels go from reference to query, with the embedding that is there or without", {
    log <- localCore(core = mockPaired)
    for (fit in list(sailed, fused)) {
        system <- isthmusModel(fit())@system
        for (reference in list(fit(), fit(pairedMAE()), fit(glueAlt()))) {
            y <- projected(glueAtac(20L, "cell"), reference)
            y <- transferLabels(y, reference, verbose = FALSE)
            expect_length(lastCall(log)$study$assays, 0L)
            label <- SummarizedExperiment::colData(y)[[paste0(system, "_label")]]
            expect_identical(label, glueRna()$cell_type)
            whole <- transferLabels(glueAtac(20L, "cell"), reference, verbose = FALSE)
            expect_identical(SummarizedExperiment::colData(whole), unmeasured(y))
        }
    }
    # Labels that the whole knows and none of its experiments.
    turned <- pairedList()
    turned$atac <- turned$atac[, 20:1]
    y <- transferLabels(turned$atac, sailed(outerMAE(turned)), verbose = FALSE)
    expect_identical(y$sailerx_label, rev(turned$rna$cell_type))
    # Reference cells without the modality have no row and get no label.
    partly <- sailed(pairedList(20L, 12L))
    y <- transferLabels(partly$rna, partly, verbose = FALSE)
    expect_identical(is.na(y$sailerx_label), 1:20 > 12)
    expect_error(
        transferLabels(y, partly, labels = "type"), "no column \"type\"", class = "isthmus_input_error"
    )
})

test_that("accessibility is imputed, the strongest peaks as a sparse matrix", {
    log <- localCore(core = mockPaired)
    x <- sailed(glueAlt())
    y <- imputeAssay(x, top = 2, verbose = FALSE)
    expect_identical(lastCall(log)$params[c("top", "batch")], list(top = 2L, batch = "average"))
    values <- SummarizedExperiment::assay(SingleCellExperiment::altExp(y, "SAILERX"), "SAILERX")
    expect_s4_class(values, "dgCMatrix")
    expect_identical(dimnames(values), list(isthmusModel(x)@features, colnames(x)))
    seurat <- sailed(glueSeurat(), atac = "peaks")
    expect_error(imputeAssay(seurat, max_memory = 1000), "top =", class = "isthmus_input_error")
    seurat <- imputeAssay(seurat, top = 2, features = rownames(glueAtac())[3:6], verbose = FALSE)
    expect_identical(names(seurat@assays), c("RNA", "peaks", "SAILERX"))
    expect_identical(rownames(seurat[["SAILERX"]]), rownames(glueAtac())[3:6])
    # A few peaks of each cell are small where all of them are not.
    expect_no_error(imputeAssay(x, top = 2, max_memory = 1000, verbose = FALSE))
    all <- imputeAssay(projected(glueAtac(20L, "new"), x), model = x, verbose = FALSE)
    expect_identical(SummarizedExperiment::assayNames(all), c("counts", "logcounts", "SAILERX"))
})

test_that("scI2CL imputes the modality that is named, of the cells in their order", {
    log <- localCore(core = mockPaired)
    x <- fused(glueAlt())
    y <- imputeAssay(x, modality = "rna", features = c("gene1", "gene2"), verbose = FALSE)
    expect_identical(names(lastCall(log)$study$studies), c("rna", "atac"))
    values <- SummarizedExperiment::assay(SingleCellExperiment::altExp(y, "SCI2CL"), "SCI2CL")
    # The mock core counts the cells from the last one.
    expect_identical(unname(values[1, ]), as.numeric(20:1))
    expect_identical(colnames(values), colnames(x))
})

test_that("what these models cannot do is refused", {
    log <- localCore(core = mockPaired)
    one <- sailed(glueAlt())
    both <- fused(glueAlt())
    partly <- sailed(pairedList(20L, 12L))
    foreign <- smallSCE()
    rownames(foreign) <- paste0("other", 1:50)
    calls <- length(log$calls)
    expect_snapshot({
        refusal(projectCells(glueAtac(20L, "new"), one, batch = "donor"))
        refusal(projectCells(glueAtac(20L, "new"), one, values = "lognorm"))
        refusal(projectCells(glueAlt(), one, atac = "peaks"))
        refusal(projectCells(foreign, both))
        refusal(projectCells(one, isthmusModel(sailed(glueAlt(), seed = 5))))
        refusal(imputeAssay(both))
        refusal(imputeAssay(both, modality = "protein"))
        refusal(imputeAssay(partly$rna))
        refusal(predictLabels(glueAtac(20L, "new"), one))
        refusal(writeReport(one))
        refusal(peakGeneLinks(one))
    })
    fits <- vapply(log$calls, function(call) call$verb == "fit_paired", NA)
    expect_identical(sum(!fits), 0L)
})
