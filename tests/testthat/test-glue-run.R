sumOf <- function(x) unname(Matrix::colSums(SummarizedExperiment::assay(x, "counts")))
glueOf <- function(x, name = "GLUE") SingleCellExperiment::reducedDim(x, name)

# The object without what isthmus added.
bare <- function(x) {
    own <- grep("^glue_.*(label|confidence)$", colnames(isthmus:::.cellData(x)), value = TRUE)
    x <- isthmus:::.removeColumns(x, own)
    if (is(x, "SingleCellExperiment")) {
        for (name in grep("^GLUE", SingleCellExperiment::reducedDimNames(x), value = TRUE)) {
            SingleCellExperiment::reducedDim(x, name) <- NULL
        }
        S4Vectors::metadata(x)$isthmus <- NULL
        return(x)
    }
    x@misc <- list()
    x@reductions <- list()
    x@commands <- list()
    x
}

test_that("a list of objects comes back with an embedding and the model in each", {
    log <- localCore(core = mockGlue)
    given <- list(atac = glueAtac(), rna = glueRna())
    done <- glued(given)
    expect_identical(names(done), c("atac", "rna"))
    for (name in names(given)) {
        expect_identical(bare(done[[name]]), bare(given[[name]]))
        z <- glueOf(done[[name]])
        expect_identical(rownames(z), colnames(given[[name]]))
        expect_identical(colnames(z), paste0("GLUE", 1:3))
        expect_equal(unname(z[, 2]), 2 * sumOf(given[[name]]), ignore_attr = TRUE)
        model <- isthmusModel(done[[name]])
        expect_identical(model@system, "glue")
        expect_identical(model@provenance$modalities, c(rna = 20L, atac = 16L))
        expect_identical(model@provenance$embeddings, setNames("GLUE", name))
    }
    # The genes come first, in whatever order the list has them.
    expect_identical(names(lastCall(log)$study$studies), c("rna", "atac"))
    expect_identical(isthmusModel(done)@cells, c(colnames(given$rna), colnames(given$atac)))
})

test_that("features' embeddings are kept beside those of the cells", {
    localCore(core = mockGlue)
    done <- glued(glueList())
    rotation <- attr(glueOf(done$atac), "rotation")
    expect_identical(colnames(rotation), paste0("GLUE", 1:3))
    expect_setequal(rownames(rotation), head(rownames(glueAtac()), -1L))
    expect_identical(unname(rotation[, 3]), 3 * nchar(rownames(rotation)))
    seurat <- glued(glueSeurat(), assays = c(rna = "RNA", atac = "peaks"), genes = glueGenes())
    expect_setequal(rownames(SeuratObject::Loadings(seurat@reductions$glue_rna)), paste0("gene", 1:29))
})

test_that("a MultiAssayExperiment keeps everything and holds the model itself", {
    localCore(core = mockGlue)
    given <- glueMAE()
    done <- glued(given)
    expect_s4_class(done, "MultiAssayExperiment")
    expect_identical(bare(done[["rna"]]), bare(given[["rna"]]))
    expect_identical(MultiAssayExperiment::sampleMap(done), MultiAssayExperiment::sampleMap(given))
    expect_identical(SummarizedExperiment::colData(done), SummarizedExperiment::colData(given))
    expect_identical(glueOf(done[["atac"]])[, ], glueOf(glued(glueList())$atac)[, ])
    expect_identical(isthmusModel(done)@manifest, isthmusModel(done[["rna"]])@manifest)
    path <- withr::local_tempfile(fileext = ".rds")
    saveRDS(done, path)
    expect_s4_class(peakGeneLinks(isthmusModel(readRDS(path)), verbose = FALSE), "GRanges")
    # Fitted again, its own results are replaced.
    again <- glued(done, seed = 1)
    expect_identical(isthmusModel(again)@provenance$seed, 1L)
})

test_that("one Seurat object gets a reduction for each of its assays", {
    skip_if(requireNamespace("Signac", quietly = TRUE), "Signac is installed")
    log <- localCore(core = mockGlue)
    for (x in list(glueSeurat(), glueSeurat(foreign = TRUE))) {
        genes <- if (is.null(attr(x@assays$peaks, "ranges"))) glueGenes()
        y <- glued(x, assays = c(atac = "peaks", rna = "RNA"), genes = genes, batch = "donor")
        expect_identical(bare(y), bare(x))
        expect_identical(names(y@reductions), c("glue_rna", "glue_atac"))
        expect_identical(attr(y@reductions$glue_atac, "assay.used"), "peaks")
        expect_identical(attr(y@reductions$glue_atac, "key"), "glueatac_")
        model <- isthmusModel(y)
        expect_identical(names(y@misc$isthmus), "glue")
        expect_identical(model@provenance$embeddings, c(rna = "glue_rna", atac = "glue_atac"))
        expect_identical(names(y@commands), "runGLUE.RNA.peaks")
        expect_identical(lastCall(log)$params$batch_key, list(rna = "donor", atac = "donor"))
        again <- glued(y, assays = c(rna = "RNA", atac = "peaks"), genes = glueGenes())
        expect_identical(names(again@reductions), c("glue_rna", "glue_atac"))
    }
})

