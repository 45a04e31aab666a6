#' Links between peaks and genes
#'
#' @description
#' `peakGeneLinks()` gives the pairs of a peak and a gene whose embeddings in a GLUE model
#' are more alike than chance lets expect, as a GRanges that Signac's `Links<-` takes;
#' `writeBEDPE()` writes them for a genome browser.
#'
#' @param x what [runGLUE()] returned (any of its objects will do), an
#'   [IsthmusModel-class], or the folder of a saved model. No data are needed: the graph
#'   and the embeddings are in the model.
#' @param fdr false discovery rate up to which links are returned; `NULL` returns all
#'   pairs that the guidance graph has.
#' @param alternative `"greater"` looks for pairs that are more alike than by chance,
#'   `"less"` for those that are less so, `"two-sided"` for both.
#' @param name which model, where an object holds several of GLUE: the name of its
#'   embedding.
#' @param null what links are compared with: `"trans"`, pairs far apart; `"decoy"`, edges that
#'   lead far away, which the models of `link_models = "graph"` have seen; or `"shuffled"`
#'   features, where a genome is too short for pairs far apart. `NULL` takes what is honest.
#' @param n_null number of pairs that mean nothing to compare with, about; all pairs of genes and
#'   peaks of the links of a stratum where that is fewer. The more, the smaller a p-value can be:
#'   with hundreds of thousands of links more than the default may call more of them. The default
#'   takes ten seconds at most.
#' @param verbose whether to report progress as messages.
#' @param links what `peakGeneLinks()` returned.
#' @param path the file to write; with `.gz` at its end it is compressed.
#' @param overwrite whether an existing file may be replaced.
#'
#' @details
#' A pair's score is the cosine of the two embeddings, averaged over the models of the
#' fit (`n_models` of [runGLUE()]). Its p-value compares it with the scores of pairs that
#' mean nothing: the gene with peaks of other links of a similar distance, on another
#' chromosome or far away. The q-value is that of Benjamini and Hochberg over all pairs of
#' the graph, which weigh by how many of about their distance mean something. A gene
#' without a strand has no transcription start: its pairs are left out, with a message.
#'
#' To keep them with the data: `metadata(x)$links <- links` in a SingleCellExperiment or
#' MultiAssayExperiment, `Links(x[["peaks"]]) <- links` with Signac.
#'
#' A BEDPE file counts from 0 and leaves the end out. Its first place is the peak, the
#' second the transcription start (one base); the columns `zscore`, `pvalue` and `qvalue`
#' follow. The file is the same as that of `isthmus.genomics.write_bedpe` in Python.
#'
#' @return `peakGeneLinks()` returns a GRanges, strand `*`, the best link first: each
#'   range reaches from the middle of a peak to the transcription start of a gene,
#'   whichever comes first. Its columns are `score` (from -1 to 1), `gene`, `peak`,
#'   `zscore`, `pvalue`, `qvalue`, `distance` (base pairs from the transcription start to
#'   the middle of the peak, below 0 before the gene), `n_null` (scores that mean nothing
#'   and were compared with), `sign` and `weight` of the graph's edge; and for drawing
#'   `peak_start`, `peak_end` (from 1, the end in), `tss` and `gene_strand`.
#'   `writeBEDPE()` returns the path, invisibly.
#' @inherit runGLUE references
#' @seealso [runGLUE()] fits the model, [plotLinks()] draws links, [tfTargets()] finds targets
#'   of transcription factors through them.
#' @examples
#' if (isthmusReady()) {
#'     sim <- simulateMultiome(n_cells = 200, n_genes = 100, n_peaks = 300,
#'         n_types = 3, seed = 1)
#'     sim <- runGLUE(sim, extend = 50000, n_latent = 8, max_steps = 30, link_steps = 30)
#'     links <- peakGeneLinks(sim, fdr = 1)
#'     head(links)
#'     writeBEDPE(links, tempfile(fileext = ".bedpe"))
#' }
#' @export
peakGeneLinks <- function(x, fdr = 0.05, alternative = "greater", name = NULL,
                          null = NULL, n_null = 5e7, verbose = TRUE) {
    model <- .glueModel(x, name)
    result <- .core("links", NULL, list(
        folder = .modelFolder(model), fdr = fdr, alternative = alternative, null = null, n_null = n_null
    ), verbose)
    .linkRanges(result$links)
}

