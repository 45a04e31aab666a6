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
    expectSameNumbers(embeddingOf(quickly(path)), embeddingOf(quickly(x)))
})

test_that("a Seurat object goes to an h5ad file and back as SCE", {
    skip_if_no_core()
    x <- quickly(simulatedSeurat())
    path <- withr::local_tempfile(fileext = ".h5ad")
    expect_warning(suppressMessages(writeStudy(x, path)), "the fitted model \"scalex\"")
    y <- suppressMessages(readStudy(path))
    expect_identical(dimnames(y), list(rownames(x), colnames(x)))
    expect_identical(as.character(y$cell_type), as.character(unname(x$cell_type)))
    expect_equal(unname(embeddingOf(y, "scalex")), unname(embeddingOf(x)), tolerance = 1e-6)
})

# Nothing but counts and cell data, so that nothing is left out of a file.
bareSCE <- function() {
    x <- smallSCE()
    S4Vectors::metadata(x) <- list()
    SummarizedExperiment::assay(x, "logcounts") <- NULL
    SingleCellExperiment::reducedDims(x) <- list()
    x
}

# A file that Python has changed, as code says of the AnnData `a`.
changedFile <- function(path, code) {
    reticulate::py_run_string(paste(
        "import anndata", sprintf("a = anndata.read_h5ad(r'%s')", path), code,
        sprintf("a.write_h5ad(r'%s')", path), "del a",
        sep = "\n"
    ))
}

test_that("counts that Python keeps in a layer and their logarithms both come back", {
    skip_if_no_bridge("inprocess")
    x <- bareSCE()
    path <- withr::local_tempfile(fileext = ".h5ad")
    writeStudy(x, path, verbose = FALSE)
    changedFile(path, "a.layers['counts'] = a.X.copy()\na.X = a.X.log1p()")
    expect_silent(y <- readStudy(path, verbose = FALSE))
    counts <- SummarizedExperiment::assay(x, "counts")
    expect_setequal(SummarizedExperiment::assayNames(y), c("counts", "X"))
    expect_equal(SummarizedExperiment::assay(y, "counts"), counts)
    expect_equal(SummarizedExperiment::assay(y, "X"), log1p(counts))
    changedFile(path, "del a.layers['counts']")
    expect_warning(y <- readStudy(path, verbose = FALSE), "'counts' does not hold whole numbers")
    expect_identical(SummarizedExperiment::assayNames(y), "X")
})

test_that("R says in its own words which names it changed", {
    skip_if_no_bridge("inprocess")
    path <- withr::local_tempfile(fileext = ".h5ad")
    writeStudy(bareSCE(), path, verbose = FALSE)
    changedFile(path, "a.var_names = ['A', 'A', *a.var_names[2:]]")
    words <- capture_warnings(y <- readStudy(path, verbose = FALSE))
    expect_identical(words, "1 feature name was changed, because names must be unique: \"A\" is now \"A-1\".")
    expect_identical(rownames(y)[1:3], c("A", "A-1", "gene3"))
})

test_that("columns of every kind are written, dates and times as text", {
    skip_if_no_core()
    x <- bareSCE()
    table <- columnKinds(ncol(x))
    table <- table[setdiff(names(table), grep("/", names(table), value = TRUE))]
    table$none <- rep(NA_character_, ncol(x))
    rownames(table) <- colnames(x)
    SummarizedExperiment::colData(x) <- S4Vectors::DataFrame(table)
    SingleCellExperiment::altExp(x, "ADT") <- x[1:3, ]
    path <- withr::local_tempfile(fileext = ".h5ad")
    writeStudy(x, path, verbose = FALSE)
    y <- readStudy(path, verbose = FALSE)
    for (one in list(y, SingleCellExperiment::altExp(y, "ADT"))) {
        expect_identical(as.character(one$dateNA), as.character(table$dateNA))
        expect_identical(as.character(one$time)[1], "2024-03-31T03:29:59.250000+02:00")
        expect_identical(as.character(one$characterNA), table$characterNA)
        expect_true(all(is.na(one$none)))
        for (name in c("logicalNA", "integerNA", "doubleNA", "factorNA", "ordered")) {
            expect_identical(one[[name]], table[[name]], info = name)
        }
    }
})

test_that("names that an h5ad file cannot hold are refused and no file is written", {
    skip_if_no_core()
    folder <- withr::local_tempdir()
    write <- function(x) refusal(writeStudy(x, file.path(folder, "x.h5ad"), verbose = FALSE))
    assay <- reduced <- other <- column <- bareSCE()
    name <- "a/b"
    SummarizedExperiment::assay(assay, name) <- SummarizedExperiment::assay(assay)
    SingleCellExperiment::reducedDim(reduced, name) <- matrix(0, ncol(reduced), 2)
    SingleCellExperiment::altExp(other, name) <- bareSCE()
    column[["_index"]] <- 1
    seurat <- smallSeurat()
    slot(seurat, "assays")[[name]] <- slot(seurat, "assays")[["RNA"]]
    expect_snapshot({
        write(assay)
        write(reduced)
        write(other)
        write(seurat)
        write(column)
    })
    expect_identical(list.files(folder, all.files = TRUE, no.. = TRUE), character())
})
