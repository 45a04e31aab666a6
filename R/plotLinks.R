#' Draw links between peaks and genes
#'
#' @description
#' Draws the links of one gene, or of a region, as arcs from peaks to transcription
#' starts, above the peaks and the genes that lie there. The darker and thicker an arc,
#' the higher is its score.
#'
#' @param links what [peakGeneLinks()] returned.
#' @param gene name of a gene: its links, and enough around them to see them all.
#' @param region where to look: a GRanges of one range, or a string such as
#'   `"chr1:1,000,000-1,200,000"` (from 1, the end in), with `chr` or without. All links that
#'   lie in it are drawn.
#' @param genes the bodies of genes, as in [runGLUE()]: a GRanges, an EnsDb, a data.frame
#'   or a path. `NULL` draws only the transcription starts of genes that have links. A gene
#'   that the links call by its id has its name here, where there is one.
#' @param limit colours and widths reach from scores of 0 to this one; `NULL` means the
#'   highest that is drawn.
#' @param main title; `NULL` names the gene or the region.
#'
#' @details
#' A path of an annotation is read by the Python core, everything else is drawn without.
#' The picture goes to the current graphics device: about 8 x 4 inches suit it.
#'
#' @return the links that were drawn, invisibly, the highest score last.
#' @seealso [peakGeneLinks()], [writeBEDPE()] for a genome browser.
#' @examples
#' middle <- c(12000, 30500, 41000)
#' links <- GenomicRanges::GRanges("chr1", IRanges::IRanges(pmin(middle, 20000), pmax(middle, 20000)),
#'     score = c(0.9, 0.4, 0.6), gene = "A", peak = paste0("peak", 1:3),
#'     zscore = 3:1, pvalue = 0.01, qvalue = 0.02, distance = middle - 20000,
#'     peak_start = as.integer(middle - 400), peak_end = as.integer(middle + 400),
#'     tss = 20000L, gene_strand = "+")
#' genes <- data.frame(seqnames = "chr1", start = 20000, end = 38000, strand = "+",
#'     gene_name = "A")
#' plotLinks(links, gene = "A", genes = genes)
#' @export
plotLinks <- function(links, gene = NULL, region = NULL, genes = NULL, limit = NULL,
                      main = NULL) {
    .checkLinks(links)
    view <- .linkView(links, gene, region)
    shown <- .linksIn(links, gene, view)
    shown <- shown[order(S4Vectors::mcols(shown)$score)]
    bodies <- .genesIn(genes, shown, view)
    if (is.null(main)) main <- if (is.null(gene)) .regionText(view) else gene
    old <- graphics::par(mar = c(2.6, 5, 2.5, 1.5), mgp = c(1.6, 0.4, 0), tcl = -0.25)
    on.exit(graphics::par(old))
    rows <- max(bodies$row, 1L)
    # From 0 to 1 the arcs, below that a lane of peaks and the lanes of genes.
    lanes <- c(peaks = -0.1, genes = -0.28)
    graphics::plot.new()
    graphics::plot.window(
        c(view$start, view$end), c(lanes[["genes"]] - 0.15 * rows, 1.02), xaxs = "i", yaxs = "i"
    )
    .drawArcs(shown, view, limit)
    .drawPeaks(shown, view, lanes[["peaks"]])
    .drawGenes(bodies, view, lanes[["genes"]], gene)
    .drawAxis(view)
    graphics::title(main = main, adj = 0, line = 0.7, cex.main = 1.1, font.main = if (is.null(gene)) 2 else 4)
    .drawLegend(shown, limit)
    invisible(shown)
}

# --- what to draw ------------------------------------------------------------

# @return list(chrom, start, end).
.linkView <- function(links, gene, region) {
    if (is.null(gene) == is.null(region)) {
        .stopInput(
            "either a gene or a region", if (is.null(gene)) "neither" else "both",
            "give gene = \"GATA1\" or region = \"chr1:1000000-1200000\", for example"
        )
    }
    if (!is.null(region)) {
        view <- .regionOf(region)
        view$chrom <- .chromAsIn(links, view$chrom)
        return(view)
    }
    mine <- links[S4Vectors::mcols(links)$gene %in% gene]
    if (!length(mine) || length(gene) != 1L) {
        .stopInput(
            sprintf("the name of one gene that has links, such as %s",
                .listed(unique(S4Vectors::mcols(links)$gene), 3L)),
            .quoted(gene), "choose another, or ask for more links with a larger fdr ="
        )
    }
    made <- S4Vectors::mcols(mine)
    ends <- range(made$peak_start, made$peak_end, made$tss)
    # Beside a gene that fills the view there is room for its name.
    margin <- max((0.05 + 0.0125 * nchar(gene)) * diff(ends), 1000)
    list(
        chrom = as.character(GenomicRanges::seqnames(mine))[1],
        start = max(ends[1] - margin, 1), end = ends[2] + margin
    )
}

