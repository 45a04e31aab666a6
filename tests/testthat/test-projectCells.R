fitted <- function(x, ...) {
    suppressMessages(runSCALEX(x, batch = "donor", n_features = 20, n_latent = 3, ...))
}
projected <- function(...) suppressMessages(projectCells(...))

test_that("the reference projected on itself is where it was, for every kind of object", {
    localCore()
    for (reference in lapply(bothObjects(), fitted)) {
        expected <- unname(embeddingOf(reference))
        for (query in bothObjects()) {
            y <- projected(query, reference)
            expect_equal(unname(embeddingOf(y)), expected)
            expect_identical(rownames(embeddingOf(y)), colnames(query))
            expectUntouched(y, query)
        }
    }
})

test_that("an object, its model, a folder and an rds file are the same reference", {
    localCore()
    reference <- fitted(smallSCE())
    query <- smallSCE(seed = 2L)
    folder <- file.path(withr::local_tempdir(), "model")
    saveModel(reference, folder)
    file <- withr::local_tempfile(fileext = ".rds")
    saveRDS(reference, file)
    expected <- embeddingOf(projected(query, reference))
    for (form in list(isthmusModel(reference), folder, file)) {
        expect_identical(embeddingOf(projected(query, form)), expected)
    }
})

test_that("the coverage is recorded", {
    localCore()
    reference <- fitted(smallSCE())
    gone <- isthmusModel(reference)@features[1:4]
    for (query in bothObjects(seed = 2L)) {
        query <- query[setdiff(rownames(query), gone), ]
        y <- projected(query, reference)
        record <- isthmus:::.records(y)$projection
        expect_identical(record$coverage$n_found, 16L)
        expect_setequal(record$coverage$missing, gone)
        expect_identical(record$provenance$model, isthmusModel(reference)@manifest$id)
    }
})

test_that("the coverage is said, unless quiet", {
    localCore()
    reference <- fitted(smallSCE())
    expect_message(
        projectCells(smallSCE()[-1, ], reference), "19 of the model's 20 features were found .95 %."
    )
    expect_no_message(projectCells(smallSCE(), reference, verbose = FALSE))
})

test_that("features that Seurat renamed are found again", {
    localCore()
    x <- smallSCE()
    rownames(x) <- sub("gene", "gene_", rownames(x))
    reference <- fitted(x)
    y <- projected(smallSCE(), fitted(smallSCE()))
    dashed <- smallSCE()
    rownames(dashed) <- sub("gene", "gene-", rownames(dashed))
    z <- projected(dashed, reference)
    expect_identical(isthmus:::.records(z)$projection$coverage$n_found, 20L)
    expect_equal(embeddingOf(z), embeddingOf(projected(x, reference)))
    expect_identical(
        isthmus:::.records(z)$projection$renamed[1, ],
        data.frame(object = "gene-1", model = "gene_1")
    )
    expectUntouched(z, dashed)
})

test_that("a query may have batches of its own, or none", {
    log <- localCore()
    reference <- fitted(smallSCE())
    query <- smallSCE(seed = 2L)
    query$lab <- rep(c("x", "y"), 30)
    projected(query, reference, batch = "lab")
    expect_identical(lastCall(log)$params$batch_key, "lab")
    projected(query, reference)
    expect_false("batch_key" %in% names(lastCall(log)$params))
})

test_that("a fit under the name of a projection replaces its record", {
    localCore()
    query <- projected(smallSCE(seed = 2L), fitted(smallSCE()))
    expect_null(isthmus:::.records(fitted(query))$projection)
})

test_that("a projection onto a second model leaves the first in force", {
    log <- localCore()
    first <- fitted(smallSCE())
    second <- suppressMessages(runScDREAMER(smallSCE(seed = 3L), n_features = 20, n_latent = 2))
    for (query in bothObjects(seed = 2L)) {
        y <- projected(projected(query, first), second)
        records <- isthmus:::.records(y)
        expect_identical(tolower(records$projection$name), "scdreamer")
        expect_identical(tolower(names(records$projections)), "scalex")
        for (reference in list(first, second)) {
            transferLabels(y, reference, verbose = FALSE)
            expect_length(lastCall(log)$study$assays, 0L)
            z <- lastCall(log)$study$reducedDims$embedding
            expect_identical(ncol(z), isthmusModel(reference)@provenance$settings$n_latent)
        }
        z <- projected(y, first)
        expect_identical(tolower(names(isthmus:::.projections(z))), c("scalex", "scdreamer"))
        expect_identical(embeddingOf(z), embeddingOf(y))
        # A fit takes the place of the projection of its name alone.
        z <- isthmus:::.projections(fitted(y))
        expect_identical(tolower(names(z)), "scdreamer")
    }
})

test_that("a query without a model to go by is refused", {
    localCore()
    reference <- fitted(smallSCE())
    query <- projected(smallSCE(seed = 2L), reference)
    expect_snapshot({
        refusal(projectCells(smallSCE(), smallSCE()))
        refusal(projectCells(smallSCE(), query))
        refusal(projectCells(smallSCE(), "no/such/folder"))
        refusal(projectCells(smallSCE(), reference, batch = "lab"))
        refusal(projectCells(smallSCE(), reference, 1, assay = "counts", 3))
    })
})
