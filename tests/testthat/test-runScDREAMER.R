dreamt <- function(x, ..., batch = "donor") {
    suppressMessages(runScDREAMER(x, batch = batch, n_features = 20, n_latent = 3, ...))
}
embedded <- function(x) embeddingOf(x, system = "scdreamer")

# The object with a column of types that only some cells have.
withKnown <- function(x) {
    x$known <- ifelse(seq_len(ncol(x)) %% 2 == 0, NA, x$cell_type)
    x
}

test_that("without labels the embedding and the record are added and nothing else changes", {
    log <- localCore()
    for (x in bothObjects()) {
        y <- dreamt(x)
        expectUntouched(y, x)
        expect_identical(dim(embedded(y)), c(60L, 3L))
        expect_identical(rownames(embedded(y)), colnames(x))
        expect_identical(isthmusModel(y)@system, "scdreamer")
        expect_false(any(usualColumns %in% colnames(isthmus:::.cellData(y))))
        expect_false("labels_key" %in% names(lastCall(log)$params))
        expect_identical(lastCall(log)$params$system, "scdreamer")
    }
})

test_that("with labels every cell gets a label and a confidence, and nothing else changes", {
    localCore()
    for (x in lapply(bothObjects(), withKnown)) {
        y <- dreamt(x, labels = "known")
        expectUntouched(y, x)
        expect_identical(unname(y$scdreamer_label), ifelse(is.na(unname(x$known)), "type1", unname(x$known)))
        expect_identical(unname(y$scdreamer_confidence), ifelse(is.na(unname(x$known)), 0.5, 1))
    }
})

test_that("names of reductions, keys and columns are the design's", {
    localCore()
    sce <- dreamt(smallSCE(), labels = "cell_type")
    expect_identical(colnames(embedded(sce)), paste0("SCDREAMER", 1:3))
    expect_s4_class(S4Vectors::metadata(sce)$isthmus$SCDREAMER, "IsthmusModel")
    expect_true("Sup_label" %in% names(SummarizedExperiment::colData(
        transferLabels(sce, sce, name = "Sup", verbose = FALSE)
    )))
    other <- dreamt(smallSCE(), labels = "cell_type", name = "Atlas")
    expect_true(all(c("atlas_label", "atlas_confidence") %in% names(SummarizedExperiment::colData(other))))
    seurat <- dreamt(smallSeurat(), labels = "cell_type")
    expect_identical(colnames(embedded(seurat)), paste0("scdreamer_", 1:3))
    expect_s4_class(seurat@misc$isthmus$scdreamer, "IsthmusModel")
    expect_identical(seurat@commands$runScDREAMER.RNA@params$n_latent, 3L)
    expect_match(seurat@commands$runScDREAMER.RNA@call.string, "runScDREAMER(", fixed = TRUE)
})

test_that("labels may be a column, a vector, or a vector named by the cells", {
    log <- localCore()
    for (x in lapply(bothObjects(), withKnown)) {
        known <- unname(x$known)
        expected <- factor(known)
        dreamt(x, labels = "known")
        expect_identical(lastCall(log)$params$labels_key, "known")
        expect_identical(lastCall(log)$study$obs$known, expected)
        forms <- list(known, factor(known, levels = c("none", "type1", "type2", "type3")),
            rev(setNames(known, colnames(x))))
        for (labels in forms) {
            y <- dreamt(x, labels = labels)
            expect_identical(lastCall(log)$params$labels_key, "label_values")
            expect_identical(lastCall(log)$study$obs$label_values, expected)
            expect_identical(unname(y$scdreamer_confidence), ifelse(is.na(known), 0.5, 1))
        }
    }
})

test_that("one column may be batch and labels, and names that are ours may be the user's", {
    log <- localCore()
    x <- smallSCE()
    dreamt(x, labels = "donor")
    expect_identical(lastCall(log)$study$obs[[lastCall(log)$params$labels_key]], factor(x$donor))
    x$label_values <- x$donor
    dreamt(x, batch = "label_values", labels = x$cell_type)
    obs <- lastCall(log)$study$obs
    expect_identical(obs[[lastCall(log)$params$batch_key]], factor(x$donor))
    expect_identical(obs[[lastCall(log)$params$labels_key]], factor(x$cell_type))
})

test_that("labels follow the names when cells are permuted", {
    localCore()
    for (x in lapply(bothObjects(), withKnown)) {
        expected <- setNames(dreamt(x, labels = "known")$scdreamer_confidence, colnames(x))
        given <- x[, rev(colnames(x))]
        expect_identical(
            unname(dreamt(given, labels = "known")$scdreamer_confidence), unname(expected[colnames(given)])
        )
    }
})

test_that("settings reach the core by their own names, what is not given does not", {
    log <- localCore()
    dreamt(smallSCE(), likelihood = "nb", max_steps = 100, batch_weight = 3.5, seed = 7)
    expect_identical(
        lastCall(log)$params[c("likelihood", "max_steps", "batch_weight", "seed", "batch_key")],
        list(likelihood = "nb", max_steps = 100L, batch_weight = 3.5, seed = 7L, batch_key = "donor")
    )
    dreamt(smallSCE())
    expect_false(any(c("likelihood", "values", "profile") %in% names(lastCall(log)$params)))
})

