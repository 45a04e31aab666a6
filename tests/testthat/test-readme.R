# What the README shows runs as it is typed there.

readmeBlocks <- function() {
    here <- test_path("..", "..", "README.md")
    path <- if (file.exists(here)) here else system.file("README.md", package = "isthmus")
    skip_if(!nzchar(path), "no README.md beside the tests or in the package")
    lines <- readLines(path, encoding = "UTF-8")
    starts <- which(lines == "```r")
    ends <- which(lines == "```")
    blocks <- lapply(starts, function(start) lines[(start + 1L):(min(ends[ends > start]) - 1L)])
    # The block that installs is not run.
    Filter(function(block) !any(grepl("install.packages", block, fixed = TRUE)), blocks)
}

test_that("the quick start runs as typed, for SingleCellExperiment and Seurat", {
    skip_if_no_core()
    skip_if_not_installed("SeuratObject")
    withr::local_dir(withr::local_tempdir())
    blocks <- readmeBlocks()
    expect_length(blocks, 4L)
    shown <- new.env(parent = globalenv())
    output <- capture.output(suppressMessages(suppressWarnings(for (block in blocks) {
        eval(parse(text = block, encoding = "UTF-8"), shown)
    })))
    expect_true(any(grepl("truth", output)))
    expect_gt(mean(shown$query$scalex_label == shown$query$cell_type), 0.8)
    expect_identical(rownames(embeddingOf(shown$reference)), colnames(shown$reference))
    expect_true("SCALEX" %in% c(
        SingleCellExperiment::altExpNames(shown$reference),
        SummarizedExperiment::assayNames(shown$reference)
    ))
    expect_identical(isthmusModel(readRDS("reference.rds"))@cells, colnames(shown$reference))
    expect_identical(loadModel("reference-model")@cells, colnames(shown$reference))
    expect_identical(dim(embeddingOf(shown$seurat)), c(ncol(shown$cells), 10L))
    expect_identical(dim(SingleCellExperiment::reducedDim(shown$sim[["atac"]], "GLUE")), c(300L, 50L))
    expect_false(anyNA(SingleCellExperiment::reducedDim(shown$both[["atac"]], "SAILERX")))
    expect_false(anyNA(SingleCellExperiment::reducedDim(shown$both[["rna"]], "SCI2CL")))
})
