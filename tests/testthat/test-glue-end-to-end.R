# GLUE by the real core, from every kind of object and on both transports.

unpaired <- local({
    made <- NULL
    function() {
        if (is.null(made)) {
            made <<- suppressMessages(simulateMultiome(
                n_cells = 120, n_genes = 100, n_peaks = 250, n_types = 3, seed = 1, pairing = "unpaired"
            ))
        }
        made
    }
})

# A fit of seconds; how good it is, is for the tests of the core to say.
briefly <- function(x, ..., max_steps = 60) {
    runGLUE(x,
        extend = 20000, n_latent = 8, n_hidden = 32, n_components = 20, max_steps = max_steps,
        link_steps = 10, batch_size = 64, precision = "32-true", verbose = FALSE, ...
    )
}
latent <- function(x, name = "GLUE") {
    if (!is(x, "SingleCellExperiment")) return(unname(SeuratObject::Embeddings(x[[tolower(name)]])))
    z <- SingleCellExperiment::reducedDim(x, name)
    attributes(z) <- list(dim = dim(z))
    z
}
asSeurat <- function(x) {
    SeuratObject::CreateSeuratObject(
        as(SummarizedExperiment::assay(x, "counts"), "CsparseMatrix"),
        meta.data = as.data.frame(SummarizedExperiment::colData(x))
    )
}

# One fit for the tests that only use it.
fitted <- local({
    made <- NULL
    function() {
        if (is.null(made)) made <<- briefly(unpaired(), batch = "batch")
        made
    }
})

test_that("a MultiAssayExperiment, lists, Seurat objects and both transports give the same numbers", {
    skip_if_no_core()
    skip_if_not_installed("MultiAssayExperiment")
    sim <- unpaired()
    local_transport("inprocess")
    mae <- fitted()
    links <- peakGeneLinks(mae, fdr = 1, verbose = FALSE)
    apart <- list(rna = sim[["rna"]], atac = sim[["atac"]])
    ranges <- SummarizedExperiment::rowRanges(sim[["rna"]])
    other <- list(rna = asSeurat(sim[["rna"]]), atac = asSeurat(sim[["atac"]]))
    seurat <- briefly(other, genes = ranges, batch = "batch")
    local_transport("process")
    process <- briefly(apart, batch = "batch")
    for (name in c("rna", "atac")) {
        expect_true(all(is.finite(latent(mae[[name]]))))
        expect_identical(dim(latent(mae[[name]])), c(120L, 8L))
        expect_equal(latent(process[[name]]), latent(mae[[name]]), tolerance = 1e-4)
        expect_equal(latent(seurat[[name]]), latent(mae[[name]]), tolerance = 1e-4)
        rotation <- attr(SingleCellExperiment::reducedDim(mae[[name]], "GLUE"), "rotation")
        expect_true(all(rownames(rotation) %in% rownames(sim[[name]])))
    }
    again <- peakGeneLinks(process, fdr = 1, verbose = FALSE)
    hit <- match(paste(links$peak, links$gene), paste(again$peak, again$gene))
    expect_false(anyNA(hit))
    expect_equal(again$score[hit], links$score, tolerance = 1e-3)
    expect_identical(GenomicRanges::granges(again)[hit], GenomicRanges::granges(links))
})

test_that("links are those of the planted positions", {
    skip_if_no_core()
    skip_if_not_installed("MultiAssayExperiment")
    local_transport("inprocess")
    sim <- unpaired()
    links <- peakGeneLinks(fitted(), fdr = 1, verbose = FALSE)
    expect_lte(length(peakGeneLinks(fitted(), fdr = 0.05, verbose = FALSE)), length(links))
    shuffled <- peakGeneLinks(fitted(), fdr = 1, null = "shuffled", n_null = 3000, verbose = FALSE)
    expect_true(all(shuffled$n_null <= 3000))
    expect_error(peakGeneLinks(fitted(), null = "none", verbose = FALSE), class = "isthmus_input_error")
    genes <- SummarizedExperiment::rowRanges(sim[["rna"]])[links$gene]
    starts <- GenomicRanges::start(GenomicRanges::resize(genes, 1L))
    expect_identical(links$tss, starts)
    peaks <- SummarizedExperiment::rowRanges(sim[["atac"]])[links$peak]
    expect_identical(links$peak_start, GenomicRanges::start(peaks))
    expect_identical(links$peak_end, GenomicRanges::end(peaks))
    ahead <- ifelse(links$gene_strand == "-", -1, 1)
    middle <- (links$peak_start - 1L + links$peak_end) %/% 2L + 1L
    expect_identical(links$distance, (middle - links$tss) * ahead)
    expect_identical(GenomicRanges::width(links), as.integer(abs(links$distance)) + 1L)
})

