fitted <- function(x, ..., batch = "donor") {
    suppressMessages(runSCALEX(x, batch = batch, n_features = 20, n_latent = 3, ...))
}

test_that("the embedding and the record are added and nothing else changes", {
    localCore()
    for (x in bothObjects()) {
        y <- fitted(x)
        expectUntouched(y, x)
        z <- embeddingOf(y)
        expect_identical(dim(z), c(60L, 3L))
        expect_identical(rownames(z), colnames(x))
        expect_s4_class(isthmusModel(y), "IsthmusModel")
    }
})

test_that("names of reductions and keys are the design's", {
    localCore()
    sce <- fitted(smallSCE())
    expect_identical(colnames(embeddingOf(sce)), paste0("SCALEX", 1:3))
    expect_s4_class(S4Vectors::metadata(sce)$isthmus$SCALEX, "IsthmusModel")
    seurat <- fitted(smallSeurat())
    expect_identical(colnames(embeddingOf(seurat)), paste0("scalex_", 1:3))
    expect_identical(SeuratObject::Key(seurat[["scalex"]]), "scalex_", ignore_attr = TRUE)
    expect_s4_class(seurat@misc$isthmus$scalex, "IsthmusModel")
    expect_equal(seurat[["scalex"]]@stdev, unname(apply(embeddingOf(seurat), 2, sd)))
    other <- fitted(smallSeurat(), reduction.name = "my.scalex")
    expect_identical(colnames(embeddingOf(other, "my.scalex"))[1], "myscalex_1")
})

test_that("embedding rows follow the names when cells are permuted", {
    localCore()
    for (x in bothObjects()) {
        z <- embeddingOf(fitted(x))
        for (order in list(rev(colnames(x)), colnames(x)[c(7, 3, 50)])) {
            # Seurat's own subsetting keeps the old order; SCE takes the new one.
            given <- x[, order]
            permuted <- embeddingOf(fitted(given))
            expect_identical(rownames(permuted), colnames(given))
            expect_equal(permuted, z[colnames(given), ])
        }
    }
})

test_that("a core that returns cells in another order is put right by name", {
    backwards <- function(verb, study, params) {
        result <- mockCore(verb, study, params)
        result$embedding <- result$embedding[rev(seq_len(nrow(result$embedding))), ]
        result
    }
    x <- smallSCE()
    localCore()
    z <- embeddingOf(fitted(x))
    localCore(core = backwards)
    expect_identical(embeddingOf(fitted(x)), z)
})

test_that("settings reach the core by their own names, what is not given does not", {
    log <- localCore()
    fitted(smallSCE(), max_steps = 100, kl_weight = 0.1, seed = 7)
    params <- lastCall(log)$params
    expect_identical(params$batch_key, "donor")
    expect_identical(
        params[c("n_features", "n_latent", "max_steps", "kl_weight", "seed", "values", "profile")],
        list(n_features = 20L, n_latent = 3L, max_steps = 100L, kl_weight = 0.1, seed = 7L,
            values = "counts", profile = "rna")
    )
    expect_false("statistics" %in% names(params))
    expect_named(lastCall(log)$study, c("assays", "main", "obs", "var", "reducedDims", "altExps"))
})

test_that("the provenance says how the model was made", {
    localCore()
    for (x in bothObjects()) {
        made <- isthmusModel(fitted(x, seed = 3))@provenance
        expect_identical(made$batch, "donor")
        expect_identical(made$seed, 3L)
        expect_identical(made$cells, 60L)
        expect_identical(made$settings$n_features, 20L)
        expect_identical(made$isthmus, as.character(packageVersion("isthmus")))
        expect_match(made$time, "^20[0-9-]{8}T[0-9:]{8}Z$")
    }
})

test_that("R's random numbers are not touched", {
    localCore()
    x <- smallSCE()
    set.seed(1)
    before <- .Random.seed
    fitted(x)
    expect_identical(.Random.seed, before)
})

test_that("our own result is replaced, another's is not", {
    localCore()
    x <- fitted(smallSCE())
    expect_identical(dim(embeddingOf(fitted(x))), c(60L, 3L))
    seurat <- fitted(smallSeurat())
    expect_identical(dim(embeddingOf(fitted(seurat))), c(60L, 3L))
    S4Vectors::metadata(x)$isthmus <- NULL
    expect_snapshot({
        refusal(runSCALEX(x, batch = "donor"))
        refusal(runSCALEX(x, batch = "donor", name = "PCA"))
    })
})

test_that("the parts of a split Seurat 5 assay are the batches when none is named", {
    log <- localCore()
    x <- smallSeurat(split = TRUE)
    y <- fitted(x, batch = NULL)
    expect_identical(as.character(lastCall(log)$study$obs$batch_values), unname(x$donor))
    expectUntouched(y, x)
})

test_that("without a batch no batch column crosses", {
    log <- localCore()
    fitted(smallSCE(), batch = NULL)
    expect_false("batch_key" %in% names(lastCall(log)$params))
    expect_identical(ncol(lastCall(log)$study$obs), 0L)
})

test_that("a SummarizedExperiment comes back as a SingleCellExperiment", {
    localCore()
    x <- SummarizedExperiment::SummarizedExperiment(
        SummarizedExperiment::assays(smallSCE()), colData = SummarizedExperiment::colData(smallSCE())
    )
    y <- fitted(x)
    expect_s4_class(y, "SingleCellExperiment")
    expect_identical(embeddingOf(y), embeddingOf(fitted(smallSCE())))
})

test_that("paths are read and run", {
    localCore()
    path <- withr::local_tempfile(fileext = ".rds")
    saveRDS(smallSCE(), path)
    expect_identical(embeddingOf(fitted(path)), embeddingOf(fitted(smallSCE())))
})

test_that("the model is saved where the user says, in a new folder", {
    localCore()
    folder <- file.path(withr::local_tempdir(), "model")
    x <- fitted(smallSCE(), model_dir = folder)
    expect_true(file.exists(file.path(folder, "manifest.json")))
    expect_identical(isthmusModel(x)@folder, normalizePath(folder))
    expect_error(fitted(smallSCE(), model_dir = folder), class = "isthmus_input_error")
})

test_that("a fit that fails leaves nothing behind", {
    localCore(core = function(verb, study, params) {
        dir.create(params$folder)
        stop("no")
    })
    before <- list.files(tempdir(), "^isthmus-fit-")
    expect_error(fitted(smallSCE()), "no")
    expect_identical(list.files(tempdir(), "^isthmus-fit-"), before)
})
