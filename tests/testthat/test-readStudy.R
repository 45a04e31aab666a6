test_that("an rds file gives back the object it holds", {
    for (x in bothObjects()) {
        path <- withr::local_tempfile(fileext = ".rds")
        expect_identical(writeStudy(x, path), path)
        expect_identical(readStudy(path), x)
    }
})

test_that("an h5ad file goes through the core with everything in it", {
    localCore()
    x <- smallSCE()
    path <- withr::local_tempfile(fileext = ".h5ad")
    writeStudy(x, path)
    y <- readStudy(path)
    expect_identical(dimnames(y), dimnames(x))
    expect_identical(SummarizedExperiment::colData(y), SummarizedExperiment::colData(x))
    expect_identical(SummarizedExperiment::assay(y, "logcounts"), SummarizedExperiment::assay(x, "logcounts"))
    expect_identical(embeddingOf(y, "PCA"), embeddingOf(x, "PCA"))
})

test_that("a Seurat object is written with its assays, reductions and cell data", {
    log <- localCore()
    x <- smallSeurat()
    parts <- smallCounts(nGenes = 40L, seed = 4L)
    x[["ADT"]] <- SeuratObject::CreateAssayObject(parts$counts)
    z <- matrix(0.5, ncol(x), 2, dimnames = list(colnames(x), paste0("PC_", 1:2)))
    x[["pca"]] <- SeuratObject::CreateDimReducObject(z, key = "PC_", assay = "RNA")
    path <- withr::local_tempfile(fileext = ".h5ad")
    writeStudy(x, path)
    y <- readStudy(path)
    expect_identical(dimnames(y), list(rownames(x), colnames(x)))
    expect_identical(y$donor, unname(x$donor))
    expect_identical(SingleCellExperiment::altExpNames(y), "ADT")
    expect_equal(embeddingOf(y, "pca"), z)
})

test_that("existing and impossible files are refused", {
    path <- withr::local_tempfile(fileext = ".rds")
    saveRDS(1, path)
    expect_error(writeStudy(smallSCE(), path), class = "isthmus_input_error")
    expect_error(readStudy(path), "object of class \"numeric\"")
    expect_snapshot({
        refusal(readStudy("cells.csv"))
        refusal(readStudy("no-such-file.h5ad"))
        refusal(writeStudy(list(), "x.rds"))
        refusal(writeStudy(smallSCE(), NA_character_))
    })
    expect_identical(list.files(dirname(path), "^[.]isthmus-", all.files = TRUE), character())
})
