# Small objects with two batches and three types that differ in ten genes each.

smallCounts <- function(nCells = 60L, nGenes = 50L, seed = 1L) {
    withr::with_seed(seed, {
        type <- rep_len(1:3, nCells)
        means <- matrix(1, nGenes, nCells)
        for (t in 1:3) means[(t - 1L) * 10L + 1:10, type == t] <- 6
        counts <- matrix(rpois(length(means), means), nGenes)
        storage.mode(counts) <- "double"
        # The oldest and the newest stack spell names alike only without "_".
        dimnames(counts) <- list(
            paste0("gene", seq_len(nGenes)), paste0("cell", seq_len(nCells))
        )
        list(
            counts = as(counts, "CsparseMatrix"),
            data = data.frame(
                donor = rep(c("a", "b"), length.out = nCells)[order(runif(nCells))],
                cell_type = paste0("type", type), row.names = colnames(counts)
            )
        )
    })
}

smallSCE <- function(...) {
    parts <- smallCounts(...)
    x <- SingleCellExperiment::SingleCellExperiment(
        assays = list(counts = parts$counts, logcounts = log1p(parts$counts)),
        colData = S4Vectors::DataFrame(parts$data)
    )
    S4Vectors::metadata(x)$note <- "mine"
    SingleCellExperiment::reducedDim(x, "PCA") <- matrix(
        seq_len(2 * ncol(x)) / 10, ncol(x), 2,
        dimnames = list(colnames(x), c("PC1", "PC2"))
    )
    x
}

smallSeurat <- function(..., split = FALSE) {
    skip_if_not_installed("SeuratObject")
    parts <- smallCounts(...)
    x <- suppressWarnings(SeuratObject::CreateSeuratObject(
        parts$counts, meta.data = parts$data
    ))
    if (!split) {
        return(x)
    }
    skip_if(!seuratFive(), "SeuratObject 5 is not installed")
    x[["RNA"]] <- base::split(x[["RNA"]], f = x$donor)
    x
}

seuratFive <- function() {
    requireNamespace("SeuratObject", quietly = TRUE) &&
        "LayerData" %in% getNamespaceExports("SeuratObject")
}

# Both kinds of object, for tests that ask the same of each.
bothObjects <- function(...) list(sce = smallSCE(...), seurat = smallSeurat(...))

embeddingOf <- function(x, name = NULL, system = "scalex") {
    if (is(x, "SingleCellExperiment")) {
        return(SingleCellExperiment::reducedDim(x, if (is.null(name)) toupper(system) else name))
    }
    SeuratObject::Embeddings(x[[if (is.null(name)) system else name]])
}

# Columns that isthmus adds under its usual names.
usualColumns <- paste0(rep(c("scalex", "scdreamer"), each = 2), c("_label", "_confidence"))

# The object without what isthmus added, to compare with the one that was given.
withoutResults <- function(x) {
    if (is(x, "SingleCellExperiment")) {
        S4Vectors::metadata(x)$isthmus <- NULL
        made <- c("SCALEX", "SCDREAMER", "other")
        for (name in intersect(made, SingleCellExperiment::reducedDimNames(x))) {
            SingleCellExperiment::reducedDim(x, name) <- NULL
        }
        for (name in c("SCALEX", "SCDREAMER")) {
            SummarizedExperiment::assays(x)[[name]] <- NULL
            if (name %in% SingleCellExperiment::altExpNames(x)) {
                SingleCellExperiment::altExp(x, name) <- NULL
            }
        }
        for (column in usualColumns) SummarizedExperiment::colData(x)[[column]] <- NULL
        return(x)
    }
    # Removing the only entry of a list leaves an empty list with names.
    drop <- function(list, names) {
        kept <- list[setdiff(names(list), names)]
        if (length(kept)) kept else list()
    }
    x@misc <- drop(x@misc, "isthmus")
    x@reductions <- drop(x@reductions, c("scalex", "scdreamer", "other"))
    x@assays <- drop(x@assays, c("SCALEX", "SCDREAMER"))
    x@meta.data <- x@meta.data[setdiff(names(x@meta.data), usualColumns)]
    verbs <- "^(runSCALEX|runScDREAMER|projectCells|transferLabels|predictLabels|imputeAssay)[.]"
    ours <- grepl(verbs, names(x@commands))
    x@commands <- drop(x@commands, names(x@commands)[ours])
    x
}

# Nothing but what was asked is new, and nothing that was there has changed.
expectUntouched <- function(after, before) {
    expect_identical(withoutResults(after), withoutResults(before))
    if (is(before, "SingleCellExperiment")) {
        expect_identical(
            SummarizedExperiment::assay(after, "counts"),
            SummarizedExperiment::assay(before, "counts")
        )
        expect_identical(dimnames(after), dimnames(before))
    }
}