test_that("the model serves new cells, labels and the other modality, and other sessions", {
    skip_if_no_core()
    skip_if_not_installed("MultiAssayExperiment")
    local_transport("inprocess")
    path <- withr::local_tempfile(fileext = ".rds")
    saveRDS(fitted(), path)
    mae <- readRDS(path)
    atac <- SingleCellExperiment::SingleCellExperiment(
        list(counts = SummarizedExperiment::assay(unpaired()[["atac"]], "counts"))
    )
    y <- projectCells(atac[, 50:1], mae, modality = "atac", verbose = FALSE)
    expect_equal(latent(y), latent(mae[["atac"]])[50:1, ], tolerance = 1e-4)
    a <- transferLabels(mae[["atac"]], mae, verbose = FALSE, unknown_below = 0)
    expect_true(all(a$glue_label %in% as.character(mae[["rna"]]$cell_type)))
    b <- transferLabels(y, mae, verbose = FALSE, unknown_below = 0)
    expect_gt(mean(b$glue_label == a$glue_label[50:1]), 0.95)
    genes <- head(grep("^GENE", isthmusModel(mae)@features, value = TRUE), 3L)
    p <- imputeAssay(mae[["atac"]], features = genes, verbose = FALSE)
    values <- SummarizedExperiment::assay(SingleCellExperiment::altExp(p, "GLUE"), "GLUE")
    expect_identical(dimnames(values), list(genes, colnames(atac)))
    expect_true(all(values >= 0 & is.finite(values)))
})

test_that("the embedding in the object is used, whatever became of its values", {
    skip_if_no_core()
    skip_if_not_installed("MultiAssayExperiment")
    atac <- fitted()[["atac"]]
    turned <- atac
    SingleCellExperiment::reducedDim(turned, "GLUE")[] <- latent(atac)[rev(seq_len(ncol(atac))), ]
    asked <- function(x) transferLabels(x, fitted(), verbose = FALSE)
    for (transport in transports) {
        local_transport(transport)
        all <- asked(atac)
        some <- asked(atac[1:90, ])
        expect_identical(some$glue_label, all$glue_label)
        expect_identical(some$glue_confidence, all$glue_confidence)
        expect_identical(asked(turned)$glue_confidence, rev(all$glue_confidence))
    }
})

test_that("one object with both modalities is labelled and imputed by the embedding of either", {
    skip_if_no_core()
    local_transport("inprocess")
    taught <- function(...) briefly(..., labels = c(rna = "cell_type"), n_models = 0)
    ranges <- SummarizedExperiment::rowRanges(simulatedPair()[["rna"]])
    objects <- list(
        taught(pairAlt(), assays = c(rna = "main", atac = "ATAC")),
        taught(pairSeurat(), assays = c(rna = "RNA", atac = "peaks"), genes = ranges)
    )
    for (x in objects) {
        y <- predictLabels(x, x, modality = "atac", name = "again", verbose = FALSE)
        expect_identical(y$again_label, y$glue_atac_label)
        expect_equal(y$again_confidence, y$glue_atac_confidence, tolerance = 1e-5)
        # Slow and obvious: the nearest RNA profile of each ATAC profile.
        apart <- as.matrix(dist(rbind(latent(x, "GLUE_atac"), latent(x, "GLUE_rna"))))[1:90, 91:180]
        y <- transferLabels(y, y, modality = "atac", k = 1, unknown_below = 0, verbose = FALSE)
        expect_identical(unname(y$glue_label), as.character(unname(x$cell_type))[apply(apart, 1, which.min)])
        y <- imputeAssay(y, modality = "atac", features = rownames(pairAlt())[1:2], verbose = FALSE)
        made <- if (is(y, "SingleCellExperiment")) SingleCellExperiment::altExp(y, "GLUE") else y[["GLUE"]]
        expect_equal(dim(made), c(2, 90))
    }
})

# What a saved model says of cells in a file, without the bridge.
saidByPython <- function(folder, path, modality) {
    isthmus:::.pythonSession()
    code <- "
def said_of(folder, path, modality):
    import anndata, isthmus, json
    table = isthmus.load(folder).predict_labels(anndata.read_h5ad(path), modality=modality)
    return json.dumps([list(table.idxmax(axis=1)), [float(p) for p in table.max(axis=1)]])
"
    env <- reticulate::py_run_string(code, local = TRUE)
    setNames(jsonlite::fromJSON(as.character(env$said_of(folder, path, modality)), simplifyMatrix = FALSE),
        c("label", "confidence"))
}

