supervised <- function(x = smallSCE(), ...) {
    suppressMessages(runScDREAMER(
        x, batch = "donor", labels = "cell_type", n_features = 20, n_latent = 3, ...
    ))
}
predicted <- function(...) suppressMessages(predictLabels(...))

test_that("two columns are added and nothing else changes", {
    localCore()
    reference <- supervised()
    for (query in bothObjects(seed = 2L)) {
        y <- predicted(query, reference, batch = "donor")
        expectUntouched(y, query)
        expect_true(all(y$scdreamer_label %in% paste0("type", 1:3)))
        expect_type(unname(y$scdreamer_confidence), "double")
        record <- isthmus:::.records(y)$labels
        expect_identical(record$columns, c("scdreamer_label", "scdreamer_confidence"))
        expect_identical(record$provenance$verb, "predict")
    }
})

test_that("an object, its model, a folder and a path are the same, projected or not", {
    log <- localCore()
    reference <- supervised()
    query <- smallSCE(seed = 2L)
    expected <- predicted(query, reference)$scdreamer_label
    folder <- file.path(withr::local_tempdir(), "model")
    saveModel(reference, folder)
    expect_identical(predicted(query, isthmusModel(reference))$scdreamer_label, expected)
    expect_identical(predicted(query, folder)$scdreamer_label, expected)
    path <- withr::local_tempfile(fileext = ".rds")
    saveRDS(query, path)
    expect_identical(predicted(path, folder)$scdreamer_label, expected)
    projected <- suppressMessages(projectCells(query, reference))
    expect_identical(predicted(projected, reference)$scdreamer_label, expected)
    expect_length(lastCall(log)$study$assays, 0L)
    predicted(projected, reference, min_coverage = 0.1)
    expect_length(lastCall(log)$study$assays, 1L)
})

test_that("batches that no column holds are remembered by cell", {
    log <- localCore()
    for (x in bothObjects()) {
        donor <- unname(as.character(x$donor))
        # A column of this name is another matter.
        x$batch_values <- "none"
        reference <- suppressMessages(runScDREAMER(
            x, batch = donor, labels = "cell_type", n_features = 20, n_latent = 3
        ))
        some <- reference[, 60:11] # of a Seurat 5 object in the order of the whole
        predicted(some, reference)
        expected <- donor[match(colnames(some), colnames(x))]
        expect_identical(as.character(lastCall(log)$study$obs$batch), expected)
        query <- suppressMessages(projectCells(x, isthmusModel(reference), batch = rev(donor)))
        predicted(query, reference)
        expect_identical(as.character(lastCall(log)$study$obs$batch), rev(donor))
    }
    lost <- suppressMessages(runScDREAMER(
        smallSCE(), batch = donor, labels = "cell_type", n_features = 20, n_latent = 3
    ))
    SingleCellExperiment::reducedDim(lost, "SCDREAMER") <- NULL
    predicted(lost, lost)
    sent <- lastCall(log)
    expect_identical(as.character(sent$study$obs[[sent$params$batch_key]]), donor)
})

test_that("cells that share the reference's names alone have none of its batches", {
    log <- localCore()
    x <- smallSCE()
    query <- smallSCE(seed = 2L)
    expect_identical(colnames(query), colnames(x))
    for (batch in list("donor", unname(x$donor))) {
        reference <- suppressMessages(runScDREAMER(
            x, batch = batch, labels = "cell_type", n_features = 20, n_latent = 3
        ))
        for (verb in list(
            function() predicted(query, reference),
            function() suppressMessages(transferLabels(query, reference)),
            function() suppressMessages(imputeAssay(query, model = reference))
        )) {
            verb()
            expect_false("batch_key" %in% names(lastCall(log)$params))
            expect_length(lastCall(log)$study$obs, 0L)
        }
    }
})

test_that("columns of several names are all known as ours", {
    localCore()
    reference <- supervised()
    y <- predicted(smallSCE(seed = 2L), reference)
    y <- suppressMessages(transferLabels(y, reference, name = "nearest"))
    expect_identical(isthmus:::.records(y)$labels$columns[1], "nearest_label")
    expect_no_error(predicted(y, reference))
})

test_that("models without labels and taken columns are refused", {
    localCore()
    x <- smallSCE()
    taken <- x
    taken$scdreamer_label <- "mine"
    plain <- suppressMessages(runSCALEX(x, batch = "donor", n_features = 20, n_latent = 3))
    expect_snapshot({
        refusal(predictLabels(x, plain))
        refusal(predictLabels(taken, supervised()))
        refusal(predictLabels(matrix(1, 2, 2), plain))
    })
})