test_that("the ranges and the annotation of a ChromatinAssay are read without Signac", {
    skip_if(requireNamespace("Signac", quietly = TRUE), "Signac is installed")
    log <- localCore(core = mockGlue)
    x <- glueSeurat(foreign = TRUE)
    glued(x, assays = c(rna = "RNA", atac = "peaks"))
    var <- lastCall(log)$study$studies$atac$var
    expect_identical(unlist(var[2, 1:3], use.names = FALSE), c("chr2", "1000", "1200"))
    genes <- lastCall(log)$study$tables$genes
    whole <- glueGenes()
    expect_identical(genes$gene_name, whole$gene_name)
    expect_identical(genes$chromStart, GenomicRanges::start(whole) - 1L)
    expect_identical(genes$chromEnd, GenomicRanges::end(whole))
})

test_that("an alternative experiment is a modality with the object's own cell data", {
    log <- localCore(core = mockGlue)
    x <- glueAlt()
    y <- glued(x, assays = c(rna = "main", atac = "ATAC"), batch = "donor", labels = x$cell_type)
    expect_identical(bare(y), bare(x))
    expect_setequal(SingleCellExperiment::reducedDimNames(y), c("PCA", "GLUE_rna", "GLUE_atac"))
    studies <- lastCall(log)$study$studies
    expect_identical(studies$atac$obs$donor, factor(x$donor))
    expect_identical(studies$atac$obs$label_values, factor(x$cell_type))
    expect_identical(isthmusModel(y)@provenance$batch, "donor")
    expect_error(glued(x, assays = c(rna = "main", atac = "ADT")), "ATAC", class = "isthmus_input_error")
})

test_that("paths are read", {
    localCore(core = mockGlue)
    paths <- file.path(withr::local_tempdir(), c("rna.rds", "atac.rds"))
    studies <- glueList()
    for (i in 1:2) saveRDS(studies[[i]], paths[i])
    expect_identical(glueOf(glued(c(rna = paths[1], atac = paths[2]))$atac), glueOf(glued(studies)$atac))
    expect_identical(glueOf(glued(list(rna = paths[1], atac = studies$atac))$rna), glueOf(glued(studies)$rna))
    whole <- withr::local_tempfile(fileext = ".rds")
    saveRDS(glueMAE(), whole)
    expect_identical(glueOf(glued(whole)[["atac"]]), glueOf(glued(glueMAE())[["atac"]]))
})

test_that("batches, labels and values are said for all modalities or by name", {
    log <- localCore(core = mockGlue)
    x <- glueList()
    glued(x, batch = "donor", values = "lognorm")
    expect_identical(lastCall(log)$params$batch_key, list(rna = "donor", atac = "donor"))
    expect_identical(lastCall(log)$params$values, list(rna = "lognorm", atac = "lognorm"))
    expect_identical(lastCall(log)$study$studies$rna$main, "logcounts")
    glued(x, batch = list(atac = x$atac$donor), labels = c(rna = "cell_type"))
    expect_identical(lastCall(log)$params$batch_key, list(atac = "batch_values"))
    expect_identical(lastCall(log)$params$labels_key, list(rna = "cell_type"))
    expect_identical(names(lastCall(log)$study$studies$rna$obs), "cell_type")
    glued(x)
    expect_false(any(c("batch_key", "labels_key", "values", "signs") %in% names(lastCall(log)$params)))
})

