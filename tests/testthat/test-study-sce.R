test_that("imputed values go to an assay when they cover all rows, in any order", {
    x <- smallSCE()
    values <- matrix(
        as.numeric(seq_len(prod(dim(x)))), nrow(x), dimnames = dimnames(x)
    )
    y <- isthmus:::.putImputedSCE(x, values[rev(rownames(x)), ], "SCALEX")
    expect_identical(SummarizedExperiment::assay(y, "SCALEX"), values)
})

test_that("imputed values of some features go to an alternative experiment", {
    x <- smallSCE()
    values <- matrix(1, 3, ncol(x), dimnames = list(rownames(x)[c(5, 1, 9)], NULL))
    y <- isthmus:::.putImputedSCE(x, values, "SCALEX")
    other <- SingleCellExperiment::altExp(y, "SCALEX")
    expect_identical(rownames(other), rownames(x)[c(5, 1, 9)])
    expect_identical(colnames(other), colnames(x))
    expectUntouched(y, x)
})

test_that("a study becomes an SCE with its tables, reductions and alternatives", {
    x <- smallSCE()
    x$day <- as.Date("2026-01-01") + seq_len(ncol(x))
    SingleCellExperiment::altExp(x, "other") <- smallSCE(nGenes = 40L, seed = 3L)
    y <- isthmus:::.sceFromStudy(isthmus:::.wholeStudySCE(x))
    expect_identical(SummarizedExperiment::colData(y), SummarizedExperiment::colData(x))
    expect_identical(SummarizedExperiment::assayNames(y), c("counts", "logcounts"))
    expect_identical(SummarizedExperiment::assay(y, "counts"), SummarizedExperiment::assay(x, "counts"))
    expect_identical(SingleCellExperiment::reducedDim(y, "PCA"), SingleCellExperiment::reducedDim(x, "PCA"))
    expect_identical(dim(SingleCellExperiment::altExp(y, "other")), c(40L, 60L))
})

test_that("feature columns with names that genomic ranges reserve are renamed and said", {
    x <- smallSCE()
    study <- isthmus:::.wholeStudySCE(x)
    study$var$strand <- "+"
    study$var$symbol <- rownames(study$var)
    expect_message(y <- isthmus:::.sceFromStudy(study), "strand")
    expect_identical(names(SummarizedExperiment::rowData(y)), c("feature_strand", "symbol"))
    expect_identical(dim(y[1:3, 1:2]), c(3L, 2L))
})
