# Motifs of few TFs in peaks of one width, links of few genes, and the forms in which R's
# users have them.

motifPeaks <- function(n = 200L) {
    start <- 1000L * seq_len(n)
    sprintf("chr%d:%d-%d", rep(1:2, n / 2), start, start + 499L)
}

# @return matrix, peaks x TFs, 1 where the peak holds the motif.
motifMatrix <- function(n = 200L) {
    withr::with_seed(3, {
        m <- vapply(c(GATA1 = 0.1, SPI1 = 0.3, CTCF = 0.5), function(p) rbinom(n, 1L, p), integer(n))
    })
    dimnames(m) <- list(motifPeaks(n), colnames(m))
    as(m, "CsparseMatrix")
}

# Each gene has five peaks; those of "target" all hold GATA1's motif.
motifLinks <- function(m = motifMatrix()) {
    withr::with_seed(4, {
        peak <- c(sample(rownames(m), 30L), sample(rownames(m)[m[, "GATA1"] > 0], 5L))
    })
    data.frame(peak = peak, gene = rep(c(paste0("gene", 1:6), "target"), each = 5L))
}

# The ranges as R writes them: from 1, the end in.
motifRanges <- function(m = motifMatrix()) {
    ranges <- GenomicRanges::GRanges(rownames(m))
    names(ranges) <- rownames(m)
    ranges
}

matched <- function(m = motifMatrix(), names = colnames(m)) {
    force(names)
    ranges <- motifRanges(m)
    ranges$bias <- seq_along(ranges) / length(ranges)
    m <- unname(m)
    SummarizedExperiment::SummarizedExperiment(
        list(motifScores = m * 7, motifMatches = m > 0), rowRanges = ranges,
        colData = S4Vectors::DataFrame(name = names, row.names = paste0("MA", seq_along(names)))
    )
}

# Objects of Signac as they are read where it is not installed: with no definition.
signacMotif <- function(m = motifMatrix(), names = as.list(colnames(m))) {
    force(names)
    ids <- paste0("MA", seq_len(ncol(m)))
    dimnames(m) <- list(gsub("[:_]", "-", rownames(m)), ids)
    here <- new.env()
    fake <- methods::setClass("FakeMotif", methods::representation(
        data = "dgCMatrix", motif.names = "list"
    ), where = here)
    x <- fake(data = m, motif.names = setNames(names, ids))
    methods::removeClass("FakeMotif", where = here)
    attr(x, "class") <- structure("Motif", package = "Signac")
    x
}

chromatinAssay <- function(m = motifMatrix(), motifs = signacMotif(m)) {
    skip_if_not_installed("SeuratObject")
    counts <- m[, c(1, 1, 2)] + 1
    dimnames(counts) <- list(gsub("[:_]", "-", rownames(m)), paste0("cell", 1:3))
    x <- SeuratObject::CreateAssayObject(counts)
    attr(x, "meta.features") <- data.frame(
        GC.percent = seq_len(nrow(m)) / nrow(m) * 100, row.names = rownames(counts)
    )
    attr(x, "ranges") <- unname(motifRanges(m))
    attr(x, "motifs") <- motifs
    attr(x, "class") <- structure("ChromatinAssay", package = "Signac")
    x
}
