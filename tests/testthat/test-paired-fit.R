# runSAILERX and runScI2CL: objects in, the same objects with an embedding out.

sumOf <- function(x) unname(Matrix::colSums(SummarizedExperiment::assay(x, "counts")))
rowsOf <- function(x, system = "SAILERX") unname(embeddingOf(x, system = tolower(system)))
runs <- list(SAILERX = runSAILERX, SCI2CL = runScI2CL)
# What the mock core makes of the cells of pairedList().
numbersOf <- function(x, system) sumOf(x$atac) + if (system == "SCI2CL") sumOf(x$rna) else 0

test_that("one object gets one embedding, and nothing else changes", {
    skip_if(requireNamespace("Signac", quietly = TRUE), "Signac is installed")
    log <- localCore(core = mockPaired)
    for (system in names(runs)) {
        expected <- numbersOf(pairedList(), system)
        given <- list(
            list(x = glueAlt(), rna = "main", atac = "ATAC"),
            list(x = glueSeurat(), rna = "RNA", atac = "peaks"),
            list(x = glueSeurat(foreign = TRUE), rna = "RNA", atac = "peaks")
        )
        for (one in given) {
            y <- paired(runs[[system]], one$x, rna = one$rna, atac = one$atac, batch = "donor")
            expect_identical(pairedBare(y), pairedBare(one$x))
            expect_equal(rowsOf(y, system), outer(expected, 1:3))
            expect_identical(isthmusModel(y)@system, tolower(system))
            expect_identical(isthmusModel(y)@provenance$places, c(rna = one$rna, atac = one$atac))
            expect_identical(lastCall(log)$params$batch_key, list(rna = "donor", atac = "donor"))
            expect_identical(names(lastCall(log)$study$studies), c("rna", "atac"))
        }
        key <- tolower(system)
        expect_identical(colnames(embeddingOf(y, system = key)), paste0(key, "_", 1:3))
        expect_identical(attr(y@reductions[[1]], "assay.used"), "peaks")
        expect_match(names(y@commands), "RNA[.]peaks$")
        # Fitted again, its own results are replaced.
        again <- paired(runs[[system]], y, atac = "peaks", seed = 1)
        expect_identical(isthmusModel(again)@provenance$seed, 1L)
        expect_identical(names(again@reductions), tolower(system))
    }
})

test_that("lists, a MultiAssayExperiment and paths get the embedding in each of their objects", {
    log <- localCore(core = mockPaired)
    for (system in names(runs)) {
        given <- pairedList()
        expected <- outer(numbersOf(given, system), 1:3)
        paths <- file.path(withr::local_tempdir(), c("rna.rds", "atac.rds"))
        for (i in 1:2) saveRDS(given[[i]], paths[i])
        forms <- list(rev(given), c(rna = paths[1], atac = paths[2]), c(given, list(other = 1)))
        for (x in forms) {
            y <- paired(runs[[system]], x)
            expect_identical(names(y), names(x))
            for (name in c("rna", "atac")) {
                expect_identical(pairedBare(y[[name]]), pairedBare(given[[name]]))
                expect_equal(rowsOf(y[[name]], system), expected)
                expect_identical(isthmusModel(y[[name]])@provenance$modalities, c(rna = 20L, atac = 20L))
            }
        }
        mae <- paired(runs[[system]], pairedMAE())
        expect_equal(rowsOf(mae[["atac"]], system), expected)
        expect_identical(pairedBare(mae[["rna"]]), pairedBare(given$rna))
        expect_identical(isthmusModel(mae)@manifest, isthmusModel(mae[["rna"]])@manifest)
        expect_identical(mae[["adt"]], pairedMAE()[["adt"]])
        named <- paired(runs[[system]], setNames(given, c("GEX", "peaks")), rna = "GEX", atac = "peaks")
        expect_equal(rowsOf(named$peaks, system), expected)
        expect_identical(names(lastCall(log)$study$studies), c("rna", "atac"))
    }
    path <- withr::local_tempfile(fileext = ".rds")
    saveRDS(glueAlt(), path)
    expect_equal(rowsOf(paired(runSAILERX, path)), rowsOf(paired(runSAILERX, glueAlt())))
})

test_that("columns that a MultiAssayExperiment alone has are taken, each cell's own, and left there", {
    log <- localCore(core = mockPaired)
    x <- pairedList()
    x$atac <- x$atac[, 20:1]
    given <- outerMAE(x)
    for (run in runs) {
        done <- paired(run, given, batch = "donor")
        studies <- lastCall(log)$study$studies
        expect_identical(lastCall(log)$params$batch_key, list(rna = "donor", atac = "donor"))
        expect_identical(as.character(studies$rna$obs$donor), x$rna$donor)
        expect_identical(rownames(studies$atac$obs), colnames(x$atac))
        expect_identical(as.character(studies$atac$obs$donor), rev(x$rna$donor))
        for (name in names(x)) expect_identical(pairedBare(done[[name]]), pairedBare(given[[name]]))
        expect_identical(SummarizedExperiment::colData(done), SummarizedExperiment::colData(given))
    }
    paired(runScI2CL, given, labels = "cell_type")
    expect_identical(
        as.character(lastCall(log)$study$studies$atac$obs$cell_type), rev(x$rna$cell_type)
    )
})