test_that("columns that a MultiAssayExperiment alone has are taken, each cell's own, and left there", {
    log <- localCore(core = mockGlue)
    x <- glueList()
    x$atac <- x$atac[, c(9:16, 1:8)]
    given <- outerMAE(x)
    done <- glued(given, batch = "donor", labels = "cell_type")
    expect_identical(lastCall(log)$params$batch_key, list(rna = "donor", atac = "donor"))
    for (name in names(x)) {
        obs <- lastCall(log)$study$studies[[name]]$obs
        expect_identical(rownames(obs), colnames(x[[name]]))
        expect_identical(as.character(obs$donor), x[[name]]$donor)
        expect_identical(as.character(obs$cell_type), x[[name]]$cell_type)
        expect_identical(bare(done[[name]]), bare(given[[name]]))
    }
    expect_identical(SummarizedExperiment::colData(done), SummarizedExperiment::colData(given))
    # What an experiment knows itself goes first.
    given[["atac"]]$donor <- rep(c("own", "mine"), 8)
    glued(given, batch = "donor")
    expect_identical(as.character(lastCall(log)$study$studies$atac$obs$donor), rep(c("own", "mine"), 8))
    expect_identical(as.character(lastCall(log)$study$studies$rna$obs$donor), x$rna$donor)
    expect_error(glued(given, batch = "lab"), "columns are: donor, cell_type", class = "isthmus_input_error")
})

test_that("with labels every cell of every modality gets one", {
    localCore(core = mockGlue)
    x <- glueList()
    types <- paste0("type", 1:3)
    for (given in list(x, glueMAE())) {
        done <- glued(given, labels = c(rna = "cell_type"))
        for (name in names(x)) {
            one <- done[[name]]
            expect_identical(bare(one), bare(x[[name]]))
            expect_identical(one$glue_label, rep_len(types, ncol(one)))
            expect_identical(one$glue_confidence, 1 / seq_len(ncol(one)))
            expect_identical(isthmusModel(one)@provenance$types, types)
        }
    }
    # Fitted again: replaced with labels, gone without.
    again <- glued(done, labels = c(rna = "cell_type"), seed = 1)
    expect_identical(colnames(SummarizedExperiment::colData(again[["atac"]])),
        colnames(SummarizedExperiment::colData(done[["atac"]])))
    expect_null(glued(done)[["atac"]]$glue_label)
    unknown <- x
    unknown$rna$cell_type <- NA_character_
    expect_null(glued(unknown, labels = c(rna = "cell_type"))$rna$glue_label)
})

test_that("one object gets columns of labels for each of its modalities", {
    localCore(core = mockGlue)
    assays <- c(rna = "RNA", atac = "peaks")
    y <- glued(glueSeurat(), assays = assays, genes = glueGenes(), labels = "cell_type", name = "Both")
    columns <- c("both_rna_label", "both_rna_confidence", "both_atac_label", "both_atac_confidence")
    expect_true(all(columns %in% names(y[[]])))
    expect_identical(unname(y$both_atac_label), rep_len(paste0("type", 1:3), 20L))
    expect_false(any(columns %in% names(glued(y, assays = assays, genes = glueGenes(), name = "Both")[[]])))
})

test_that("genes come as ranges, tables or paths, and settings of the graph by their names", {
    log <- localCore(core = mockGlue)
    x <- list(rna = glueRna(placed = FALSE), atac = glueAtac())
    bed <- data.frame(
        chrom = as.character(GenomicRanges::seqnames(glueGenes())),
        chromStart = GenomicRanges::start(glueGenes()) - 1L, chromEnd = GenomicRanges::end(glueGenes()),
        strand = as.character(GenomicRanges::strand(glueGenes())), gene_name = glueGenes()$gene_name
    )
    whole <- as.data.frame(glueGenes())
    imported <- c(glueGenes(), glueGenes())
    imported$type <- rep(c("gene", "exon"), each = 30)
    unnamed <- glueGenes()
    names(unnamed) <- unnamed$gene_name
    unnamed$gene_name <- NULL
    # As genes(TxDb) has ids of its own, which say nothing of the names.
    renamed <- unnamed
    renamed$gene_id <- as.character(1000 + seq_along(renamed))
    rows <- cbind(whole[names(whole) != "gene_name"], gene_id = renamed$gene_id)
    rownames(rows) <- whole$gene_name
    frames <- list(bed, whole, S4Vectors::DataFrame(whole), rows)
    for (genes in c(frames, list(glueGenes(), imported, unnamed, renamed))) {
        glued(x, genes = genes)
        sent <- lastCall(log)$study$tables$genes
        expect_equal(sent[names(bed)], bed, ignore_attr = TRUE)
        expect_null(lastCall(log)$params$genes)
    }
    # Numbers of rows are no names, also where some rows are left out.
    rownames(rows) <- NULL
    glued(x, genes = rows[-1, ])
    expect_null(lastCall(log)$study$tables$genes$gene_name)
    # Names of exons are not those of the genes that they know.
    exons <- rep(renamed, each = 2L)
    names(exons) <- paste0("exon", seq_along(exons))
    exons$type <- "exon"
    glued(x, genes = exons)
    expect_identical(lastCall(log)$study$tables$genes$gene_id, renamed$gene_id)
    path <- withr::local_tempfile(lines = "x", fileext = ".bed")
    glued(x, genes = path, region = "promoter", extend = 150000, signs = c(atac = -1), decay = FALSE)
    expect_identical(lastCall(log)$params$genes, normalizePath(path))
    expect_length(lastCall(log)$study$tables, 0L)
    expect_identical(lastCall(log)$params[c("region", "extend", "signs", "decay")],
        list(region = "promoter", extend = 150000L, signs = list(atac = -1L), decay = FALSE))
    # Without genes = their own ranges are used.
    glued(glueList())
    expect_identical(lastCall(log)$study$studies$rna$var$chromStart, bed$chromStart)
    expect_length(lastCall(log)$study$tables, 0L)
})

