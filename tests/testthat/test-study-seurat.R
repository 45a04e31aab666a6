# Seurat 4 and 5: layers, foreign assays, keys, names.

seuratMatrix <- function(...) isthmus:::.seuratMatrix(...)

test_that("missing assays and layers are refused with what there is", {
    x <- smallSeurat()
    expect_snapshot({
        refusal(seuratMatrix(x, assay = "ADT"))
        refusal(seuratMatrix(x, layer = "spliced"))
        refusal(isthmus:::.asStudy(x, batch = "lab"))
    }, transform = function(lines) sub("counts, data", "counts", lines))
})

test_that("split layers are joined on a copy and their parts are the batches", {
    x <- smallSeurat(split = TRUE)
    before <- x
    whole <- smallSeurat()
    part <- seuratMatrix(x)
    expect_identical(colnames(part$matrix), colnames(x))
    expect_identical(
        as.matrix(part$matrix)[rownames(whole), ], as.matrix(seuratMatrix(whole)$matrix)
    )
    expect_identical(part$split, setNames(whole$donor, colnames(whole)))
    study <- isthmus:::.asStudy(x, splitIsBatch = TRUE)
    expect_identical(as.character(study$obs$batch_values), unname(whole$donor))
    expect_identical(x, before)
})

test_that("a Seurat 5 assay with fewer cells than the object is read and written by name", {
    skip_if(!seuratFive(), "SeuratObject 5 is not installed")
    x <- smallSeurat()
    some <- colnames(x)[c(10, 2, 30, 31)]
    parts <- smallCounts()
    x[["ADT"]] <- SeuratObject::CreateAssay5Object(parts$counts[1:20, some])
    study <- isthmus:::.asStudy(x, assay = "ADT", batch = "donor")
    expect_setequal(rownames(study$obs), some)
    expect_identical(
        as.character(study$obs$donor), unname(x$donor[rownames(study$obs)])
    )
})

test_that("BPCells matrices are refused", {
    m <- smallCounts()$counts
    attr(m, "class") <- structure("MatrixSubset", package = "BPCells")
    expect_snapshot(refusal(isthmus:::.refuseBPCells(m, "RNA")))
})

# An object saved with Signac, opened without it: only the class attribute tells.
withForeignAssay <- function() {
    x <- smallSeurat()
    peaks <- SeuratObject::CreateAssayObject(smallCounts(seed = 9L)$counts)
    attr(peaks, "key") <- "peaks_"
    attr(peaks, "class") <- structure("ChromatinAssay", package = "Signac")
    assays <- attr(x, "assays")
    assays$peaks <- peaks
    attr(x, "assays") <- assays
    x
}

test_that("an assay of a package that is not installed can be read and stays untouched", {
    skip_if_not_installed("SeuratObject")
    skip_if(requireNamespace("Signac", quietly = TRUE), "Signac is installed")
    x <- withForeignAssay()
    log <- localCore()
    y <- suppressMessages(runSCALEX(x, batch = "donor", assay = "peaks", n_features = 5, n_latent = 2))
    expect_identical(lastCall(log)$study$main, "counts")
    expect_identical(attr(attr(y, "reductions")$scalex, "assay.used"), "peaks")
    expect_identical(attr(y, "assays"), attr(x, "assays"))
    z <- suppressMessages(runSCALEX(x, batch = "donor", n_features = 5, n_latent = 2))
    imputed <- suppressMessages(imputeAssay(z))
    expect_identical(attr(imputed, "assays")[c("RNA", "peaks")], attr(x, "assays"))
})

test_that("keys and names that are taken are refused", {
    x <- smallSeurat()
    z <- matrix(0, ncol(x), 2, dimnames = list(colnames(x), paste0("scalex_", 1:2)))
    x[["harmony"]] <- SeuratObject::CreateDimReducObject(z, key = "scalex_", assay = "RNA")
    expect_snapshot({
        refusal(runSCALEX(x, batch = "donor"))
        refusal(runSCALEX(x, batch = "donor", reduction.name = "harmony"))
        refusal(runSCALEX(x, batch = "donor", reduction.name = "RNA", reduction.key = "r_"))
        refusal(runSCALEX(x, batch = "donor", reduction.key = "my_key"))
        refusal(imputeAssay(x, name = "RNA"))
    })
})

test_that("underscores of imputed features become dashes and the map is kept", {
    x <- smallSeurat()
    values <- matrix(1, 2, ncol(x), dimnames = list(c("chr1_1_2", "plain"), colnames(x)))
    y <- isthmus:::.putImputedSeurat(x, values, "SCALEX")
    expect_identical(rownames(y[["SCALEX"]]), c("chr1-1-2", "plain"))
    expect_identical(
        y@misc$isthmus$featureNames,
        data.frame(seurat = "chr1-1-2", original = "chr1_1_2")
    )
    clash <- rbind(values, "chr1-1-2" = 1)
    expect_error(isthmus:::.putImputedSeurat(x, clash, "SCALEX"), "stay unique")
})

test_that("a command is logged as Seurat logs its own, without the data of do.call()", {
    x <- smallSeurat()
    localCore()
    y <- suppressMessages(do.call("runSCALEX", list(x, batch = "donor", n_features = 5, n_latent = 2)))
    command <- slot(y, "commands")[["runSCALEX.RNA"]]
    expect_s4_class(command, "SeuratCommand")
    expect_identical(
        command@call.string, "runSCALEX(Seurat, batch = \"donor\", n_features = 5, n_latent = 2)"
    )
    expect_identical(command@params$n_latent, 2L)
    expect_output(print(command), "n_latent : 2")
})
