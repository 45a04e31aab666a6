# Models and studies that leave the session, with the real core.

test_that("a model in an rds file projects the same in a new session", {
    skip_if_no_core()
    library <- dirname(system.file(package = "isthmus"))
    skip_if_not(file.exists(file.path(library, "isthmus", "Meta")), "the package is not installed")
    x <- simulated()
    folder <- withr::local_tempdir()
    saveRDS(quickly(x), file.path(folder, "reference.rds"))
    saveRDS(x[-(1:5), ], file.path(folder, "query.rds"))
    script <- c(
        sprintf("library(isthmus, lib.loc = %s)", deparse(library)),
        sprintf("setwd(%s)", deparse(folder)),
        "query <- projectCells('query.rds', 'reference.rds', verbose = FALSE)",
        "saveRDS(SingleCellExperiment::reducedDim(query, 'SCALEX'), 'embedding.rds')"
    )
    writeLines(script, file.path(folder, "script.R"))
    status <- system2(
        file.path(R.home("bin"), "Rscript"), c("--vanilla", shQuote(file.path(folder, "script.R"))),
        stdout = FALSE, stderr = file.path(folder, "log"),
        env = sprintf("R_LIBS=%s", shQuote(paste(.libPaths(), collapse = ":")))
    )
    expect_identical(status, 0L, info = paste(readLines(file.path(folder, "log")), collapse = "\n"))
    here <- projectCells(x[-(1:5), ], readRDS(file.path(folder, "reference.rds")), verbose = FALSE)
    expect_equal(readRDS(file.path(folder, "embedding.rds")), embeddingOf(here), tolerance = 1e-6)
})

test_that("a saved model loads with everything and projects the same", {
    skip_if_no_core()
    x <- simulated()
    reference <- quickly(x)
    folder <- file.path(withr::local_tempdir(), "model")
    saveModel(reference, folder)
    loaded <- loadModel(folder)
    model <- isthmusModel(reference)
    # The saved manifest also lists the files and their checksums.
    expect_equal(
        loaded@manifest[names(loaded@manifest) != "files"], model@manifest[names(model@manifest) != "files"]
    )
    for (part in c("system", "history", "cells", "features", "archive")) {
        expect_equal(slot(loaded, part), slot(model, part))
    }
    expect_identical(
        embeddingOf(projectCells(x, folder, verbose = FALSE)),
        embeddingOf(projectCells(x, reference, verbose = FALSE))
    )
    named <- setNames(as.character(x$cell_type), colnames(x))
    expect_identical(
        transferLabels(x, loaded, labels = rev(named), verbose = FALSE)$scalex_label,
        transferLabels(x, reference, verbose = FALSE)$scalex_label
    )
})

test_that("truncated and newer model folders are refused in the core's words", {
    skip_if_no_core()
    reference <- quickly(simulated())
    folder <- withr::local_tempdir()
    truncated <- file.path(folder, "truncated")
    saveModel(reference, truncated)
    largest <- list.files(truncated, full.names = TRUE)
    largest <- largest[which.max(file.size(largest))]
    writeBin(readBin(largest, "raw", file.size(largest) / 2), largest)
    expect_error(loadModel(truncated), "Remedy", class = "isthmus_model_file_error")
    newer <- file.path(folder, "newer")
    saveModel(reference, newer)
    path <- file.path(newer, "manifest.json")
    writeLines(sub("\"format\": *1", "\"format\": 99", readLines(path, warn = FALSE)), path)
    expect_error(loadModel(newer), "Remedy", class = "isthmus_model_file_error")
    empty <- file.path(folder, "empty")
    dir.create(empty)
    expect_error(loadModel(empty), "Remedy", class = "isthmus_input_error")
})

test_that("h5ad files are written, read and run like the object", {
    skip_if_no_core()
    x <- simulated()
    x$day <- ordered(rep(c("one", "two"), length.out = ncol(x)), levels = c("two", "one"))
    for (transport in rev(transports)) {
        local_transport(transport)
        path <- withr::local_tempfile(fileext = ".h5ad")
        suppressMessages(writeStudy(x, path))
        y <- suppressMessages(readStudy(path))
        expect_identical(dimnames(y), dimnames(x))
        expect_identical(SummarizedExperiment::rowRanges(y), SummarizedExperiment::rowRanges(x))
        expect_identical(
            as.matrix(SummarizedExperiment::assay(y, "counts")),
            as.matrix(SummarizedExperiment::assay(x, "counts"))
        )
        expect_identical(
            as.data.frame(SummarizedExperiment::colData(y)), as.data.frame(SummarizedExperiment::colData(x))
        )
    }
    expect_identical(embeddingOf(quickly(path)), embeddingOf(quickly(x)))
})

test_that("a Seurat object goes to an h5ad file and back as SCE", {
    skip_if_no_core()
    x <- quickly(simulatedSeurat())
    path <- withr::local_tempfile(fileext = ".h5ad")
    suppressMessages(writeStudy(x, path))
    y <- suppressMessages(readStudy(path))
    expect_identical(dimnames(y), list(rownames(x), colnames(x)))
    expect_identical(as.character(y$cell_type), as.character(unname(x$cell_type)))
    expect_equal(unname(embeddingOf(y, "scalex")), unname(embeddingOf(x)), tolerance = 1e-6)
})