test_that("a gene without a position takes nothing from the others", {
    log <- localCore(core = mockGlue)
    study <- isthmus:::.wholeStudySCE(glueRna())
    study$var$chrom[4] <- NA
    rna <- suppressMessages(isthmus:::.sceFromStudy(study))
    glued(list(rna = rna, atac = glueAtac()))
    var <- lastCall(log)$study$studies$rna$var
    expect_identical(var$strand, as.character(GenomicRanges::strand(glueGenes())))
    expect_identical(which(is.na(var$chrom)), 4L)
})

test_that("the user's own edges take the place of those from positions", {
    log <- localCore(core = mockGlue)
    peaks <- rownames(glueAtac())[1:3]
    edges <- data.frame(note = "x", source = factor("gene1"), target = peaks, weight = 0.5)
    glued(list(rna = glueRna(placed = FALSE), atac = glueAtac()), edges = edges)
    sent <- lastCall(log)$study$tables$edges
    expect_identical(sent, data.frame(source = "gene1", target = peaks, weight = 0.5))
})

test_that("what cannot be used is refused before anything runs, and nothing changes", {
    log <- localCore(core = mockGlue)
    x <- glueList()
    seurat <- glueSeurat()
    taken <- x
    SingleCellExperiment::reducedDim(taken$atac, "GLUE") <- matrix(0, 16, 2)
    mine <- x
    mine$atac$glue_label <- "mine"
    copy <- unserialize(serialize(x, NULL))
    expect_snapshot({
        refusal(runGLUE(x$rna))
        refusal(runGLUE(seurat))
        refusal(runGLUE(seurat, assays = c(rna = "RNA", atac = "ATAC")))
        refusal(runGLUE(x["rna"]))
        refusal(runGLUE(unname(x)))
        refusal(runGLUE(matrix(1, 2, 2)))
        refusal(runGLUE(list(rna = x$rna, atac = matrix(1, 2, 2))))
        refusal(runGLUE(list(rna = glueRna(placed = FALSE), atac = x$atac)))
        refusal(runGLUE(x, genes = "no such.gtf"))
        refusal(runGLUE(x, genes = data.frame(gene = "a")))
        refusal(runGLUE(x, genes = unname(GenomicRanges::granges(glueGenes()))))
        refusal(runGLUE(x, genes = 1))
        refusal(runGLUE(x, edges = data.frame(from = 1)))
        refusal(runGLUE(x, batch = c("donor", "donor")))
        refusal(runGLUE(x, batch = list(RNA = "donor")))
        refusal(runGLUE(x, batch = c(rna = "sample")))
        refusal(runGLUE(x, signs = c(rna = -1)))
        refusal(runGLUE(taken))
        refusal(runGLUE(mine, labels = "cell_type"))
        refusal(runGLUE(x, graph = 1))
        refusal(runGLUE(x, batch_key = "donor"))
    })
    expect_length(log$calls, 0L)
    expect_identical(x, copy)
})

test_that("a model knows its modalities, also when it was saved and loaded", {
    localCore(core = mockGlue)
    place <- file.path(withr::local_tempdir(), "model")
    model <- isthmusModel(glued(glueList(), batch = "donor", model_dir = place))
    folder <- file.path(withr::local_tempdir(), "model")
    saveModel(model, folder)
    loaded <- loadModel(folder)
    expect_identical(loaded@provenance$modalities, model@provenance$modalities)
    expect_identical(loaded@provenance$batch, "donor")
    model@provenance$time <- "2026-01-01T00:00:00Z"
    model@archive <- list()
    model@folder <- "a folder"
    expect_snapshot(model)
    expect_error(isthmusModel(list(1)), class = "isthmus_input_error")
    expect_error(isthmusModel(glueList()), "no model", class = "isthmus_input_error")
})
