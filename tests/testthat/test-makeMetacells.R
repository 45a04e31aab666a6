# Alike cells summed up, from every kind of object; then all cells in a model of the sums.

grouped <- function(x, n = 40, ...) makeMetacells(x, n, ..., verbose = FALSE)
groupOf <- function(m) isthmus:::.records(m)$metacells$group
cellTable <- function(x) as.data.frame(isthmus:::.cellData(x))
countsOf <- function(x, assay = "RNA") {
    as.matrix(if (is(x, "SummarizedExperiment")) {
        SummarizedExperiment::assay(x, "counts")
    } else if (seuratFive()) {
        SeuratObject::LayerData(x[[assay]], layer = "counts")
    } else {
        SeuratObject::GetAssayData(x[[assay]], slot = "counts")
    })
}

# Slow and obvious: each column of m is the sum of the cells that it says it has.
expectSums <- function(m, x, ...) {
    group <- groupOf(m)
    expect_identical(names(group), colnames(x))
    expect_identical(levels(group), colnames(m))
    expected <- t(rowsum(t(countsOf(x, ...)), as.character(group)))[, colnames(m)]
    expect_equal(countsOf(m, ...), expected)
    expect_identical(as.integer(cellTable(m)$n_cells), as.vector(table(group)))
}

# What Python gives of a file, without the bridge.
groupsByPython <- function(path, ...) {
    isthmus:::.pythonSession()
    code <- "
def groups_of(path, **settings):
    import anndata, isthmus, json
    adata = anndata.read_h5ad(path)
    isthmus.tl.metacells(adata, 40, batch_key='batch', **settings)
    return json.dumps(list(adata.obs['metacell']))
"
    env <- reticulate::py_run_string(code, local = TRUE)
    jsonlite::fromJSON(as.character(env$groups_of(path, ...)))
}

test_that("counts are summed within batches, and the commonest type is that of the group", {
    skip_if_no_core()
    x <- simulated()
    x$cell_type[1:50] <- NA
    for (given in list(x, simulatedSeurat(x))) {
        before <- unserialize(serialize(given, NULL))
        m <- grouped(given, batch = "batch", labels = "cell_type")
        expect_identical(given, before)
        expect_s4_class(m, class(given)[1])
        expect_lte(ncol(m), 40L)
        expect_gt(ncol(m), 30L)
        expectSums(m, given)
        expect_identical(sum(cellTable(m)$n_cells), 400L)
        for (name in colnames(m)) {
            here <- cellTable(given)[groupOf(m) == name, ]
            row <- cellTable(m)[name, ]
            expect_identical(unique(as.character(here$batch)), as.character(row$batch))
            share <- prop.table(table(as.character(here$cell_type)))
            if (length(share)) {
                expect_equal(share[[as.character(row$cell_type)]], max(share))
                expect_equal(row$cell_type_share, max(share))
            } else {
                expect_true(is.na(row$cell_type) && is.na(row$cell_type_share))
            }
        }
    }
    expect_identical(names(m@commands), "makeMetacells.RNA")
})

test_that("SCE and Seurat, both transports and Python have the same groups", {
    skip_if_no_core()
    x <- simulated()
    groups <- list()
    for (transport in transports) {
        local_transport(transport)
        for (given in list(x, simulatedSeurat(x))) {
            groups <- c(groups, list(groupOf(grouped(given, batch = "batch", labels = "cell_type"))))
        }
    }
    for (group in groups[-1]) expect_identical(group, groups[[1]])
    path <- withr::local_tempfile(fileext = ".h5ad")
    writeStudy(x, path, verbose = FALSE)
    expect_identical(as.character(groups[[1]]), groupsByPython(path))
    other <- groupOf(grouped(x, batch = "batch", seed = 5))
    expect_identical(as.character(other), groupsByPython(path, seed = 5L))
    expect_false(identical(unname(other), unname(groups[[1]])))
})

