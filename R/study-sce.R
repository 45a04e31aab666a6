# SingleCellExperiment: what goes to the core, and where results are written.

# @return list(matrix, main, cells, features, source).
.sceMatrix <- function(x, assay = NULL, values = "counts") {
    if (is.null(rownames(x))) {
        .stopInput(
            "feature names", "an object without rownames",
            "name the features: rownames(x) <- rowData(x)$symbol"
        )
    }
    assay <- .sceAssay(x, assay, values)
    list(
        matrix = assay(x, assay, withDimnames = FALSE), main = assay,
        cells = .cellKeys(x), features = rownames(x),
        source = class(x)[1]
    )
}

# The assay to read. Objects that were read from .h5ad call their matrix "X".
.sceAssay <- function(x, assay, values) {
    available <- assayNames(x)
    usual <- if (identical(values, "lognorm")) "logcounts" else "counts"
    wanted <- if (is.null(assay)) c(usual, "X") else assay
    found <- intersect(wanted, available)
    if (length(found) && (is.null(assay) || length(assay) == 1L)) {
        return(found[1])
    }
    .stopInput(
        sprintf("an assay named %s", .quoted(wanted[1])),
        sprintf("the assays: %s", .listed(available)),
        "name the assay to use with assay ="
    )
}

# An SCE has a place for embeddings, a SummarizedExperiment has not.
.asSCE <- function(x) {
    if (.isSCE(x)) x else as(x, "SingleCellExperiment")
}

.sceTarget <- function(x, name) {
    if (name %in% reducedDimNames(x) && is.null(.ownRecord(x, name))) {
        .refuseTaken(
            "embedding", name,
            sprintf("choose another with name =, or remove it: reducedDim(x, %s) <- NULL", .quoted(name))
        )
    }
    list(name = name)
}

# Records that show that isthmus made the embedding of this name.
.ownRecord <- function(x, name) {
    records <- .records(x)
    if (!is.null(records[[name]])) {
        return(records[[name]])
    }
    projection <- records[["projection"]]
    if (identical(projection$name, name)) projection else NULL
}

.putReducedDim <- function(x, z, target) {
    colnames(z) <- paste0(target$name, seq_len(ncol(z)))
    rownames(z) <- colnames(x)
    reducedDim(x, target$name) <- z
    x
}

# @param values matrix, features x cells, with dimnames.
.putImputedSCE <- function(x, values, name) {
    if (identical(rownames(values), rownames(x))) {
        dimnames(values) <- list(rownames(x), colnames(x))
        assay(x, name) <- values
        return(x)
    }
    place <- match(rownames(values), rownames(x))
    if (!anyNA(place) && length(place) == nrow(x)) {
        values <- values[match(rownames(x), rownames(values)), , drop = FALSE]
        colnames(values) <- colnames(x)
        assay(x, name) <- values
        return(x)
    }
    colnames(values) <- colnames(x)
    altExp(x, name) <- SingleCellExperiment(
        assays = setNames(list(values), name)
    )
    x
}

# --- whole objects: reading and writing files --------------------------------

# @param study the list that .callCore returns for "read" and "simulate".
.sceFromStudy <- function(study) {
    cells <- rownames(study$obs)
    features <- rownames(study$var)
    named <- lapply(study$assays, function(m) {
        dimnames(m) <- list(features, cells)
        m
    })
    sce <- SingleCellExperiment(
        assays = named,
        colData = DataFrame(study$obs, row.names = cells, check.names = FALSE),
        rowData = DataFrame(
            study$var, row.names = features, check.names = FALSE
        )
    )
    for (name in names(study$reducedDims)) {
        z <- as.matrix(study$reducedDims[[name]])
        rownames(z) <- cells
        reducedDim(sce, name) <- z
    }
    for (name in names(study$altExps)) {
        altExp(sce, name) <- .sceFromStudy(study$altExps[[name]])
    }
    sce
}

.wholeStudySCE <- function(x) {
    available <- assayNames(x)
    main <- if ("counts" %in% available) "counts" else available[1]
    cells <- .cellKeys(x)
    reductions <- list()
    others <- list()
    if (.isSCE(x)) {
        reductions <- lapply(as.list(reducedDims(x)), as.matrix)
        others <- lapply(as.list(altExps(x)), .wholeStudySCE)
    }
    list(
        assays = lapply(setNames(available, available), function(name) {
            assay(x, name, withDimnames = FALSE)
        }),
        main = main,
        obs = data.frame(colData(x), row.names = cells, check.names = FALSE),
        var = data.frame(
            rowData(x), row.names = rownames(x), check.names = FALSE
        ),
        reducedDims = reductions, altExps = others
    )
}
