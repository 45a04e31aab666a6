# The map of all modalities, and whether to trust it.

local_picture <- function(env = parent.frame()) {
    path <- withr::local_tempfile(fileext = ".png", .local_envir = env)
    grDevices::png(path)
    withr::defer(grDevices::dev.off(), envir = env)
    path
}
columnOf <- function(x, column) as.character(SummarizedExperiment::colData(x)[[column]])

test_that("the map has every cell of every modality where the embedding is, and its columns", {
    log <- localCore(core = mockGlue)
    local_picture()
    x <- glueList()
    x$atac$given <- rep(c("A", "B"), 8)
    for (done in list(glued(x), glued(glueMAE()))) {
        random <- withr::with_seed(1, {
            made <- plotModalities(done, verbose = FALSE)
            stats::runif(1)
        })
        expect_identical(random, withr::with_seed(1, stats::runif(1)))
        expect_identical(made$cell, c(colnames(x$rna), colnames(x$atac)))
        expect_identical(made$modality, factor(rep(c("rna", "atac"), c(20, 16)), c("rna", "atac")))
        z <- do.call(rbind, lapply(c("rna", "atac"), function(m) {
            SingleCellExperiment::reducedDim(done[[m]], "GLUE")[, 1:2]
        }))
        expect_equal(cbind(made$UMAP_1, made$UMAP_2), z, ignore_attr = TRUE)
    }
    expect_identical(lastCall(log)$params, list(n_neighbors = 30L, min_dist = 0.1, seed = 0L))
    done <- glued(x)
    both <- plotModalities(done, color = "donor", verbose = FALSE)
    expect_identical(as.character(both$donor), c(columnOf(x$rna, "donor"), columnOf(x$atac, "donor")))
    one <- plotModalities(done, color = "given", verbose = FALSE)
    expect_identical(one$given, factor(c(rep(NA, 20), x$atac$given)))
    done$rna$depth <- seq_len(20) / 2
    map <- plotModalities(done, color = "depth", verbose = FALSE)
    expect_identical(map$depth, c(seq_len(20) / 2, rep(NA, 16)))
})

test_that("columns may be those of the whole MultiAssayExperiment", {
    localCore(core = mockGlue)
    local_picture()
    x <- glueList()
    x$atac <- x$atac[, 16:1]
    made <- plotModalities(glued(outerMAE(x)), color = "donor", verbose = FALSE)
    expect_identical(as.character(made$donor), c(columnOf(x$rna, "donor"), columnOf(x$atac, "donor")))
})

test_that("one object with two modalities has two views of its cells", {
    localCore(core = mockGlue)
    local_picture()
    done <- glued(glueSeurat(), assays = c(rna = "RNA", atac = "peaks"), genes = glueGenes())
    made <- plotModalities(done, color = "donor", verbose = FALSE)
    expect_identical(made$cell, rep(colnames(done), 2))
    z <- lapply(c("glue_rna", "glue_atac"), function(n) SeuratObject::Embeddings(done[[n]])[, 1:2])
    expect_equal(cbind(made$UMAP_1, made$UMAP_2), do.call(rbind, z), ignore_attr = TRUE)
    done <- glued(glueAlt(), assays = c(rna = "main", atac = "ATAC"))
    made <- plotModalities(done, verbose = FALSE)
    expect_identical(levels(made$modality), c("rna", "atac"))
})

test_that("groups have colours of their own, the user's first, and others a grey one", {
    ten <- isthmus:::.groupColours(letters[1:10], c(b = "red", z = "blue"))
    expect_identical(anyDuplicated(ten), 0L)
    expect_identical(unname(ten["b"]), "red")
    expect_identical(names(ten), letters[1:10])
    expect_identical(anyDuplicated(isthmus:::.groupColours(1:40, NULL)), 0L)
    numbers <- isthmus:::.numberColours(c(0, 5, 10, NA), c(0, 10))
    expect_identical(numbers[c(1, 3)], grDevices::hcl.colors(100, "viridis")[c(1, 100)])
    expect_true(is.na(numbers[4]))
    expect_length(unique(isthmus:::.numberColours(c(2, 2), c(2, 2))), 1L)
})

test_that("the pictures leave the device's settings as they were", {
    localCore(core = mockGlue)
    local_picture()
    before <- graphics::par("mar", "mgp", "las", "tcl")
    plotModalities(glued(glueList()), verbose = FALSE)
    table <- data.frame(n_metacells = c(50, 10), consistency = c(NA, 0.2))
    expect_identical(plotConsistency(table), table)
    expect_identical(graphics::par("mar", "mgp", "las", "tcl"), before)
})

test_that("consistency is asked of all values of the modalities, by the names of the model", {
    log <- localCore(core = mockGlue)
    x <- glueList()
    named <- c(rna = "RNA", atac = "peaks")
    seurat <- glued(glueSeurat(), assays = named, genes = glueGenes())
    expect_identical(integrationConsistency(glued(x), 5, verbose = FALSE)$n_metacells, 5)
    sent <- lastCall(log)
    for (m in c("rna", "atac")) {
        counts <- as.matrix(SummarizedExperiment::assay(x[[m]], "counts"))
        expect_equal(studyMatrix(sent$study$studies[[m]]), counts)
    }
    integrationConsistency(seurat, c(5, 10), assays = named, verbose = FALSE)
    sent <- lastCall(log)
    expect_identical(as.numeric(sent$params$n_metacells), c(5, 10))
    expect_identical(rownames(sent$study$studies$atac$var), rownames(glueAtac()))
})