test_that("the model knows its labels, also when it was saved and loaded", {
    localCore()
    model <- isthmusModel(dreamt(smallSCE(), labels = "cell_type", seed = 3))
    expect_identical(model@provenance$labels, "cell_type")
    expect_identical(model@provenance$types, paste0("type", 1:3))
    folder <- file.path(withr::local_tempdir(), "model")
    saveModel(model, folder)
    expect_identical(loadModel(folder)@provenance$types, paste0("type", 1:3))
    model@provenance$time <- "2026-01-01T00:00:00Z"
    expect_snapshot(model)
})

test_that("a path and a SummarizedExperiment are run", {
    localCore()
    path <- withr::local_tempfile(fileext = ".rds")
    saveRDS(smallSCE(), path)
    expected <- dreamt(smallSCE(), labels = "cell_type")
    expect_identical(embedded(dreamt(path, labels = "cell_type")), embedded(expected))
    plain <- SummarizedExperiment::SummarizedExperiment(
        SummarizedExperiment::assays(smallSCE()), colData = SummarizedExperiment::colData(smallSCE())
    )
    expect_identical(dreamt(plain, labels = "cell_type")$scdreamer_label, expected$scdreamer_label)
})

test_that("the parts of a split Seurat 5 assay are the batches when none is named", {
    log <- localCore()
    x <- smallSeurat(split = TRUE)
    y <- dreamt(x, batch = NULL, labels = "cell_type")
    expect_identical(as.character(lastCall(log)$study$obs$batch_values), unname(x$donor))
    expectUntouched(y, x)
})

test_that("our own columns are replaced, and go with the fit that made them", {
    localCore()
    for (x in lapply(bothObjects(), withKnown)) {
        y <- dreamt(dreamt(x, labels = "cell_type"), labels = "known")
        expect_identical(unname(y$scdreamer_label[2]), "type1")
        expect_false(any(usualColumns %in% colnames(isthmus:::.cellData(dreamt(y)))))
        # What was transferred since belongs to the user's later call.
        y <- transferLabels(y, y, verbose = FALSE)
        expect_true("scdreamer_label" %in% colnames(isthmus:::.cellData(dreamt(y))))
        expect_no_error(dreamt(dreamt(y), labels = "known"))
    }
})

test_that("bad labels and taken columns are refused before anything runs", {
    log <- localCore()
    x <- smallSCE()
    taken <- x
    taken$scdreamer_confidence <- 1
    expect_snapshot({
        refusal(runScDREAMER(x, batch = "donor", labels = "celltype"))
        refusal(runScDREAMER(x, batch = "donor", labels = c("a", "b", NA)))
        refusal(runScDREAMER(x, batch = "donor", labels = c("donor", "cell_type")))
        refusal(runScDREAMER(x, batch = "donor", labels = list("cell_type")))
        refusal(runScDREAMER(taken, batch = "donor", labels = "cell_type"))
        refusal(runScDREAMER(x, batch = "donor", labels_key = "cell_type"))
        refusal(runScDREAMER(matrix(1, 2, 2)))
    })
    expect_length(log$calls, 0L)
    expect_no_error(dreamt(taken))
})

test_that("verbs of a model use the names of its system", {
    localCore()
    reference <- dreamt(smallSCE(), labels = "cell_type")
    for (query in bothObjects(seed = 2L)) {
        y <- suppressMessages(projectCells(query, reference, batch = "donor"))
        expect_identical(rownames(embedded(y)), colnames(query))
        expect_identical(
            isthmus:::.records(y)$projection$batches, list(known = c("a", "b"), new = character())
        )
        y <- transferLabels(y, reference, verbose = FALSE)
        expect_identical(unname(y$scdreamer_label), unname(query$cell_type))
        y <- imputeAssay(y, model = reference, verbose = FALSE)
        expect_identical(isthmus:::.records(y)$imputed$name, "SCDREAMER")
        expectUntouched(y, query)
    }
})

test_that("a projection records which batches are new", {
    localCore()
    query <- smallSCE(seed = 2L)
    query$lab <- rep(c("a", "x"), 30)
    y <- projectCells(query, dreamt(smallSCE()), batch = "lab", verbose = FALSE)
    expect_identical(isthmus:::.records(y)$projection$batches, list(known = "a", new = "x"))
})

test_that("models of two systems live in one object", {
    localCore()
    for (x in bothObjects()) {
        y <- dreamt(suppressMessages(runSCALEX(x, batch = "donor", n_features = 20, n_latent = 3)))
        expectUntouched(y, x)
        expect_error(imputeAssay(y), "Found the models", class = "isthmus_input_error")
        y <- imputeAssay(y, name = "SCDREAMER", verbose = FALSE)
        expect_identical(isthmus:::.records(y)$imputed$provenance$system, "scdreamer")
    }
})