test_that("cells of one modality have no row, or are flagged", {
    localCore(core = mockPaired)
    x <- pairedList(20L, 12L)
    x$atac <- x$atac[, 12:3]
    y <- paired(runSAILERX, x)
    expect_identical(which(is.na(rowsOf(y$rna)[, 1])), c(1:2, 13:20))
    expect_equal(rowsOf(y$rna)[12:3, ], rowsOf(y$atac))
    y <- paired(runScI2CL, x)
    expect_identical(y$rna$sci2cl_measured, ifelse(1:20 %in% 3:12, "both", "rna"))
    expect_identical(y$atac$sci2cl_measured, rep("both", 10))
    expect_equal(rowsOf(y$rna, "SCI2CL")[20, 1], sumOf(x$rna)[20])
    one <- paired(runScI2CL, glueSeurat(), atac = "peaks")
    expect_identical(unname(one$sci2cl_measured), rep("both", 20))
    # The column belongs to the fit and goes with it; a user's own is kept.
    expect_identical(names(isthmus:::.records(one)), "sci2cl")
    mine <- glueAlt()
    mine$sci2cl_measured <- 1
    expect_error(paired(runScI2CL, mine), "sci2cl_measured", class = "isthmus_input_error")
})

test_that("positions of the peaks cross, from ranges, without Signac, and of alternative experiments", {
    skip_if(requireNamespace("Signac", quietly = TRUE), "Signac is installed")
    log <- localCore(core = mockPaired)
    paired(runSAILERX, glueSeurat(foreign = TRUE), atac = "peaks")
    var <- lastCall(log)$study$studies$atac$var
    expect_identical(unlist(var[2, 1:3], use.names = FALSE), c("chr2", "1000", "1200"))
    x <- glueAlt()
    SummarizedExperiment::rowRanges(SingleCellExperiment::altExp(x, "ATAC")) <- setNames(
        GenomicRanges::GRanges("chr5", IRanges::IRanges(1:30 * 10L, width = 5L)),
        rownames(SingleCellExperiment::altExp(x, "ATAC"))
    )
    paired(runSAILERX, x)
    expect_identical(unique(as.character(lastCall(log)$study$studies$atac$var$chrom)), "chr5")
})

test_that("the reference is an embedding of the RNA by name, or a matrix, or is left to the core", {
    log <- localCore(core = mockPaired)
    sent <- function(x, ...) {
        paired(runSAILERX, x, ...)
        call <- lastCall(log)
        list(name = call$params$reference, values = call$study$studies$rna$reducedDims)
    }
    pca <- unname(SingleCellExperiment::reducedDim(glueRna(), "PCA"))
    expect_identical(sent(glueAlt()), list(name = "PCA", values = list(PCA = pca)))
    expect_identical(sent(pairedList(), reference = "pca"), list(name = "PCA", values = list(PCA = pca)))
    # Seurat writes it in small letters; without one the core computes it.
    x <- glueSeurat()
    expect_identical(sent(x, atac = "peaks"), list(name = "PCA", values = list()))
    z <- matrix(rnorm(40), 20, dimnames = list(colnames(x), c("PC_1", "PC_2")))
    reduction <- function(assay) SeuratObject::CreateDimReducObject(z, key = "PC_", assay = assay)
    attr(x, "reductions") <- list(pca = reduction("RNA"))
    expect_identical(sent(x, atac = "peaks"), list(name = "PCA", values = list(PCA = unname(z))))
    # One that was made of the ATAC is no reference of that name.
    attr(x, "reductions") <- list(pca = reduction("peaks"))
    expect_length(sent(x, atac = "peaks")$values, 0L)
    names(x@reductions) <- "scvi"
    expect_identical(sent(x, atac = "peaks", reference = "scvi")$values, list(scvi = unname(z)))
    # A matrix goes by the names of its rows, or by their order.
    byName <- sent(pairedList(), reference = z[20:1, ])
    expect_identical(byName, list(name = "given", values = list(given = unname(z))))
    expect_identical(sent(pairedList(), reference = unname(z))$values$given, unname(z))
    some <- sent(pairedList(), reference = as.data.frame(z[1:5, ]))
    expect_identical(some$values$given[5:6, 1], c(z[[5, 1]], NA))
})