test_that("features keep their data and positions", {
    skip_if_no_core()
    x <- simulatedPair()[["atac"]]
    m <- grouped(x, 20, name = "atac")
    expect_identical(SummarizedExperiment::rowRanges(m), SummarizedExperiment::rowRanges(x))
    expect_identical(colnames(m), paste0("atac_", 1:20))
    # Without positions, and of another assay, which gives its name.
    plain <- SummarizedExperiment::SummarizedExperiment(
        list(raw = countsOf(x)),
        rowData = S4Vectors::DataFrame(kind = seq_len(nrow(x)), row.names = rownames(x))
    )
    m <- grouped(plain, 20, assay = "raw")
    expect_identical(SummarizedExperiment::rowData(m), SummarizedExperiment::rowData(plain))
    expect_identical(SummarizedExperiment::assayNames(m), "raw")
    expect_identical(groupOf(m), groupOf(grouped(x, 20)))
})

test_that("the embedding that is named decides, and every cell needs one", {
    skip_if_no_core()
    apart <- matrix(rep(1:4, each = 15), 60, dimnames = list(NULL, "x_1"))
    objects <- bothObjects()
    rownames(apart) <- colnames(objects$sce)
    SingleCellExperiment::reducedDim(objects$sce, "OWN") <- apart
    objects$seurat[["OWN"]] <- SeuratObject::CreateDimReducObject(apart, key = "x_", assay = "RNA")
    for (x in objects) {
        m <- grouped(x, 4, embedding = "OWN")
        expect_identical(unname(rowSums(table(groupOf(m), apart) == 15)), rep(1, 4))
        expect_identical(isthmus:::.records(m)$metacells$embedding, "OWN")
    }
    SingleCellExperiment::reducedDim(objects$sce, "OWN")[3, ] <- NA
    expect_error(
        grouped(objects$sce, 4, embedding = "OWN"), "1 of 60 cells without finite numbers, such as 'cell3'",
        class = "isthmus_input_error"
    )
})

test_that("batches and labels may be vectors", {
    skip_if_no_core()
    x <- smallSCE()
    m <- grouped(x, 8, batch = x$donor, labels = unname(x$cell_type))
    expect_identical(groupOf(m), groupOf(grouped(x, 8, batch = "donor")))
    crossed <- table(groupOf(m), x$donor) > 0
    expect_identical(colnames(crossed)[max.col(crossed)], as.character(m$batch_values))
    expect_identical(unname(rowSums(crossed)), rep(1, 8))
    expect_identical(levels(m$label_values), paste0("type", 1:3))
})

test_that("the parts of a split Seurat 5 assay are batches", {
    skip_if_no_core()
    split <- smallSeurat(split = TRUE)
    m <- grouped(split, 8)
    expectSums(m, smallSeurat())
    expect_identical(groupOf(m), groupOf(grouped(smallSeurat(), 8, batch = "donor")))
    expect_setequal(cellTable(m)$batch_values, c("a", "b"))
})

test_that("files and counts on disk give the same", {
    skip_if_no_core()
    skip_if_not_installed("HDF5Array")
    x <- smallSCE()
    m <- grouped(x, 8, batch = "donor")
    rds <- withr::local_tempfile(fileext = ".rds")
    h5ad <- withr::local_tempfile(fileext = ".h5ad")
    saveRDS(x, rds)
    suppressWarnings(writeStudy(x, h5ad, verbose = FALSE))
    disk <- x
    counts <- SummarizedExperiment::assay(x, "counts")
    file <- withr::local_tempfile(fileext = ".h5")
    SummarizedExperiment::assay(disk, "counts", withDimnames = FALSE) <-
        HDF5Array::writeHDF5Array(counts, file, "counts", as.sparse = TRUE)
    for (transport in transports) {
        local_transport(transport)
        for (given in list(rds, h5ad, disk)) {
            y <- grouped(given, 8, batch = "donor")
            expect_identical(countsOf(y), countsOf(m))
            expect_identical(groupOf(y), groupOf(m))
        }
    }
})