test_that("what cannot be drawn or asked is refused", {
    localCore(core = mockGlue)
    done <- glued(glueList())
    scalex <- suppressMessages(runSCALEX(glueRna(), batch = "donor", n_features = 20, n_latent = 3))
    bare <- done
    SingleCellExperiment::reducedDim(bare$atac, "GLUE") <- NULL
    seurat <- glued(glueSeurat(), assays = c(rna = "RNA", atac = "peaks"), genes = glueGenes())
    expect_snapshot({
        refusal(plotModalities(glueRna()))
        refusal(plotModalities(scalex))
        refusal(plotModalities(done$rna))
        refusal(plotModalities(bare))
        refusal(plotModalities(done, color = "age"))
        refusal(integrationConsistency(done$rna))
        refusal(integrationConsistency(seurat))
        refusal(integrationConsistency(seurat, assays = c(rna = "RNA", other = "peaks")))
        refusal(plotConsistency(data.frame(n_metacells = 5)))
        refusal(plotConsistency(data.frame(n_metacells = 5, consistency = NA)))
        refusal(plotConsistency("table"))
    })
})

test_that("a report gets all values, the cells' own labels and those that the model gave", {
    log <- localCore(core = mockGlue)
    file <- withr::local_tempfile(fileext = ".html")
    x <- glueList()
    x$rna$type <- rep(c("A", "B"), 10)
    done <- glued(x)
    done$atac <- transferLabels(done$atac, done, labels = "type", verbose = FALSE)
    some <- list(rna = done$rna, atac = done$atac[, 16:1])
    expect_identical(writeReport(some, file = file, labels = "type", title = "T", verbose = FALSE), file)
    sent <- lastCall(log)
    expect_identical(sent$verb, "report_modalities")
    expect_identical(sent$params[c("labels_key", "title")], list(labels_key = "own", title = "T"))
    studies <- sent$study$studies
    expect_identical(studies$rna$obs$own, x$rna$type)
    expect_null(studies$rna$obs$given)
    expect_null(studies$atac$obs$own)
    expect_identical(studies$atac$obs[colnames(done$atac), "given"], done$atac$glue_label)
    writeReport(done, file = file, overwrite = TRUE, verbose = FALSE)
    expect_null(lastCall(log)$params$labels_key)
    named <- c(rna = "RNA", atac = "peaks")
    taught <- glued(glueSeurat(), assays = named, genes = glueGenes(), labels = "donor")
    writeReport(taught, file = file, labels = "donor", assays = named, overwrite = TRUE, verbose = FALSE)
    for (m in c("rna", "atac")) {
        obs <- lastCall(log)$study$studies[[m]]$obs
        expect_identical(obs$own, as.character(taught$donor), ignore_attr = TRUE)
        expect_identical(obs$given, unname(taught[[paste0("glue_", m, "_label"), drop = TRUE]]))
    }
    expect_snapshot({
        refusal(writeReport(done, done$atac, file = file, overwrite = TRUE))
        refusal(writeReport(done, file = file, labels = "age", overwrite = TRUE))
        refusal(writeReport(done$rna, file = file, overwrite = TRUE))
    })
})

test_that("the real core answers the same on both transports and for Seurat objects", {
    skip_if_no_core()
    local_picture()
    sim <- suppressMessages(simulateMultiome(
        n_cells = 120, n_genes = 100, n_peaks = 250, n_types = 3, seed = 1, pairing = "unpaired"
    ))
    apart <- list(rna = sim[["rna"]], atac = sim[["atac"]])
    fit <- function(x, ...) {
        runGLUE(x, extend = 20000, n_latent = 8, n_hidden = 32, max_steps = 60, batch_size = 64, n_models = 0,
            verbose = FALSE, ...)
    }
    local_transport("inprocess")
    fitted <- fit(apart)
    table <- integrationConsistency(fitted, c(5, 10), verbose = FALSE)
    expect_identical(names(table), c("n_metacells", "consistency", "n_shared"))
    expect_true(all(is.finite(table$consistency)))
    map <- plotModalities(fitted, verbose = FALSE)
    expect_true(all(is.finite(c(map$UMAP_1, map$UMAP_2))))
    expect_identical(plotModalities(fitted, verbose = FALSE), map)
    # Cells in another order are the same cells.
    turned <- list(rna = fitted$rna[, 120:1], atac = fitted$atac)
    expect_equal(integrationConsistency(turned, c(5, 10), verbose = FALSE), table)
    seurat <- lapply(apart, function(x) {
        SeuratObject::CreateSeuratObject(as(SummarizedExperiment::assay(x, "counts"), "CsparseMatrix"))
    })
    seurat <- fit(seurat, genes = SummarizedExperiment::rowRanges(apart$rna))
    expect_equal(integrationConsistency(seurat, c(5, 10), verbose = FALSE), table, tolerance = 1e-3)
    expect_snapshot(refusal(integrationConsistency(fitted, 2)))
    file <- withr::local_tempfile(fileext = ".html")
    writeReport(fitted, file = file, labels = "cell_type", title = "Both", verbose = FALSE)
    page <- paste(readLines(file, warn = FALSE), collapse = "")
    for (word in c("<h1>Both</h1>", "120 cells with rna", "Can it be trusted", ">type1 <")) {
        expect_match(page, word, fixed = TRUE)
    }
    local_transport("process")
    expect_equal(integrationConsistency(fitted, c(5, 10), verbose = FALSE), table)
    expect_equal(plotModalities(fitted, verbose = FALSE), map)
})
