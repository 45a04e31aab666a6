activity <- function(...) suppressMessages(geneActivity(...))
rowsOf <- function(x) unname(embeddingOf(x, system = "sailerx"))

# The mock core gives three genes: the number of the cell times the rank of the gene.
mockActivity <- function(verb, study, params) {
    if (verb != "gene_activity") {
        return(mockPaired(verb, study, params))
    }
    stopifnot(identical(names(study$studies), "atac"))
    cells <- rev(rownames(study$studies$atac$obs))
    wanted <- study$tables$rna
    features <- if (is.null(wanted)) c("a", "b_1", "c") else utils::head(rownames(wanted), 3L)
    values <- outer(seq_along(features), rev(seq_along(cells)))
    list(values = values, features = features, cells = cells)
}

sailed <- function(x, ...) paired(runSAILERX, x, ...)
named <- function(genes, cells) {
    matrix(
        outer(seq_along(genes), seq_along(cells)), length(genes), dimnames = list(genes, cells)
    )
}
activityBySCE <- function(x, name = "activity") {
    SummarizedExperiment::assay(SingleCellExperiment::altExp(x, name), name)
}
activityBySeurat <- function(x, name = "activity") {
    as.matrix(if (seuratFive()) {
        SeuratObject::LayerData(x[[name]], layer = "data")
    } else {
        SeuratObject::GetAssayData(x[[name]], slot = "data")
    })
}

test_that("a SingleCellExperiment with both modalities needs nothing else", {
    log <- localCore(core = mockActivity)
    x <- sailed(glueAlt())
    y <- activity(x)
    expect_equal(activityBySCE(y), named(paste0("gene", 1:3), colnames(x)))
    sent <- lastCall(log)
    expect_length(sent$study$studies$atac$assays, 0L)
    expect_equal(sent$study$studies$atac$reducedDims$embedding, rowsOf(x), ignore_attr = TRUE)
    expect_identical(sent$params[-1], list(
        batch = "average", region = "combined", upstream = 2000L, extend = 0L
    ))
    # The RNA says where genes lie, the names of the peaks where these do.
    expect_identical(names(sent$study$tables), "rna")
    expect_identical(rownames(sent$study$tables$rna), rownames(x))
    expect_identical(sent$study$tables$rna$chromStart[2], 2000L)
    record <- isthmus:::.records(y)$activity
    expect_identical(record$name, "activity")
    expect_identical(record$provenance[c("verb", "system", "cells")], list(
        verb = "gene_activity", system = "sailerx", cells = 20L
    ))
    SingleCellExperiment::altExp(y, "activity") <- NULL
    expect_identical(pairedBare(y), pairedBare(x))
})

test_that("Seurat gets an assay of its own, and the annotation of a ChromatinAssay is read", {
    log <- localCore(core = mockActivity)
    x <- sailed(glueSeurat(foreign = TRUE), atac = "peaks")
    y <- activity(x, batch = c("a", "b"), depth = 100, features = c("gene7", "gene2"))
    expect_equal(activityBySeurat(y), named(c("gene7", "gene2"), colnames(x)))
    expect_identical(SeuratObject::DefaultAssay(y), "RNA")
    expect_identical(tail(names(y@commands), 1L), "geneActivity.RNA")
    sent <- lastCall(log)
    expect_identical(sent$params[c("batch", "depth")], list(batch = c("a", "b"), depth = 100L))
    expect_identical(rownames(sent$study$tables$rna), c("gene7", "gene2"))
    expect_setequal(sent$study$tables$genes$gene_name, paste0("gene", 1:30))
    expect_identical(rownames(sent$study$tables$peaks), isthmusModel(x)@features)
    expect_identical(sent$study$tables$peaks$chromStart[2], 1000L)
    y@assays$activity <- NULL
    expect_identical(pairedBare(y), pairedBare(x))
})

