# .asStudy: what goes to the core, and what is refused before anything starts.

asStudy <- function(...) isthmus:::.asStudy(...)

test_that("an SCE and a Seurat object give the same study", {
    objects <- bothObjects()
    sce <- asStudy(objects$sce, batch = "donor")
    seurat <- asStudy(objects$seurat, batch = "donor")
    expect_identical(sce$obs, seurat$obs)
    expect_identical(sce$var, seurat$var)
    expect_identical(unname(as.matrix(sce$assays[[1]])), unname(as.matrix(seurat$assays[[1]])))
    expect_identical(sce$main, "counts")
    expect_identical(levels(sce$obs$donor), c("a", "b"))
})

test_that("the assay matrix crosses as it is, without a copy of its names", {
    x <- smallSCE()
    study <- asStudy(x)
    expect_identical(study$assays$counts, SummarizedExperiment::assay(x, "counts", withDimnames = FALSE))
    expect_identical(rownames(study$var), rownames(x))
    expect_identical(ncol(study$obs), 0L)
})

test_that("log-normalised values come from their own assay or layer", {
    objects <- bothObjects()
    expect_identical(asStudy(objects$sce, values = "lognorm")$main, "logcounts")
    normalised <- objects$seurat
    skip_if_not_installed("Seurat")
    normalised <- Seurat::NormalizeData(normalised, verbose = FALSE)
    expect_identical(asStudy(normalised, values = "lognorm")$main, "data")
})

test_that("objects read from h5ad files are known by their X", {
    x <- smallSCE()
    SummarizedExperiment::assays(x) <- list(X = SummarizedExperiment::assay(x, "counts"))
    expect_identical(asStudy(x)$main, "X")
})

test_that("a batch may be a column, a vector, or a vector named by the cells", {
    for (x in bothObjects()) {
        expected <- asStudy(x, batch = "donor")$obs$donor
        donor <- as.character(if (is(x, "SingleCellExperiment")) x$donor else x$donor)
        plain <- asStudy(x, batch = unname(donor))
        expect_identical(plain$obs$batch_values, expected)
        expect_identical(plain$batch, "batch_values")
        shuffled <- rev(setNames(donor, colnames(x)))
        expect_identical(asStudy(x, batch = shuffled)$obs$batch_values, expected)
    }
})

test_that("where one name is a cell, all of them are names", {
    for (x in bothObjects()) {
        donor <- setNames(as.character(x$donor), colnames(x))
        foreign <- rev(donor)
        names(foreign)[1] <- "elsewhere"
        study <- asStudy(x, batch = c(rev(donor), elsewhere = "c"), labels = foreign)
        expect_identical(as.character(study$obs$batch_values), unname(donor))
        expect_identical(as.character(study$obs$label_values), c(unname(donor)[-60], NA))
        expect_error(
            asStudy(x, batch = foreign), "NA for 1 of 60 cells: cell60", class = "isthmus_input_error"
        )
        numbered <- setNames(donor, paste0("row", 1:60))
        expect_identical(as.character(asStudy(x, batch = numbered)$obs$batch_values), unname(donor))
    }
})

test_that("batches may be compressed as Bioconductor does", {
    x <- smallSCE()
    expected <- asStudy(x, batch = x$donor)$obs
    expect_identical(asStudy(x, batch = S4Vectors::Rle(x$donor))$obs, expected)
})

test_that("cell names that occur twice are refused in the same words by every verb", {
    localCore()
    x <- suppressMessages(runSCALEX(smallSCE(), batch = "donor", n_features = 20, n_latent = 3))
    twice <- BiocGenerics::cbind(x, x)
    path <- withr::local_tempfile(fileext = ".h5ad")
    for (verb in list(
        function() transferLabels(twice, x), function() imputeAssay(twice),
        function() checkLabels(twice), function() writeStudy(twice, path), function() makeMetacells(twice, 10)
    )) {
        expect_error(verb(), "cell names that are unique", class = "isthmus_input_error")
    }
})

test_that("levels without cells are no batches", {
    x <- smallSCE()
    x$donor <- factor(x$donor, levels = c("none", "b", "a"))
    expect_identical(levels(asStudy(x, batch = "donor")$obs$donor), c("b", "a"))
})

test_that("cells without names get numbers inside the study only", {
    x <- smallSCE()
    colnames(x) <- NULL
    expect_identical(rownames(asStudy(x)$obs)[1:2], c("cell1", "cell2"))
})

test_that("bad input is refused with expected, found and remedy", {
    x <- smallSCE()
    expect_snapshot({
        refusal(asStudy(x, batch = "lab"))
        refusal(asStudy(x, batch = c("donor", "cell_type")))
        refusal(asStudy(x, batch = c("a", "b", "c")))
        refusal(asStudy(x, batch = list("donor")))
        refusal(asStudy(x, assay = "spliced"))
        refusal(asStudy(x[, 0]))
        refusal(asStudy(x[0, ]))
    })
    missing <- x
    missing$donor[c(3, 5)] <- NA
    twice <- x
    rownames(twice)[2] <- "gene1"
    cells <- x
    colnames(cells)[4:6] <- c("cell1", "cell2", "cell2")
    nameless <- x
    rownames(nameless) <- NULL
    unnamed <- SingleCellExperiment::SingleCellExperiment(list(SummarizedExperiment::assay(x, "counts")))
    matrixColumn <- x
    matrixColumn$donor <- matrix(1, ncol(x), 2)
    expect_snapshot({
        refusal(asStudy(missing, batch = "donor"))
        refusal(asStudy(twice))
        refusal(asStudy(cells))
        refusal(asStudy(nameless))
        refusal(asStudy(unnamed))
        refusal(asStudy(unnamed, values = "lognorm"))
        refusal(asStudy(matrixColumn, batch = "donor"))
    })
    SummarizedExperiment::assayNames(unnamed) <- "counts"
    expect_identical(asStudy(unnamed)$main, "counts")
})

test_that("other classes are refused with a way on", {
    expect_snapshot({
        refusal(runSCALEX(matrix(1, 2, 2)))
        refusal(projectCells(list(), NULL))
        refusal(transferLabels(1L, NULL))
        refusal(imputeAssay(NULL))
        refusal(isthmusModel(data.frame()))
    })
})