.glueModel <- function(x, name = NULL) {
    model <- .modelOfSystem(x, "glue", name)
    if (model@system == "glue") {
        return(model)
    }
    .stopInput(
        "a model of GLUE", sprintf("a model of %s", .quoted(model@system)),
        "fit one with runGLUE()"
    )
}

# @param table data.frame of the core, the best first, positions from 0 and half-open.
.linkRanges <- function(table) {
    placed <- !is.na(table$chrom) & !is.na(table$peak_start) & !is.na(table$tss)
    if (!all(placed)) {
        message(sprintf(
            "%d of %d links are left out: the place of their peak or gene is not known",
            sum(!placed), length(placed)
        ))
    }
    table <- table[placed, , drop = FALSE]
    middle <- as.integer((table$peak_start + table$peak_end) %/% 2) + 1L
    tss <- as.integer(table$tss) + 1L
    links <- GenomicRanges::GRanges(
        as.character(table$chrom), IRanges::IRanges(pmin(middle, tss), pmax(middle, tss))
    )
    numbers <- c("zscore", "pvalue", "qvalue", "distance", "n_null", "sign", "weight")
    S4Vectors::mcols(links) <- DataFrame(
        score = as.numeric(table$score), gene = as.character(table$gene),
        peak = as.character(table$peak), lapply(table[numbers], as.numeric),
        peak_start = as.integer(table$peak_start) + 1L, peak_end = as.integer(table$peak_end),
        tss = tss, gene_strand = as.character(table$strand)
    )
    links
}

# --- files -------------------------------------------------------------------

#' @rdname peakGeneLinks
#' @export
writeBEDPE <- function(links, path, overwrite = FALSE) {
    .checkLinks(links)
    .checkPath(path, "file")
    .refuseExisting(path, overwrite)
    made <- S4Vectors::mcols(links)
    chrom <- as.character(GenomicRanges::seqnames(links))
    number <- function(x) ifelse(is.na(x), ".", sprintf("%.6g", x))
    whole <- function(x) sprintf("%d", x)
    table <- list(
        chrom, whole(made$peak_start - 1L), whole(made$peak_end), chrom,
        whole(made$tss - 1L), whole(made$tss), paste(made$gene, made$peak, sep = "|"),
        number(made$score), rep(".", length(links)), made$gene_strand,
        number(made$zscore), number(made$pvalue), number(made$qvalue)
    )
    .writeLines(c(.bedpeHead, do.call(paste, c(table, sep = "\t"))), path)
    invisible(path)
}

.bedpeHead <- paste(c(
    "#chrom1", "start1", "end1", "chrom2", "start2", "end2", "name", "score", "strand1",
    "strand2", "zscore", "pvalue", "qvalue"
), collapse = "\t")

# A file that is there is whole: written under another name and renamed.
.writeLines <- function(lines, path) {
    part <- tempfile(".isthmus-", dirname(path))
    on.exit(unlink(part))
    open <- if (grepl("[.]gz$", path)) gzfile else file
    connection <- tryCatch(suppressWarnings(open(part, "wb")), error = function(condition) NULL)
    if (is.null(connection)) {
        .refuseUnwritable(dirname(path))
    }
    tryCatch(writeLines(enc2utf8(lines), connection, useBytes = TRUE), finally = close(connection))
    file.rename(part, path)
}

.linkColumns <- c(
    "score", "gene", "peak", "zscore", "pvalue", "qvalue", "distance", "peak_start",
    "peak_end", "tss", "gene_strand"
)

.checkLinks <- function(links) {
    columns <- if (is(links, "GRanges")) names(S4Vectors::mcols(links))
    if (all(.linkColumns %in% columns)) {
        return(invisible(NULL))
    }
    .stopInput(
        "links as peakGeneLinks() returns them",
        if (is(links, "GRanges")) sprintf("a GRanges with the columns: %s", .listed(columns)) else
            sprintf("an object of class %s", .quoted(class(links)[1])),
        "use links <- peakGeneLinks(x) first"
    )
}