test_that("a fit with labels names its cells and new ones, as Python does, on both transports", {
    skip_if_no_core()
    sim <- unpaired()
    x <- list(rna = sim[["rna"]], atac = sim[["atac"]][, 1:90])
    x$rna$known <- as.character(x$rna$cell_type)
    x$rna$known[c(TRUE, FALSE)] <- NA
    new <- sim[["atac"]][, 120:91]
    results <- list()
    for (transport in transports) {
        local_transport(transport)
        done <- briefly(x, labels = c(rna = "known"), labels_weight = 1, n_models = 0)
        for (one in done) {
            expect_true(all(one$glue_label %in% as.character(x$rna$cell_type)))
            expect_true(all(one$glue_confidence > 1 / 3 & one$glue_confidence <= 1))
        }
        known <- !is.na(x$rna$known)
        expect_gt(mean(done$rna$glue_label[known] == x$rna$known[known]), 0.8)
        y <- predictLabels(new, done, modality = "atac", verbose = FALSE)
        results[[transport]] <- list(done$rna$glue_label, done$atac$glue_confidence,
            y$glue_label, y$glue_confidence)
    }
    expect_equal(results$process, results$inprocess, tolerance = 1e-5)
    local_transport("inprocess")
    again <- predictLabels(done$atac, done, verbose = FALSE)
    expect_identical(again$glue_label, done$atac$glue_label)
    expect_equal(again$glue_confidence, done$atac$glue_confidence, tolerance = 1e-4)
    folder <- file.path(withr::local_tempdir(), "model")
    path <- withr::local_tempfile(fileext = ".h5ad")
    saveModel(done, folder)
    writeStudy(new, path, verbose = FALSE)
    expected <- saidByPython(folder, path, "atac")
    expect_identical(y$glue_label, expected$label)
    expect_equal(y$glue_confidence, expected$confidence, tolerance = 1e-6)
    loaded <- loadModel(folder)
    expect_identical(predictLabels(new, loaded, modality = "atac", verbose = FALSE)$glue_label, y$glue_label)
    # Seurat keeps the columns beside its own.
    seurat <- predictLabels(asSeurat(new), loaded, modality = "atac", verbose = FALSE)
    expect_identical(unname(seurat$glue_label), y$glue_label)
})

test_that("edges of the user's own are the graph, and positions place its links", {
    skip_if_no_core()
    local_transport("inprocess")
    sim <- unpaired()
    own <- S4Vectors::metadata(sim)$links
    edges <- data.frame(source = own$gene, target = own$peak, weight = 0.5)
    y <- briefly(list(rna = sim[["rna"]], atac = sim[["atac"]]), edges = edges, n_features = 100)
    links <- peakGeneLinks(y, fdr = 1, verbose = FALSE)
    expect_true(all(paste(links$gene, links$peak) %in% paste(edges$source, edges$target)))
    expect_gt(length(links), 0L)
    expect_true(all(links$weight == 0.5))
})

test_that("the graph from positions is a table, which a fit takes as it would have made it", {
    skip_if_no_core()
    local_transport("inprocess")
    sim <- unpaired()
    graph <- guidanceGraph(sim, extend = 20000, signs = c(atac = -1), verbose = FALSE)
    expect_gt(nrow(graph), 100L)
    expect_true(all(graph$sign == -1) && all(graph$weight > 0 & graph$weight <= 1))
    expect_true(all(guidanceGraph(sim, extend = 20000, decay = FALSE, verbose = FALSE)$weight == 1))
    fitted <- function(...) latent(briefly(sim, n_models = 0, max_steps = 10, ...)[["atac"]])
    expect_identical(fitted(edges = graph), fitted(signs = c(atac = -1)))
    # Of a Seurat object, and with genes beside it.
    rna <- SummarizedExperiment::rowRanges(sim[["rna"]])
    rna$gene_name <- names(rna)
    seurat <- lapply(list(rna = sim[["rna"]], atac = sim[["atac"]]), asSeurat)
    expect_identical(guidanceGraph(seurat, rna, extend = 20000, signs = c(atac = -1), verbose = FALSE), graph)
    # A second one, merged with it, pulls too.
    expect_warning(twice <- fitted(edges = rbind(graph, graph[1:9, ])), "parallel edge")
    expect_false(identical(twice, fitted(edges = graph)))
    nameless <- sim[["atac"]]
    rownames(nameless) <- NULL
    expect_snapshot({
        refusal(guidanceGraph(seurat))
        refusal(guidanceGraph(sim[["rna"]]))
        refusal(guidanceGraph(sim, region = "exon", verbose = FALSE))
        refusal(guidanceGraph(list(rna = sim[["rna"]], atac = nameless)))
    })
})

test_that("the core's words of refusal come through, and nothing changes", {
    skip_if_no_core()
    local_transport("inprocess")
    sim <- unpaired()
    x <- list(rna = sim[["rna"]], atac = sim[["atac"]])
    expect_error(briefly(x, region = "exon"), "region", class = "isthmus_input_error")
    expect_error(briefly(x, n_hiden = 3), "n_hiden", class = "isthmus_input_error")
    clash <- x
    rownames(clash$atac)[1] <- rownames(clash$rna)[1]
    expect_error(briefly(clash), "different names", class = "isthmus_input_error")
    far <- x
    SummarizedExperiment::rowRanges(far$atac) <- GenomicRanges::shift(
        SummarizedExperiment::rowRanges(far$atac), 5e8
    )
    expect_error(briefly(far), "within 20,000 bp", class = "isthmus_input_error")
    expect_error(
        peakGeneLinks(briefly(x, n_models = 0, max_steps = 10)), "n_models", class = "isthmus_input_error"
    )
})
