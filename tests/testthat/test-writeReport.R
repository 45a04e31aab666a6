# The core of these tests embeds as helper-mock-core.R does, and keeps what the
# report verb was given.
reportCore <- function(verb, study, params) {
    switch(verb,
        report_inputs = list(
            before = matrix(seq_len(2 * nrow(study$obs)) / 7, nrow(study$obs)),
            markers = list(type1 = "gene1", type2 = c("gene11", "gene12"))
        ),
        report = {
            writeLines("<html>", params$file)
            list(file = params$file)
        },
        mockCore(verb, study, params)
    )
}

# The mock's coverage has other numbers than the core's.
described <- function(x) {
    records <- isthmus:::.records(x)$projection
    records$coverage <- list(n_reference = 20L, n_found = 15L, share = 0.75, weighted = 0.8, missing = "g")
    isthmus:::.setRecord(x, "projection", records)
}

both <- function(x, y) {
    reference <- suppressMessages(runSCALEX(x, batch = "donor", n_features = 20, n_latent = 3))
    query <- suppressMessages(projectCells(y, reference))
    query <- suppressMessages(transferLabels(query, reference))
    list(reference = reference, query = described(query))
}

test_that("reference and query cross as one study, whatever their classes", {
    log <- localCore(core = reportCore)
    for (x in bothObjects()) {
        for (y in bothObjects(nCells = 12L, seed = 5L)) {
            made <- both(x, y[, 12:3])
            file <- withr::local_tempfile(fileext = ".html")
            expect_identical(writeReport(made$reference, made$query, file, labels = "cell_type"), file)
            call <- lastCall(log)
            study <- call$study
            expect_identical(study$obs$role, rep(c("reference", "query"), c(60, 10)))
            expect_identical(as.character(study$obs$batch), c(as.character(x$donor), rep(NA, 10)))
            expect_identical(
                as.character(study$obs$label), unname(c(x$cell_type, made$query$scalex_label))
            )
            # Seurat 5 gives the cells in the order of the object, whatever was asked for.
            expect_identical(study$obs$truth, unname(c(rep(NA, 60), made$query$cell_type)))
            expect_identical(
                study$reducedDims$embedding,
                unname(rbind(embeddingOf(made$reference), embeddingOf(made$query)))
            )
            expect_identical(is.na(study$reducedDims$before[, 1]), rep(c(FALSE, TRUE), c(60, 10)))
            expect_identical(rownames(study$var), c("gene1", "gene11", "gene12"))
            expect_identical(call$params$coverage, list(
                n_reference = 20, n_found = 15, share = 0.75, weighted = 0.8
            ))
        }
    }
})

test_that("marker expression is log1p of counts per 10,000, NaN where not measured", {
    log <- localCore(core = reportCore)
    x <- smallSCE()
    made <- both(x, smallSCE(nCells = 9L, seed = 5L)[-11L, ])
    file <- withr::local_tempfile(fileext = ".html")
    writeReport(made$reference, made$query, file, markers = list(A = c("gene11", "gene2"), B = "nowhere"))
    found <- lastCall(log)$study$assays$X
    counts <- as.matrix(SummarizedExperiment::assay(x, "counts"))
    expected <- log1p(1e4 * sweep(counts, 2, colSums(counts), "/"))
    expect_equal(unname(found[, 1:60]), unname(rbind(expected[c("gene11", "gene2"), ], NaN)))
    counts <- as.matrix(SummarizedExperiment::assay(made$query, "counts"))
    expect_equal(found["gene2", 61:69], log1p(1e4 * counts["gene2", ] / colSums(counts)), ignore_attr = TRUE)
    expect_true(all(is.nan(found["gene11", 61:69])))
})

test_that("log-normalised values are shown as they are", {
    log <- localCore(core = reportCore)
    x <- smallSCE()
    reference <- suppressMessages(
        runSCALEX(x, batch = "donor", values = "lognorm", n_features = 20, n_latent = 3)
    )
    file <- withr::local_tempfile(fileext = ".html")
    writeReport(reference, file = file, markers = list(A = "gene3"))
    expect_equal(
        lastCall(log)$study$assays$X[1, ], SummarizedExperiment::assay(x, "logcounts")["gene3", ],
        ignore_attr = TRUE
    )
    expect_false("label" %in% names(lastCall(log)$study$obs))
    expect_null(lastCall(log)$params$coverage)
})

test_that("labels keep the user's order, and batches that were a vector are remembered", {
    log <- localCore(core = reportCore)
    x <- smallSCE()
    x$cell_type <- factor(x$cell_type, c("type3", "type1", "type2"))
    donors <- x$donor
    x$donor <- NULL
    reference <- suppressMessages(runSCALEX(x, batch = donors, n_features = 20, n_latent = 3))
    file <- withr::local_tempfile(fileext = ".html")
    writeReport(reference, file = file, labels = "cell_type")
    expect_identical(levels(lastCall(log)$study$obs$label), c("type3", "type1", "type2"))
    expect_identical(as.character(lastCall(log)$study$obs$batch), donors)
    writeReport(reference, file = file, batch = rev(donors), overwrite = TRUE)
    expect_identical(as.character(lastCall(log)$study$obs$batch), rev(donors))
})

test_that("what cannot be shown is refused before anything runs", {
    log <- localCore(core = reportCore)
    x <- smallSCE()
    made <- both(x, smallSCE(nCells = 9L))
    before <- length(log$calls)
    taken <- withr::local_tempfile(fileext = ".html")
    writeLines("mine", taken)
    expect_error(writeReport(made$reference, file = taken), "which exists", class = "isthmus_input_error")
    expect_snapshot({
        refusal(writeReport(made$reference, file = "report.pdf"))
        refusal(writeReport(x, file = "new.html"))
        refusal(writeReport(made$reference, x, file = "new.html"))
        refusal(writeReport(made$reference, file = "new.html", labels = "celltype"))
    })
    expect_length(log$calls, before)
    expect_identical(readLines(taken), "mine")
})

test_that("the real core writes a page with its pictures inside", {
    skip_if_no_core()
    x <- smallSCE(nCells = 90L)
    query <- smallSCE(nCells = 30L, seed = 2L)
    colnames(query) <- paste0("new", 1:30)
    reference <- runSCALEX(x,
        batch = "donor", max_steps = 20, n_hidden = 16, batch_size = 32, verbose = FALSE
    )
    query <- projectCells(query, reference, verbose = FALSE)
    query <- transferLabels(query, reference, labels = "cell_type", verbose = FALSE)
    file <- withr::local_tempfile(fileext = ".html")
    expect_no_warning(
        writeReport(reference, query, file, labels = "cell_type", title = "mine", facts = list(lab = "ours"))
    )
    page <- paste(readLines(file, encoding = "UTF-8"), collapse = "\n")
    expect_length(gregexpr("data:image/png;base64,", page, fixed = TRUE)[[1]], 8L)
    expect_match(page, "<h1>mine</h1>", fixed = TRUE)
    expect_match(page, "<th scope=\"row\">lab</th><td>ours</td>", fixed = TRUE)
    expect_match(page, "Against the query&#x27;s own labels|Against the query's own labels")
})