test_that("ATAC alone is given genes of any kind", {
    log <- localCore(core = mockActivity)
    reference <- sailed(pairedList())
    path <- withr::local_tempfile(fileext = ".gtf")
    writeLines("chr1\tx\tgene\t1\t10\t.\t+\t.\tgene_name \"a\";", path)
    given <- list(glueGenes(), as.data.frame(glueGenes()), path)
    for (genes in given) {
        y <- activity(reference$atac, genes, name = "genes")
        expect_equal(activityBySCE(y, "genes"), named(c("a", "b_1", "c"), colnames(reference$atac)))
        sent <- lastCall(log)
        expect_null(sent$study$tables$rna)
        if (is.character(genes)) {
            expect_identical(sent$params$genes, normalizePath(path))
        } else {
            expect_identical(sent$study$tables$genes$gene_name, paste0("gene", 1:30))
        }
    }
    activity(reference$atac, glueGenes(), features = c("gene3", "gene3"))
    expect_identical(rownames(lastCall(log)$study$tables$rna), "gene3")
    # The cells' other half holds the same embedding, and the genes.
    activity(reference$rna)
    expect_identical(rownames(lastCall(log)$study$tables$rna), rownames(glueRna()))
})

test_that("new cells are embedded first, and paths are read", {
    log <- localCore(core = mockActivity)
    reference <- sailed(glueAlt())
    query <- glueAtac(12L, "new")
    y <- activity(query, glueGenes(), model = reference)
    sent <- lastCall(log)$study$studies$atac
    expect_length(sent$assays, 1L)
    expect_identical(colnames(activityBySCE(y)), colnames(query))
    projection <- suppressMessages(projectCells(query, reference))
    activity(projection, glueGenes(), model = reference)
    expect_length(lastCall(log)$study$studies$atac$assays, 0L)
    # What the RNA is called is no reason to embed cells again.
    activity(reference, rna = "main")
    expect_length(lastCall(log)$study$studies$atac$assays, 0L)
    file <- withr::local_tempfile(fileext = ".rds")
    saveRDS(reference, file)
    expect_equal(activityBySCE(activity(file)), activityBySCE(activity(reference)))
})

test_that("names with _ are kept beside a Seurat assay, also those of other results", {
    localCore(core = mockActivity)
    x <- sailed(glueSeurat(), atac = "peaks")
    x@misc$isthmus$featureNames <- data.frame(seurat = "x-y", original = "x_y")
    x@assays$RNA <- NULL
    x@active.assay <- "peaks"
    y <- activity(x, glueGenes())
    expect_identical(rownames(y[["activity"]]), c("a", "b-1", "c"))
    expect_identical(y@misc$isthmus$featureNames$original, c("x_y", "b_1"))
})

test_that("its own assay is replaced, and imputed peaks stay beside it", {
    localCore(core = mockActivity)
    for (x in list(sailed(glueAlt()), sailed(glueSeurat(foreign = TRUE), atac = "peaks"))) {
        y <- suppressMessages(imputeAssay(activity(x)))
        expect_no_error(y <- activity(suppressMessages(imputeAssay(y))))
        expect_identical(isthmus:::.records(y)$imputed$name, "SAILERX")
    }
    # Of several models the one of SAILERX is taken.
    both <- paired(runScI2CL, sailed(glueAlt()))
    expect_identical(isthmus:::.records(activity(both))$activity$provenance$system, "sailerx")
})

test_that("what cannot be summed is refused before anything runs", {
    log <- localCore(core = mockActivity)
    x <- sailed(glueAlt())
    atac <- sailed(pairedList())$atac
    taken <- x
    SingleCellExperiment::altExp(taken, "activity") <- SingleCellExperiment::altExp(x, "ATAC")
    scalex <- suppressMessages(runSCALEX(smallSCE(), n_latent = 3, n_features = 20))
    partly <- sailed(pairedList(20L, 12L))$rna
    calls <- length(log$calls)
    expect_snapshot({
        refusal(geneActivity(atac))
        refusal(geneActivity(atac, genes = 1))
        refusal(geneActivity(atac, genes = "no.gtf"))
        refusal(geneActivity(scalex))
        refusal(geneActivity(x, model = scalex))
        refusal(geneActivity(glueAtac(), glueGenes()))
        refusal(geneActivity(taken))
        refusal(geneActivity(x, features = c("gene1", "ACTB")))
        refusal(geneActivity(x, features = 1))
        refusal(geneActivity(x, graph = 1))
        refusal(geneActivity(partly))
        refusal(geneActivity(matrix(1)))
    })
    expect_length(log$calls, calls)
})

# --- the real core -----------------------------------------------------------

# One fit for the tests that only use it.
sailedPair <- local({
    made <- NULL
    function() {
        if (is.null(made)) {
            made <<- runSAILERX(pairAlt(),
                batch = "batch", n_latent = 4, n_hidden = 8, max_steps = 15, batch_size = 32,
                n_components = 10, precision = "32-true", verbose = FALSE
            )
        }
        made
    }
})

