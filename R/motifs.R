# Which peaks hold which motifs, and which peaks there are, in whatever form users have
# them. Objects of Signac are told by what they hold, and first: without Signac is()
# fails on them.

.isMotif <- function(x) !is.null(attr(x, "motif.names"))

.isTable <- function(x) is.data.frame(x) || is(x, "DataFrame")

# @return list(study, table): a study with TFs as cells and peaks as features, or a
#   data.frame of peak and tf; the other one is NULL.
.motifsFor <- function(motifs) {
    if (.isMotif(motifs) || .isChromatin(motifs)) {
        return(list(study = .signacMotifs(motifs)))
    }
    if (.isTable(motifs)) {
        return(list(table = .textColumns(motifs, c("peak", "tf"), .refuseMotifTable)))
    }
    if (is(motifs, "SummarizedExperiment")) {
        return(list(study = .matchedMotifs(motifs)))
    }
    if (is.matrix(motifs) || is(motifs, "Matrix") || .isDelayed(motifs)) {
        return(list(study = .motifStudy(motifs, colnames(motifs), .peakTable(rownames(motifs)))))
    }
    .stopInput(
        paste(
            "motifs as a Motif or ChromatinAssay of Signac, a SummarizedExperiment of motifmatchr,",
            "a matrix (peaks x TFs), or a data.frame with the columns peak and tf"
        ),
        sprintf("an object of class %s", .quoted(class(motifs)[1])),
        if (.isSeurat(motifs)) "give the assay that holds them, motifs = x[[\"peaks\"]] for example" else
            "give one of these"
    )
}

.refuseMotifTable <- function(columns) {
    .stopInput(
        "a table of motifs with the columns peak and tf",
        sprintf("the columns: %s", .listed(columns)),
        "rename them, or give peaks x TFs as a matrix: as.matrix(motifs)"
    )
}

# @param refuse what to call with the names of the columns where one lacks.
# @return data.frame of these columns as text.
.textColumns <- function(table, columns, refuse) {
    if (!all(columns %in% colnames(table))) refuse(colnames(table))
    as.data.frame(lapply(setNames(columns, columns), function(name) as.character(table[[name]])))
}

# --- matrices of motifs ------------------------------------------------------

# @param matrix peaks x TFs.
# @param peaks data.frame of the rows, by name, as .peakTable() makes it.
.motifStudy <- function(matrix, tfs, peaks) {
    if (is.null(tfs)) {
        .stopInput(
            "names of the TFs", "motifs without column names", "name them: colnames(motifs) <- tfs"
        )
    }
    .checkNames(tfs, "TF")
    list(
        assays = list(motifs = matrix), main = "motifs", obs = data.frame(row.names = tfs),
        var = peaks, reducedDims = list(), altExps = list()
    )
}

# A Motif, alone or within a ChromatinAssay, which knows where the peaks lie.
.signacMotifs <- function(x) {
    held <- if (.isMotif(x)) x else attr(x, "motifs")
    if (!.isMotif(held)) {
        .stopInput(
            "a ChromatinAssay with motifs", "one without", "add them with Signac's AddMotifs() first"
        )
    }
    matrix <- attr(held, "data")
    ids <- colnames(matrix)
    names <- lapply(attr(held, "motif.names")[ids], function(name) c(as.character(name), NA)[1])
    peaks <- .peakTable(if (.isChromatin(x)) x else rownames(matrix))
    # A subset of the peaks may have been searched.
    .motifStudy(matrix, .tfNames(ids, unlist(names)), .peakRows(peaks, rownames(matrix)))
}

.peakRows <- function(table, names) {
    if (all(names %in% rownames(table))) table[names, , drop = FALSE] else .peakTable(names)
}