test_that("the peaks of a ChromatinAssay come back under their names, without Signac", {
    skip_if_no_core()
    x <- glueSeurat(foreign = TRUE)
    m <- grouped(x, 5, assay = "peaks")
    expect_identical(names(m@assays), "peaks")
    plain <- attr(x@assays$peaks, "counts")
    expected <- t(rowsum(t(as.matrix(plain)), as.character(groupOf(m))))
    expect_equal(countsOf(m, "peaks"), expected[, colnames(m)])
})

test_that("all cells are projected into models of their metacells", {
    skip_if_no_core()
    local_transport("inprocess")
    x <- simulated()
    m <- grouped(x, 100, batch = "batch", labels = "cell_type")
    fitted <- quickly(m)
    expect_identical(groupOf(fitted), groupOf(m))
    y <- projectCells(x, fitted, batch = "batch", verbose = FALSE)
    expectUntouched(y, x)
    y <- transferLabels(y, fitted, labels = "cell_type", unknown_below = 0, verbose = FALSE)
    expect_gt(mean(y$scalex_label == y$cell_type), 0.8)
    z <- embeddingOf(projectCells(simulatedSeurat(x), fitted, batch = "batch", verbose = FALSE))
    expectSameNumbers(unname(z), unname(embeddingOf(y)))
    fitted <- quickly(m, run = runScDREAMER, max_steps = 5)
    y <- projectCells(x, fitted, batch = "batch", verbose = FALSE)
    expect_setequal(isthmus:::.records(y)$projection$batches$known, c("batch1", "batch2"))
    expect_true(all(is.finite(embeddingOf(y, system = "scdreamer"))))
})

test_that("metacells of each modality go into one GLUE, and all cells after them", {
    skip_if_no_core()
    local_transport("inprocess")
    apart <- pairApart()
    ranges <- SummarizedExperiment::rowRanges(apart$rna)
    both <- pairSeurat()
    settings <- list(
        genes = ranges, extend = 20000, n_latent = 4, n_hidden = 16, n_components = 10, max_steps = 20,
        batch_size = 16, n_models = 0, verbose = FALSE
    )
    sce <- lapply(apart, grouped, 30)
    assays <- c(rna = "RNA", atac = "peaks")
    seurat <- lapply(assays, function(assay) grouped(both, 30, assay = assay))
    sce <- do.call(runGLUE, c(list(sce), settings))
    seurat <- do.call(runGLUE, c(list(seurat), settings))
    expect_identical(isthmusModel(seurat$atac)@features, isthmusModel(sce$atac)@features)
    for (name in names(apart)) {
        a <- projectCells(apart[[name]], sce[[name]], modality = name, verbose = FALSE)
        b <- projectCells(both, seurat[[name]], modality = name, assay = assays[[name]], verbose = FALSE)
        expect_identical(dim(embeddingOf(a, system = "glue")), c(90L, 4L))
        expect_equal(unname(embeddingOf(b, system = "glue")), latentOf(a, "glue"), tolerance = 1e-4)
    }
})

test_that("what cannot be grouped is refused in the core's words", {
    skip_if_no_core()
    x <- smallSCE()
    x$n_cells <- x$donor
    expect_snapshot({
        refusal(grouped(x, 60))
        refusal(grouped(x, 1, batch = "donor"))
        refusal(grouped(x, 2.5))
        refusal(grouped(x, NA))
        refusal(grouped(x, 8, assay = "logcounts"))
        refusal(grouped(x, 8, batch = "n_cells"))
        refusal(grouped(x, 8, bacth = "donor"))
    })
})

test_that("what is known to be wrong is refused before anything runs", {
    log <- localCore()
    x <- smallSCE()
    expect_snapshot({
        refusal(grouped(x, 8, batch = "lab"))
        refusal(grouped(x, 8, embedding = "UMAP"))
        refusal(grouped(x, 8, embedding = c("PCA", "UMAP")))
        refusal(grouped(x, 8, use_rep = "PCA"))
        refusal(grouped(x, 8, assay = "spliced"))
        refusal(grouped(matrix(1, 2, 2), 8))
    })
    expect_length(log$calls, 0L)
})