# Peaks on a gene and 2,000 base pairs before it, by what R knows of ranges.
overlapSums <- function(chances, sim = simulatedPair()) {
    genes <- SummarizedExperiment::rowRanges(sim[["rna"]])
    windows <- GenomicRanges::resize(genes, GenomicRanges::width(genes) + 2000L, fix = "end")
    peaks <- SummarizedExperiment::rowRanges(sim[["atac"]])
    pairs <- GenomicRanges::findOverlaps(windows, peaks, ignore.strand = TRUE)
    incidence <- matrix(0, length(genes), length(peaks), dimnames = list(names(genes), names(peaks)))
    incidence[cbind(S4Vectors::queryHits(pairs), S4Vectors::subjectHits(pairs))] <- 1
    sums <- incidence %*% chances[names(peaks), ]
    sums[rowSums(incidence) > 0, ]
}

# What Python's own verbs give for the same cells and the saved model.
pythonActivity <- function(folder, ...) {
    code <- "
def activity(folder, rna, atac, settings):
    import json, warnings
    import anndata, isthmus
    warnings.simplefilter('ignore')
    rna, atac = anndata.read_h5ad(rna), anndata.read_h5ad(atac)
    graph = isthmus.genomics.guidance_graph(rna, atac, extend=20_000)
    out = isthmus.load(folder).gene_activity(atac, graph, **json.loads(settings))
    return json.dumps({'genes': list(out.var_names), 'values': out.X.tolist()})
"
    env <- reticulate::py_run_string(code, local = TRUE)
    paths <- vapply(c("rna", "atac"), function(name) {
        path <- tempfile(fileext = ".h5ad")
        writeStudy(simulatedPair()[[name]], path, verbose = FALSE)
    }, "")
    on.exit(unlink(paths))
    settings <- as.character(jsonlite::toJSON(list(...), auto_unbox = TRUE))
    said <- jsonlite::fromJSON(as.character(env$activity(folder, paths[["rna"]], paths[["atac"]], settings)))
    matrix(t(said$values), ncol = nrow(said$values), dimnames = list(said$genes, NULL))
}

test_that("activity is the sum of imputed peaks that overlap, on both transports, in both kinds of object", {
    skip_if_no_core()
    local_transport("inprocess")
    x <- sailedPair()
    all <- imputeAssay(x, verbose = FALSE)
    chances <- as.matrix(SummarizedExperiment::assay(SingleCellExperiment::altExp(all, "SAILERX")))
    expected <- overlapSums(chances)
    ranges <- SummarizedExperiment::rowRanges(simulatedPair()[["rna"]])
    for (transport in transports) {
        local_transport(transport)
        values <- activityBySCE(geneActivity(x, verbose = FALSE))
        expect_setequal(rownames(values), rownames(expected))
        expect_equal(values[rownames(expected), ], expected, tolerance = 1e-5)
        # Seurat's cells have no embedding: they are projected.
        y <- geneActivity(pairSeurat(), ranges, model = x, atac = "peaks", verbose = FALSE)
        expect_equal(activityBySeurat(y)[rownames(expected), ], expected, tolerance = 1e-4)
    }
})

test_that("activity is that of Python", {
    skip_if_no_core()
    local_transport("inprocess")
    x <- sailedPair()
    folder <- saveModel(x, file.path(withr::local_tempdir(), "model"))
    expected <- pythonActivity(folder, batch = "batch1", depth = 30)
    ours <- activityBySCE(
        geneActivity(x, batch = "batch1", depth = 30, extend = 20000, verbose = FALSE)
    )
    expect_identical(rownames(ours), rownames(expected))
    expect_equal(unname(ours), unname(expected), tolerance = 1e-4)
})

test_that("the core's words of refusal come through", {
    skip_if_no_core()
    local_transport("inprocess")
    x <- sailedPair()
    expect_error(geneActivity(x, region = "exon"), "region", class = "isthmus_input_error")
    expect_error(geneActivity(x, batch = "nowhere"), "nowhere", class = "isthmus_input_error")
    expect_error(geneActivity(x, dept = 3), "dept", class = "isthmus_input_error")
    far <- GenomicRanges::shift(SummarizedExperiment::rowRanges(x), 5e8)
    expect_error(geneActivity(x, far), "at genes", class = "isthmus_input_error")
})