# What motifmatchr's matchMotifs() returns.
.matchedMotifs <- function(x) {
    name <- if (length(assays(x)) == 1L) 1L else match("motifMatches", assayNames(x))
    if (!length(assays(x)) || is.na(name)) {
        .stopInput(
            "an assay named \"motifMatches\"", sprintf("the assays: %s", .listed(assayNames(x))),
            "name the assay that tells which peaks hold a motif so"
        )
    }
    names <- colData(x)[["name"]]
    .motifStudy(
        assay(x, name, withDimnames = FALSE),
        if (is.null(names)) colnames(x) else .tfNames(colnames(x), as.character(names)),
        .peakTable(x)
    )
}

# A TF is called by its name; where several motifs share one, by name and id.
.tfNames <- function(ids, names) {
    if (is.null(names)) {
        return(ids)
    }
    if (is.null(ids)) ids <- as.character(seq_along(names))
    named <- !is.na(names) & nzchar(names)
    shared <- names %in% names[duplicated(names)]
    ifelse(!named, ids, ifelse(shared & names != ids, paste(names, ids, sep = "_"), names))
}

# --- peaks -------------------------------------------------------------------

# @param x names, a GRanges, or an object or a table with a row for each peak.
# @return data.frame of the peaks by name: .bedColumns where their positions are known,
#   and all other plain columns.
.peakTable <- function(x) {
    if (is.character(x)) {
        return(.peakFrame(x))
    }
    if (.isChromatin(x)) {
        return(.peakFrame(.assayFeatures(x), .bedOf(attr(x, "ranges")), attr(x, "meta.features")))
    }
    if (.isTable(x)) {
        return(.peaksOfFrame(as.data.frame(x, optional = TRUE)))
    }
    if (is(x, "GRanges")) {
        return(.peakFrame(.rangeNames(x, names(x)), .bedOf(x), S4Vectors::mcols(x)))
    }
    if (is(x, "SummarizedExperiment")) {
        ranges <- if (is(x, "RangedSummarizedExperiment")) SummarizedExperiment::rowRanges(x)
        placed <- is(ranges, "GRanges")
        names <- if (placed) .rangeNames(ranges, rownames(x)) else rownames(x)
        return(.peakFrame(names, if (placed) .bedOf(ranges), rowData(x)))
    }
    if (is.null(x)) .refuseNameless()
    .stopInput(
        paste(
            "peaks as names, a GRanges, a SummarizedExperiment, a ChromatinAssay of Signac,",
            "or a data.frame with a row for each"
        ),
        sprintf("an object of class %s", .quoted(class(x)[1])),
        if (.isSeurat(x)) "give the assay that holds them, x[[\"peaks\"]] for example" else
            "give one of these"
    )
}

.refuseNameless <- function() {
    .stopInput(
        "names of the peaks", "rows without names",
        "name them as the links do: rownames(x) <- peaks"
    )
}

# Ranges without names have those that R writes.
.rangeNames <- function(ranges, names) {
    if (!is.null(names)) {
        return(names)
    }
    sprintf(
        "%s:%d-%d", as.character(GenomicRanges::seqnames(ranges)), GenomicRanges::start(ranges),
        GenomicRanges::end(ranges)
    )
}

.peaksOfFrame <- function(table) {
    ranges <- .rangesFromFrame(table)
    if (!is.null(ranges)) {
        return(.peakTable(ranges))
    }
    if (is.integer(.row_names_info(table, 0L))) .refuseNameless()
    .peakFrame(rownames(table), NULL, table)
}

# @param bed data.frame of positions, or NULL where only the names tell them.
# @param others table with a row for each peak; what cannot cross is left out.
.peakFrame <- function(names, bed = NULL, others = NULL) {
    if (is.null(names)) .refuseNameless()
    .checkNames(names, "peak")
    table <- data.frame(row.names = names)
    table[names(bed)] <- bed
    for (name in setdiff(colnames(others), c(names(bed), .reservedColumns))) {
        if (!is.null(.columnKind(others[[name]]))) table[[name]] <- others[[name]]
    }
    table
}
