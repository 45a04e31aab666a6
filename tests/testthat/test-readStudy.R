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
    S4Vectors::metadata(x) <- list()
    path <- withr::local_tempfile(fileext = ".h5ad")
    expect_silent(writeStudy(x, path))
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

test_that("what is left out of an h5ad file is named, once", {
    localCore()
    path <- withr::local_tempfile(fileext = ".h5ad")
    left <- function(x) {
        words <- capture_warnings(writeStudy(x, path, overwrite = TRUE))
        expect_length(words, 1L)
        words
    }
    sce <- smallSCE()
    expect_match(left(sce), "\"note\" in metadata(x).", fixed = TRUE)
    S4Vectors::metadata(sce) <- list(1)
    expect_match(left(sce), "\"(no name)\" in metadata(x).", fixed = TRUE)
    S4Vectors::metadata(sce) <- list()
    paired <- sce
    SingleCellExperiment::colPair(paired, "near") <- S4Vectors::SelfHits(1, 2, nnode = ncol(paired))
    SingleCellExperiment::rowPair(paired, "linked") <- S4Vectors::SelfHits(1, 2, nnode = nrow(paired))
    SingleCellExperiment::altExp(paired, "other") <- SummarizedExperiment::SummarizedExperiment(
        list(counts = SingleCellExperiment::counts(sce)[1:3, ]), metadata = list(unit = "reads")
    )
    expect_match(left(paired), "\"near\" in colPairs(x); \"linked\" in rowPairs(x);", fixed = TRUE)
    expect_match(left(paired), "\"other\" in the metadata of", fixed = TRUE)
    fitted <- runSCALEX(sce, n_features = 20, verbose = FALSE)
    expect_match(left(fitted), "the fitted model \"SCALEX\", which saveModel()", fixed = TRUE)
    expect_no_match(left(fitted), "metadata")
    seurat <- smallSeurat()
    expect_silent(writeStudy(seurat, path, overwrite = TRUE))
    slot(seurat, "misc")$colours <- "red"
    words <- left(runSCALEX(seurat, n_features = 20, verbose = FALSE))
    expect_match(words, "\"colours\" in misc; the fitted model \"scalex\"", fixed = TRUE)
    slot(seurat, "misc") <- list()
    near <- SeuratObject::as.Graph(Matrix::sparseMatrix(
        1, 2, x = 1, dims = rep(ncol(seurat), 2), dimnames = list(colnames(seurat), colnames(seurat))
    ))
    SeuratObject::DefaultAssay(near) <- SeuratObject::DefaultAssay(seurat)
    seurat[["RNA_nn"]] <- near
    expect_match(left(seurat), "h5ad file: \"RNA_nn\" in graphs.", fixed = TRUE)
    rds <- withr::local_tempfile(fileext = ".rds")
    expect_silent(writeStudy(fitted, rds))
    expect_identical(isthmusModel(rds), isthmusModel(fitted))
})

test_that("a MultiAssayExperiment in an rds file is read, and refused where one object is needed", {
    skip_if_not_installed("MultiAssayExperiment")
    log <- localCore()
    x <- smallSCE()
    several <- MultiAssayExperiment::MultiAssayExperiment(list(rna = x, atac = x))
    path <- withr::local_tempfile(fileext = ".rds")
    saveRDS(several, path)
    expect_identical(names(readStudy(path)), c("rna", "atac"))
    # A verb of several modalities looks for them in it.
    expect_error(runSAILERX(path, rna = "gene"), "rna, atac", class = "isthmus_input_error")
    reference <- runSCALEX(x, n_features = 20, verbose = FALSE)
    calls <- length(log$calls)
    refused <- list(
        function() runSCALEX(path), function() runScDREAMER(path, batch = "donor"),
        function() projectCells(path, reference), function() transferLabels(path, reference),
        function() predictLabels(path, reference), function() imputeAssay(path, model = reference),
        function() geneActivity(path, model = reference), function() checkLabels(path, "cell_type"),
        function() runSAILERX(several, unpaired = path), function() makeMetacells(path, 10)
    )
    for (call in refused) {
        expect_error(call(), "give one of its experiments", class = "isthmus_input_error")
    }
    expect_length(log$calls, calls)
})

test_that("names that stand more than once get a number, and that is said", {
    finish <- function(names) {
        rownames(isthmus:::.finishFrame(list(names = names, columns = list()), "feature"))
    }
    expect_silent(expect_identical(finish(c("A", "B")), c("A", "B")))
    expect_warning(
        expect_identical(finish(c("A", "A", "B")), c("A", "A-1", "B")),
        "1 feature name was changed, because names must be unique: \"A\" is now \"A-1\"[.]"
    )
    expect_warning(
        expect_identical(finish(c("A", "B", "A", "A", "B")), c("A", "B", "A-1", "A-2", "B-1")),
        "3 feature names were changed"
    )
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
