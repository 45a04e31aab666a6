checked <- function(x, ...) suppressMessages(checkLabels(x, ...))

test_that("two columns are added, and nothing else changes", {
    log <- localCore(core = mockPaired)
    for (x in list(paired(runScI2CL, glueAlt()), paired(runScI2CL, glueSeurat(), atac = "peaks"))) {
        y <- checked(x)
        expect_identical(pairedBare(y), pairedBare(x))
        expect_equal(unname(y$check_wrong), 1:20 / 20)
        expect_identical(unname(y$check_suggestion), unname(as.character(x$cell_type)))
        sent <- lastCall(log)$study$reducedDims$embedding
        expect_equal(sent, embeddingOf(x, system = "sci2cl"), ignore_attr = TRUE)
        expect_identical(lastCall(log)$params[c("labels_key", "k", "wrong_above")], list(
            labels_key = "cell_type", k = 30L, wrong_above = 0.5
        ))
        expect_identical(isthmus:::.records(y)$check$embedding, names(isthmus:::.heldModels(x)))
        # Its own columns are replaced.
        expect_no_error(checked(y))
    }
    expect_identical(tail(names(y@commands), 1L), "checkLabels.RNA")
})

test_that("any embedding, labels as a vector, and missing ones", {
    log <- localCore(core = mockPaired)
    x <- smallSCE()
    known <- ifelse(1:60 %% 2 == 0, NA, x$cell_type)
    y <- checked(x, labels = known, embedding = "PCA", k = 5, name = "old")
    expect_identical(is.na(y$old_wrong), is.na(known))
    expect_false(anyNA(y$old_suggestion))
    expect_identical(lastCall(log)$params$k, 5L)
    # Cells without an embedding are left out.
    partly <- paired(runSAILERX, pairedList(20L, 12L))
    y <- checked(partly$rna)
    expect_identical(nrow(lastCall(log)$study$obs), 12L)
    expect_identical(is.na(y$check_suggestion), 1:20 > 12)
    path <- withr::local_tempfile(fileext = ".rds")
    saveRDS(partly$rna, path)
    expect_identical(checked(path)$check_wrong, y$check_wrong)
    projection <- suppressMessages(projectCells(glueAtac(20L, "new"), partly))
    expect_no_error(checked(projection))
})

test_that("an embedding that knows the labels is said to", {
    localCore(core = mockPaired)
    x <- paired(runScI2CL, glueAlt(), labels = "cell_type")
    expect_warning(checked(x), "fitted with the labels \"cell_type\"")
    # Several embeddings of one model have names of their own.
    localCore(core = function(verb, study, params) {
        if (verb == "check_labels") mockCheck(study, params) else mockGlue(verb, study, params)
    })
    x <- glued(glueAlt(), assays = c(rna = "main", atac = "ATAC"), labels = c(rna = "cell_type"))
    expect_warning(checked(x, embedding = "GLUE_atac"), "fitted with the labels \"cell_type\"")
})

test_that("what cannot be checked is refused before anything runs", {
    log <- localCore(core = mockPaired)
    x <- smallSCE()
    taken <- x
    taken$check_wrong <- 1
    expect_snapshot({
        refusal(checkLabels(x))
        refusal(checkLabels(x, embedding = "UMAP"))
        refusal(checkLabels(x, labels = "type", embedding = "PCA"))
        refusal(checkLabels(taken, embedding = "PCA"))
        refusal(checkLabels(matrix(1, 2, 2)))
    })
    expect_length(log$calls, 0L)
})
