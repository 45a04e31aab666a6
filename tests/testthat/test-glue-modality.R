# What follows a fit of several modalities: projection, labels, prediction.

glueOf <- function(x) SingleCellExperiment::reducedDim(x, "GLUE")

test_that("reference cells know their modality, and labels are those of the other one", {
    log <- localCore(core = mockGlue)
    x <- glueList()
    for (done in list(glued(x), glued(glueMAE()))) {
        y <- transferLabels(done[["atac"]], done, verbose = FALSE)
        sent <- lastCall(log)
        expect_identical(sent$params[c("modality", "source")], list(modality = "atac", source = "rna"))
        expect_identical(as.character(sent$params$labels), x$rna$cell_type)
        expect_equal(sent$study$reducedDims$embedding, glueOf(done[["atac"]]), ignore_attr = TRUE)
        expect_identical(y$glue_label, x$rna$cell_type[1:16])
        # Back from chromatin to RNA, some of whose cells are gone.
        some <- if (is.list(done)) list(rna = done$rna, atac = done$atac[, 16:2]) else done
        transferLabels(done[["rna"]][, 1:5], some, labels = "donor", verbose = FALSE)
        expected <- x$atac$donor
        if (is.list(done)) expected[1] <- NA
        expect_identical(as.character(lastCall(log)$params$labels), expected)
        expect_identical(lastCall(log)$params$source, "atac")
    }
})

test_that("labels may be in the cell data of the whole MultiAssayExperiment", {
    log <- localCore(core = mockGlue)
    x <- glueList()
    x$atac <- x$atac[, 16:1]
    done <- glued(outerMAE(x))
    transferLabels(done[["atac"]], done, "cell_type", verbose = FALSE)
    expect_identical(as.character(lastCall(log)$params$labels), x$rna$cell_type)
    transferLabels(done[["rna"]], done, "donor", verbose = FALSE)
    expect_identical(as.character(lastCall(log)$params$labels), x$atac$donor)
    expect_null(done[["rna"]]$cell_type)
})

test_that("new cells are projected as cells of the modality that is named", {
    log <- localCore(core = mockGlue)
    done <- glued(glueList())
    new <- glueAtac(12L, "new")
    y <- suppressMessages(projectCells(new, done, modality = "atac"))
    expect_identical(lastCall(log)$params$modality, "atac")
    expect_false("batch_key" %in% names(lastCall(log)$params))
    expect_identical(dim(glueOf(y)), c(12L, 3L))
    # The projection remembers which modality it is.
    z <- transferLabels(y, done, verbose = FALSE)
    expect_identical(lastCall(log)$params$modality, "atac")
    expect_identical(lastCall(log)$params$source, "rna")
    expect_identical(
        unname(lastCall(log)$study$reducedDims$embedding[, 1]), unname(glueOf(y)[, 1])
    )
    seurat <- suppressWarnings(SeuratObject::CreateSeuratObject(SummarizedExperiment::assay(new, "counts")))
    seurat <- suppressMessages(projectCells(seurat, done, modality = "atac"))
    expect_equal(SeuratObject::Embeddings(seurat[["glue"]]), glueOf(y), ignore_attr = TRUE)
})

test_that("one object with two modalities has to say which", {
    log <- localCore(core = mockGlue)
    done <- glued(glueSeurat(), assays = c(rna = "RNA", atac = "peaks"), genes = glueGenes())
    expect_error(transferLabels(done, done), "modality = ", class = "isthmus_input_error")
    y <- transferLabels(done, done, modality = "atac", verbose = FALSE)
    expect_identical(
        unname(lastCall(log)$study$reducedDims$embedding),
        unname(attr(done@reductions$glue_atac, "cell.embeddings"))
    )
    expect_identical(unname(y$glue_label), unname(done$cell_type))
})

test_that("new cells of a modality are named by the classifier", {
    log <- localCore(core = mockGlue)
    done <- glued(glueList(), labels = c(rna = "cell_type"))
    new <- glueAtac(12L, "new")
    y <- predictLabels(new, done, modality = "atac", verbose = FALSE)
    sent <- lastCall(log)
    expect_identical(sent$verb, "predict")
    expect_identical(sent$params$modality, "atac")
    expect_false("batch_key" %in% names(sent$params))
    expect_identical(y$glue_label, rep_len(paste0("type", 1:3), 12L))
    expect_identical(y$glue_confidence, 1 / 1:12)
    # Cells of the fit and projected ones know their modality and bring their embedding.
    y <- suppressMessages(projectCells(new, done, modality = "atac"))
    for (known in list(y, done$atac)) {
        predictLabels(known, done, name = "mine", verbose = FALSE)
        expect_identical(lastCall(log)$params$modality, "atac")
        expect_equal(lastCall(log)$study$reducedDims$embedding, glueOf(known), ignore_attr = TRUE)
    }
    folder <- file.path(withr::local_tempdir(), "model")
    saveModel(done, folder)
    again <- predictLabels(new, folder, modality = "atac", verbose = FALSE)
    expect_identical(again$glue_label, rep_len(paste0("type", 1:3), 12L))
    calls <- length(log$calls)
    expect_snapshot({
        refusal(predictLabels(new, done))
        refusal(predictLabels(new, done, modality = "atac", batch = "donor"))
    })
    expect_length(log$calls, calls)
})

test_that("another modality is predicted", {
    log <- localCore(core = mockGlue)
    done <- glued(glueList())
    y <- imputeAssay(done$atac, features = c("gene1", "gene2"), verbose = FALSE)
    expect_identical(
        lastCall(log)$params[c("modality", "target", "batch")],
        list(modality = "atac", target = "rna", batch = "average")
    )
    values <- SummarizedExperiment::assay(SingleCellExperiment::altExp(y, "GLUE"), "GLUE")
    expect_identical(rownames(values), c("gene1", "gene2"))
    expect_identical(values[1, ], glueOf(done$atac)[, 1])
})

test_that("what a model of several modalities cannot know is refused", {
    log <- localCore(core = mockGlue)
    done <- glued(glueList())
    calls <- length(log$calls)
    expect_snapshot({
        refusal(projectCells(glueAtac(12L, "new"), done))
        refusal(projectCells(glueAtac(12L, "new"), done, modality = "ATAC"))
        refusal(projectCells(glueAtac(12L, "new"), done, modality = "atac", batch = "donor"))
        refusal(transferLabels(done$atac, done, source = "protein"))
        refusal(predictLabels(done$atac, done))
    })
    expect_length(log$calls, calls)
})
