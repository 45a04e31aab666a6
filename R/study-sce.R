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
    nameless <- !length(available) && length(assays(x)) > 0L
    .stopInput(
        sprintf("an assay named %s", .quoted(wanted[1])),
        if (nameless) "assays without names" else sprintf("the assays: %s", .listed(available)),
        if (nameless) sprintf("name it: assayNames(x) <- %s", .quoted(wanted[1])) else
            "name one of these assays"
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
    for (record in records) {
        # A model of several modalities may have made several embeddings of the object.
        if (is(record, "IsthmusModel") && name %in% record@provenance$embeddings) {
            return(record)
        }
    }
    .projections(x)[[name]]
}

.putReducedDim <- function(x, z, target) {
    colnames(z) <- paste0(target$name, seq_len(ncol(z)))
    rownames(z) <- colnames(x)
    if (!is.null(target$loadings)) {
        # Where scater keeps what the features are to the dimensions.
        attr(z, "rotation") <- .namedLoadings(target$loadings, colnames(z))
    }
    reducedDim(x, target$name) <- z
    x
}

# @param values matrix, features x cells, with dimnames.
.putImputedSCE <- function(x, values, name) {
    if (name %in% altExpNames(x)) altExp(x, name) <- NULL
    if (name %in% assayNames(x)) assay(x, name) <- NULL
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
    ranges <- NULL
    if (.hasPositions(study$var)) {
        ranges <- .rangesFromBed(study$var)
        study$var <- study$var[setdiff(names(study$var), .bedColumns)]
    }
    sce <- SingleCellExperiment(
        assays = named,
        colData = DataFrame(study$obs, row.names = cells, check.names = FALSE),
        rowData = .featureTable(study$var, features)
    )
    if (!is.null(ranges)) {
        S4Vectors::mcols(ranges) <- rowData(sce)
        SummarizedExperiment::rowRanges(sce) <- ranges
    }
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

# Feature columns that say where a feature lies, as BED and scverse name them.
.bedColumns <- c("chrom", "chromStart", "chromEnd", "strand")

.hasPositions <- function(var) {
    bed <- .bedColumns[1:3]
    all(bed %in% names(var)) && nrow(var) > 0L && !anyNA(var[bed])
}

# BED counts from 0 and leaves the end out, GRanges counts from 1 and has it in.
.rangesFromBed <- function(bed) {
    strand <- if (is.null(bed$strand)) "*" else as.character(bed$strand)
    strand[!strand %in% c("+", "-")] <- "*"
    ranges <- GenomicRanges::GRanges(
        as.character(bed$chrom),
        IRanges::IRanges(bed$chromStart + 1L, bed$chromEnd), strand
    )
    names(ranges) <- rownames(bed)
    ranges
}

.bedFromRanges <- function(x) {
    ranges <- SummarizedExperiment::rowRanges(x)
    if (is(ranges, "GRanges")) .bedOf(ranges)
}

.bedOf <- function(ranges) {
    strand <- as.character(GenomicRanges::strand(ranges))
    data.frame(
        chrom = as.character(GenomicRanges::seqnames(ranges)),
        chromStart = GenomicRanges::start(ranges) - 1L,
        chromEnd = GenomicRanges::end(ranges),
        strand = ifelse(strand == "*", ".", strand)
    )
}

# An SCE with a feature column of one of these names cannot be subset: they are
# reserved for genomic ranges.
.reservedColumns <- c("seqnames", "ranges", "strand", "start", "end", "width", "element")

.featureTable <- function(var, features) {
    taken <- names(var) %in% .reservedColumns
    if (any(taken)) {
        message(
            "Feature columns renamed, as SingleCellExperiment reserves their names: ",
            toString(names(var)[taken]), " (now with \"feature_\" in front)"
        )
        names(var)[taken] <- paste0("feature_", names(var)[taken])
    }
    DataFrame(var, row.names = features, check.names = FALSE)
}

.wholeStudySCE <- function(x) {
    available <- assayNames(x)
    main <- if ("counts" %in% available) "counts" else available[1]
    cells <- .cellKeys(x)
    .checkNames(cells, "cell")
    .checkNames(rownames(x), "feature")
    reductions <- list()
    others <- list()
    var <- data.frame(rowData(x), row.names = rownames(x), check.names = FALSE)
    bed <- if (is(x, "RangedSummarizedExperiment")) .bedFromRanges(x)
    if (!is.null(bed)) var[names(bed)] <- bed
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
        var = var,
        reducedDims = reductions, altExps = others
    )
}
