#' Targets of transcription factors
#'
#' @description
#' `tfTargets()` asks for every gene and transcription factor (TF) whether the peaks linked
#' to the gene hold the TF's motif more often than peaks like them. `tfRankings()` makes a
#' matrix of it that ranks all genes for each TF.
#'
#' @param links what [peakGeneLinks()] or Signac's `LinkPeaks()` found, a GRanges, or a
#'   data.frame with the columns `peak` and `gene`. All links given count: choose them by
#'   `fdr` there.
#' @param motifs which peaks hold which motifs:
#'   * a ChromatinAssay of Signac that holds motifs, or a Motif object (Signac need not be
#'     installed);
#'   * a SummarizedExperiment with the assay `motifMatches`, as motifmatchr's
#'     `matchMotifs()` returns;
#'   * a matrix, sparse or not, of peaks x TFs with names of both, not 0 (or `TRUE`) where
#'     the peak holds the motif;
#'   * or a data.frame with the columns `peak` and `tf`, such as the peaks of ChIP-seq
#'     experiments; give `peaks`, too.
#' @param peaks all peaks to draw from: names, a GRanges, a SummarizedExperiment, a
#'   ChromatinAssay, or a data.frame with a row for each (positions in columns or in its row
#'   names). `NULL` takes the rows of `motifs`. Motifs of other peaks are left out.
#' @param n_draws how often peaks are drawn, as in the paper. `NULL` computes the probabilities
#'   that many draws would approach, in less time, and smaller ones than 1 / (n_draws + 1): with
#'   hundreds of TFs, 1,000 draws leave no q-value small.
#' @param seed random seed of the draws.
#' @param match names of columns of `peaks` with numbers, such as GC content, in which drawn
#'   peaks shall be alike, too: columns of the table or GRanges, of `rowData`, or of the
#'   `meta.features` of a ChromatinAssay (`"GC.percent"`).
#' @param verbose whether to report progress as messages.
#' @param table what `tfTargets()` returned.
#' @param genes names of all genes to rank, at least those of the table.
#' @param tfs names of the TFs; `NULL` takes those of the table.
#'
#' @details
#' The test is that of Cao and Gao (2022): every linked peak is replaced by one drawn among
#' all peaks of about its length, and the p-value is the probability of at least as many peaks
#' with the motif; with `n_draws` (k + 1) / (n_draws + 1), k of the draws having so many. The
#' q-value is that of Benjamini and Hochberg over all TFs and linked genes, those without such
#' a peak included.
#'
#' Names of peaks that differ in punctuation alone, as Seurat's `chr1-100-200` and
#' `chr1:100-200`, are of one peak. Ranges without names are called `chr1:100-200` (from 1,
#' the end in). A TF is called by the name of its motif; where several motifs share a name,
#' by name and id.
#'
#' The rankings are those that SCENIC prunes modules with: write them for Python, or select
#' genes whose rank for a TF is small.
#'
#' @return `tfTargets()` returns a data.frame with a row for each TF and gene with at least
#'   one linked peak that holds the motif, by TF (in the order of `motifs`) and rank:
#'   `tf`, `gene`, `n_peaks` (linked peaks with the motif), `pvalue`, `qvalue`, and `rank` of
#'   the gene among those of the TF, 1 for the least p-value, ties averaged. With the same
#'   seed they are those of `isthmus.genomics.tf_targets` in Python.
#'
#'   `tfRankings()` returns a matrix, genes x TFs: ranks from 1, those of the table; genes
#'   without a linked peak that holds the motif share the mean of the ranks that are left.
#' @references
#' Cao ZJ, Gao G (2022). Multi-omics single-cell data integration and regulatory inference
#' with graph-linked embedding. *Nature Biotechnology* 40, 1458-1466.
#' \doi{10.1038/s41587-022-01284-4}
#'
#' Aibar S, et al. (2017). SCENIC: single-cell regulatory network inference and clustering.
#' *Nature Methods* 14, 1083-1086. \doi{10.1038/nmeth.4463}
#' @seealso [peakGeneLinks()] gives the links.
#' @examples
#' if (isthmusReady()) {
#'     peaks <- sprintf("chr1:%d-%d", 1000 * 1:200, 1000 * 1:200 + 500)
#'     links <- data.frame(peak = peaks[1:60], gene = rep(c("A", "B", "C"), each = 20))
#'     motifs <- cbind(GATA1 = rep(c(TRUE, FALSE), c(15, 185)), SPI1 = rep(c(FALSE, TRUE), 100))
#'     rownames(motifs) <- peaks
#'     targets <- tfTargets(links, motifs)
#'     targets
#'     tfRankings(targets, genes = LETTERS[1:5])
#' }
#' @export
tfTargets <- function(links, motifs, peaks = NULL, n_draws = NULL, seed = 0,
                      match = character(), verbose = TRUE) {
    links <- .linkTable(links)
    held <- .motifsFor(motifs)
    if (is.null(peaks) && !is.null(held$table)) {
        .stopInput(
            "peaks, as a table of peaks and TFs does not tell which peaks hold no motif", "none",
            "give peaks = (all peaks: names, a GRanges or an object that has them), or motifs as a matrix"
        )
    }
    tables <- list(
        links = links, motifs = held$table, peaks = if (!is.null(peaks)) .peakTable(peaks)
    )
    settings <- c(.settings(n_draws = n_draws, seed = seed), list(match = I(match)))
    request <- .bundle(Filter(Negate(is.null), list(motifs = held$study)), tables)
    .core("tf_targets", request, settings, verbose)$targets
}

.linkTable <- function(links) {
    table <- if (is(links, "GRanges")) S4Vectors::mcols(links) else links
    refuse <- function(columns) {
        .stopInput(
            "links as peakGeneLinks() returns them, or a data.frame with the columns peak and gene",
            if (.isTable(table)) sprintf("the columns: %s", .listed(columns)) else
                sprintf("an object of class %s", .quoted(class(links)[1])),
            "use links <- peakGeneLinks(x) first, or rename the columns"
        )
    }
    if (!.isTable(table)) refuse()
    .textColumns(table, c("peak", "gene"), refuse)
}

#' @rdname tfTargets
#' @export
tfRankings <- function(table, genes, tfs = NULL) {
    columns <- c("tf", "gene", "rank")
    if (!.isTable(table) || !all(columns %in% colnames(table))) {
        .stopInput(
            "a table as tfTargets() returns it",
            if (.isTable(table)) sprintf("the columns: %s", .listed(colnames(table))) else
                sprintf("an object of class %s", .quoted(class(table)[1])),
            "use table <- tfTargets(links, motifs) first"
        )
    }
    .checkText(genes, "genes")
    if (!is.null(tfs)) .checkText(tfs, "TFs")
    tables <- list(table = as.data.frame(table[columns]), genes = data.frame(gene = genes))
    made <- .core("tf_rankings", .bundle(list(), tables), list(tfs = if (!is.null(tfs)) I(tfs)))
    matrix(made$ranks, length(genes), dimnames = list(genes, as.character(made$tfs)))
}

.checkText <- function(x, what) {
    if (is.character(x) && length(x) && !anyNA(x)) {
        return(invisible(NULL))
    }
    .stopInput(
        sprintf("names of %s", what),
        sprintf("%d values of class %s", length(x), .quoted(class(x)[1])), "give a vector of text"
    )
}