.regionOf <- function(region) {
    if (is.character(region) && length(region) == 1L) {
        parts <- regmatches(region, regexec("^(.+):([0-9,]+)-([0-9,]+)$", region))[[1]]
        numbers <- as.numeric(gsub(",", "", parts[3:4]))
        view <- list(chrom = parts[2], start = numbers[1], end = numbers[2])
    } else if (is(region, "GRanges") && length(region) == 1L) {
        view <- list(
            chrom = as.character(GenomicRanges::seqnames(region)),
            start = GenomicRanges::start(region), end = GenomicRanges::end(region)
        )
    } else {
        view <- list(start = NA, end = NA)
    }
    if (anyNA(unlist(view)) || view$end <= view$start) {
        .stopInput(
            "a region as a GRanges of one range, or as \"chr1:1000000-1200000\"",
            if (is.character(region)) .quoted(region) else
                sprintf("%d values of class %s", length(region), .quoted(class(region)[1])),
            "write chromosome, start and end, the end after the start"
        )
    }
    view
}

# As for genes: the region may be written in another style than the links.
.chromAsIn <- function(links, chrom) {
    known <- unique(as.character(GenomicRanges::seqnames(links)))
    alike <- known[.bareChrom(known) == .bareChrom(chrom)]
    if (length(alike) && !chrom %in% alike) alike[1] else chrom
}

.regionText <- function(view) {
    number <- function(x) format(round(x), big.mark = ",", scientific = FALSE, trim = TRUE)
    sprintf("%s: %s - %s", view$chrom, number(view$start), number(view$end))
}

.linksIn <- function(links, gene, view) {
    if (!is.null(gene)) {
        return(links[S4Vectors::mcols(links)$gene == gene])
    }
    here <- as.character(GenomicRanges::seqnames(links)) == view$chrom &
        GenomicRanges::start(links) >= view$start & GenomicRanges::end(links) <= view$end
    if (!any(here)) {
        .stopInput(
            "a region with links", sprintf("none within %s", .regionText(view)),
            "choose another, or ask for more links with a larger fdr ="
        )
    }
    links[here]
}

# @return data.frame(name, id, chrom, start, end, strand, side, row) of the genes in view: on
#   which side the name stands ("left", "right", "above"), and rows without overlaps.
.genesIn <- function(genes, shown, view) {
    known <- if (!is.null(genes)) .inView(.bodiesOf(genes), view)
    made <- S4Vectors::mcols(shown)
    starts <- data.frame(
        name = made$gene, id = made$gene, chrom = rep(view$chrom, length(shown)),
        start = made$tss, end = made$tss, strand = made$gene_strand
    )
    # Of genes that have links and no body here, the links tell the start.
    known <- rbind(known, .inView(starts[!.isGene(starts, c(known$name, known$id)), ], view))
    known <- known[order(known$start), , drop = FALSE]
    span <- view$end - view$start
    room <- (nchar(known$name) * 0.0125 + 0.02) * span
    left <- pmax(known$start, view$start)
    right <- pmin(known$end, view$end)
    known$side <- ifelse(left - room >= view$start, "left",
        ifelse(right + room <= view$end, "right", "above"))
    known$row <- .packed(
        left - ifelse(known$side == "left", room, 0),
        right + ifelse(known$side == "right", room, 0), 0.02 * span
    )
    known
}

# Whether a gene is called by one of these, its name or its id.
.isGene <- function(bodies, called) {
    called <- .withoutVersion(called)
    .withoutVersion(bodies$name) %in% called | .withoutVersion(bodies$id) %in% called
}

# Ensembl's ids, as the core compares them.
.withoutVersion <- function(ids) sub("^(ENS[A-Z]*[0-9]+)\\.[0-9]+(_PAR_Y)?$", "\\1", ids)

.inView <- function(bodies, view) {
    here <- .bareChrom(bodies$chrom) == .bareChrom(view$chrom) &
        bodies$end >= view$start & bodies$start <= view$end
    bodies[here & !duplicated(bodies[c("name", "start", "end")]), , drop = FALSE]
}

# As the core compares them: "chr1" and "1" are the same, and so are "chrM" and "MT".
.bareChrom <- function(chrom) {
    bare <- sub("^chr", "", chrom, ignore.case = TRUE)
    ifelse(bare == "M", "MT", bare)
}

# A gene without a name is called by its id, as in the core; without both it is left out.
.bodiesOf <- function(genes) {
    genes <- .genesFor(genes)
    if (is.character(genes)) genes <- .core("genes", NULL, list(path = genes))$genes
    absent <- rep(NA_character_, nrow(genes))
    column <- function(name) if (is.null(genes[[name]])) absent else as.character(genes[[name]])
    names <- column("gene_name")
    ids <- column("gene_id")
    names <- ifelse(is.na(names) | names == "", ids, names)
    bodies <- data.frame(
        name = names, id = ids, chrom = as.character(genes$chrom),
        start = genes$chromStart + 1, end = genes$chromEnd, strand = as.character(genes$strand)
    )
    bodies[!is.na(names) & names != "", , drop = FALSE]
}

# Rows for stretches in the order of their starts: for each the first with room.
.packed <- function(start, end, gap) {
    full <- numeric()
    row <- integer(length(start))
    for (i in seq_along(start)) {
        free <- which(full + gap <= start[i])
        row[i] <- if (length(free)) free[1] else length(full) + 1L
        full[row[i]] <- end[i]
    }
    row
}
