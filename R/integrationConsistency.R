#' Whether an integration of modalities can be trusted
#'
#' @description
#' `integrationConsistency()` asks whether features that the guidance graph links, such as a
#' gene and the peak at its promoter, rise and fall together in the cells that a model of GLUE
#' laid on each other. `plotConsistency()` draws the answer.
#'
#' @param x what [runGLUE()] returned, with all its modalities: a `MultiAssayExperiment`, a named
#'   list of objects, or one Seurat object or SingleCellExperiment, with `assays`; or the path of
#'   an `.rds` file with one of these.
#' @param n_metacells into how many groups the cells are put, one or several numbers from 3 on.
#' @param assays,layer what was read, as in [runGLUE()].
#' @param name which model, where an object holds several of GLUE: the name of its
#'   embedding.
#' @param verbose whether to report progress as messages.
#' @param table what `integrationConsistency()` returned.
#' @param main the title.
#'
#' @details
#' Cells of all modalities are put into groups together, by k-means in their common
#' embedding, and the values of each modality are summed up in each group. The score is the
#' mean over the edges of the graph, by their weights, of the Spearman correlation of the two
#' ends over the groups, with the sign of the edge.
#'
#' That modalities mix in the embedding is no proof that they belong together, and this asks
#' the features instead. A curve that stays above 0.05 can be trusted, say the authors of
#' GLUE; of data that have nothing to do with each other it is near 0.
#'
#' @return `integrationConsistency()` returns a data.frame with a row for each number of groups:
#'   `n_metacells`, `consistency` (from -1 to 1, `NaN` with fewer than three groups that both
#'   modalities have cells in) and `n_shared`, the groups with cells of both.
#'   `plotConsistency()` returns `table`, invisibly.
#' @inherit runGLUE references
#' @seealso [runGLUE()] fits the model, [plotModalities()] draws the cells.
#' @examples
#' if (isthmusReady()) {
#'     sim <- simulateMultiome(n_cells = 200, n_genes = 100, n_peaks = 300,
#'         n_types = 3, seed = 1)
#'     sim <- runGLUE(sim, n_latent = 8, max_steps = 30, n_models = 0)
#'     table <- integrationConsistency(sim, n_metacells = c(5, 10, 20))
#'     plotConsistency(table)
#' }
#' @export
integrationConsistency <- function(x, n_metacells = c(10, 20, 50, 100, 200), assays = NULL,
                                   layer = NULL, name = NULL, verbose = TRUE) {
    x <- .readOne(x)
    model <- .glueModel(x, name)
    result <- .core("consistency", .bundle(.fittedStudies(x, model, assays, layer)), list(
        folder = .modelFolder(model), n_metacells = I(n_metacells)
    ), verbose)
    as.data.frame(result$consistency)
}

# The modalities as the model read them in its fit.
.fittedStudies <- function(x, model, assays, layer) {
    .alignedCells(x, model) # else x is not all that was fitted
    parts <- .modalities(x, assays)$parts
    known <- names(model@provenance$modalities)
    absent <- setdiff(known, names(parts))
    if (length(absent)) {
        .stopInput(
            sprintf("all modalities of the model: %s", .listed(known)),
            .listed(names(parts)), "give what runGLUE() returned"
        )
    }
    layer <- .byModality(layer, names(parts), "layer")
    lapply(setNames(nm = known), function(modality) {
        part <- parts[[modality]]
        assay <- if (.isSeurat(part$x) || is.null(layer[[modality]])) part$assay else layer[[modality]]
        .queryStudy(part$x, model, assay, layer[[modality]], modality = modality)
    })
}

#' @rdname integrationConsistency
#' @export
plotConsistency <- function(table, main = "Integration consistency") {
    columns <- c("n_metacells", "consistency")
    known <- is.data.frame(table) && all(columns %in% names(table))
    if (!known || all(is.na(table$consistency))) {
        .stopInput(
            "a table with columns 'n_metacells' and 'consistency' and at least one score",
            if (is.data.frame(table)) {
                sprintf("%d rows with the columns %s", nrow(table), .listed(names(table)))
            } else {
                sprintf("an object of class %s", .quoted(class(table)[1]))
            },
            "pass what integrationConsistency() gives"
        )
    }
    shown <- table[!is.na(table$consistency), ]
    shown <- shown[order(shown$n_metacells), ]
    old <- graphics::par(mar = c(3.2, 4.4, 2.5, 1), mgp = c(2, 0.5, 0), tcl = -0.25, las = 1)
    on.exit(graphics::par(old))
    graphics::plot(
        shown$n_metacells, shown$consistency, type = "o", log = "x", pch = 19, lwd = 2, col = "#3F90DA",
        ylim = range(0, .trusted * 1.5, shown$consistency), xaxt = "n", bty = "l", main = "",
        xlab = "groups of aligned cells", ylab = "", col.lab = .inkColour, col.axis = .inkColour
    )
    graphics::title(ylab = "consistency", line = 3, col.lab = .inkColour)
    graphics::axis(1, at = shown$n_metacells, col.axis = .inkColour)
    graphics::abline(h = .trusted, lty = 2, col = "#BD1F01")
    # On the side of the line where the curve does not start.
    side <- if (shown$consistency[1] > .trusted) 1.5 else -0.6
    graphics::text(
        shown$n_metacells[1], .trusted, sprintf("%g, the least to trust", .trusted), adj = c(0, side),
        cex = 0.75, col = "#BD1F01"
    )
    graphics::title(main = main, adj = 0, line = 0.7, cex.main = 1.1)
    invisible(table)
}

.trusted <- 0.05 # the authors' rule of thumb