test_that("unpaired cells take part, in batches of the same name or of their own", {
    log <- localCore(core = mockPaired)
    x <- pairedList()
    more <- glueAtac(8L, "new")
    y <- paired(runSAILERX, x, unpaired = more)
    expect_identical(names(lastCall(log)$study$studies), c("rna", "atac", "unpaired"))
    expect_identical(tail(isthmusModel(y)@cells, 8L), colnames(more))
    expect_identical(isthmusModel(y)@provenance$modalities, c(rna = 20L, atac = 28L))
    expect_null(lastCall(log)$params$batch_key)
    obs <- function(...) {
        paired(runSAILERX, unpaired = more, ...)
        lapply(lastCall(log)$study$studies[c("atac", "unpaired")], `[[`, "obs")
    }
    both <- obs(x, batch = "donor")
    expect_identical(both$unpaired$donor, factor(more$donor))
    own <- obs(x, batch = list(atac = "donor"))
    expect_identical(as.character(own$unpaired$donor), rep("unpaired", 8))
    along <- obs(glueAlt(), batch = glueAlt()$donor)
    expect_identical(as.character(along$unpaired$batch_values), rep("unpaired", 8))
    named <- obs(x, batch = list(atac = "donor", unpaired = rep(c("u", "v"), 4)))
    expect_identical(as.character(named$unpaired$donor), rep(c("u", "v"), 4))
    other <- obs(x, batch = list(unpaired = rep(c("u", "v"), 4)))
    expect_identical(as.character(other$atac$batch_values), rep("paired", 20))
    # Of an object with both, its ATAC; its cells have names of their own.
    x <- lapply(x, function(one) {
        colnames(one) <- paste0("z", seq_len(ncol(one)))
        one
    })
    paired(runSAILERX, setNames(x, c("RNA", "peaks")), rna = "RNA", atac = "peaks", unpaired = glueSeurat())
    expect_identical(rownames(lastCall(log)$study$studies$unpaired$var), rownames(glueAtac()))
})

test_that("labels are said to be used, and only where they are named", {
    log <- localCore(core = mockPaired)
    x <- pairedList()
    y <- paired(runScI2CL, x, labels = "cell_type")
    expect_identical(lastCall(log)$params$labels_key, "cell_type")
    expect_identical(isthmusModel(y)@provenance$labels, "cell_type")
    expect_null(isthmusModel(paired(runScI2CL, x))@provenance$labels)
    expect_false("labels_key" %in% names(lastCall(log)$params))
    # Columns of two names are one in the core.
    x$atac$type <- x$atac$cell_type
    paired(runScI2CL, x, labels = list(rna = "cell_type", atac = "type"))
    expect_identical(names(lastCall(log)$study$studies$atac$obs), "cell_type")
    paired(runScI2CL, glueAlt(), labels = rep(c("a", NA), 10))
    expect_identical(lastCall(log)$params$labels_key, "label_values")
})

test_that("a model travels with its object, through saveRDS, and through folders", {
    localCore(core = mockPaired)
    place <- file.path(withr::local_tempdir(), "model")
    model <- isthmusModel(paired(runSAILERX, pairedList(), batch = "donor", model_dir = place))
    loaded <- loadModel(place)
    expect_identical(loaded@provenance$modalities, model@provenance$modalities)
    expect_identical(loaded@features, model@features)
    path <- withr::local_tempfile(fileext = ".rds")
    saveRDS(paired(runSAILERX, glueSeurat(), atac = "peaks"), path)
    expect_identical(isthmusModel(readRDS(path))@system, "sailerx")
    model@provenance$time <- "2026-01-01T00:00:00Z"
    model@archive <- list()
    model@folder <- "a folder"
    expect_snapshot(model)
})

test_that("what cannot be used is refused before anything runs, and nothing changes", {
    log <- localCore(core = mockPaired)
    x <- pairedList()
    taken <- x
    SingleCellExperiment::reducedDim(taken$atac, "SAILERX") <- matrix(0, 20, 2)
    nameless <- x
    colnames(nameless$atac) <- NULL
    copy <- unserialize(serialize(x, NULL))
    expect_snapshot({
        refusal(runSAILERX(x$rna))
        refusal(runSAILERX(glueSeurat()))
        refusal(runSAILERX(glueSeurat(), rna = "peaks", atac = "peaks"))
        refusal(runSAILERX(x, rna = "GEX"))
        refusal(runSAILERX(unname(x)))
        refusal(runSAILERX(x, atac = c("a", "b")))
        refusal(runSAILERX(list(rna = x$rna, atac = matrix(1, 2, 2))))
        refusal(runSAILERX(nameless))
        refusal(runSAILERX(matrix(1, 2, 2)))
        refusal(runSAILERX(x, reference = "scVI"))
        refusal(runSAILERX(x, reference = matrix(1, 3, 2)))
        refusal(runSAILERX(x, reference = "PCA", unpaired = matrix(1, 2, 2)))
        refusal(runSAILERX(x, batch = "sample"))
        refusal(runSAILERX(x, batch = list(RNA = "donor")))
        refusal(runSAILERX(taken))
        refusal(runSAILERX(x, batch_key = "donor"))
        refusal(runScI2CL(x, labels = "type"))
        refusal(runScI2CL(x, data = 1))
    })
    expect_length(log$calls, 0L)
    expect_identical(x, copy)
})
