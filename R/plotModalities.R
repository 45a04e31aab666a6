#' Draw the cells of several modalities in one map
#'
#' @description
#' Draws the embedding that [runGLUE()] made of all modalities as one UMAP, coloured by the
#' modality or by a column of the cell data.
#'
#' @param x what [runGLUE()] returned: a `MultiAssayExperiment`, a named list of objects, or one
#'   Seurat object or SingleCellExperiment with an embedding for each modality; or the path of an
#'   `.rds` file with one of these.
#' @param color name of a column of the cell data (of a `MultiAssayExperiment` of its experiments,
#'   or of the whole): groups or numbers. Cells of modalities that lack it are grey. `NULL`
#'   colours by modality.
#' @param name which model, where an object holds several of GLUE: the name of its
#'   embedding.
#' @param n_neighbors,min_dist settings of the UMAP: neighbours of a cell, and how tightly cells
#'   may be packed.
#' @param seed a whole number, of the UMAP. R's own random numbers are not touched.
#' @param palette colours by group, a named character vector; groups that it lacks get one of
#'   the usual colours.
#' @param cex size of a point; `NULL` goes by the number of cells.
#' @param main title; `NULL` names what the colours say.
#' @param verbose whether to report progress as messages.
#'
#' @details
#' The UMAP is computed by the Python core, everything else is drawn by R. The picture goes to
#' the current graphics device: about 6 x 4.5 inches suit it. For a picture of your own, take
#' what is returned.
#'
#' @return a data.frame with a row for each cell of each modality, invisibly: `UMAP_1`, `UMAP_2`,
#'   `modality` (a factor), `cell` (its name), and the column `color`, `NA` where it is not known.
#' @seealso [runGLUE()] makes the embedding, [integrationConsistency()] tells whether to trust it.
#' @examples
#' if (isthmusReady()) {
#'     sim <- simulateMultiome(n_cells = 200, n_genes = 100, n_peaks = 300,
#'         n_types = 3, seed = 1)
#'     sim <- runGLUE(sim, n_latent = 8, max_steps = 30, n_models = 0)
#'     plotModalities(sim)
#'     cells <- plotModalities(sim, color = "cell_type")
#'     head(cells)
#' }
#' @export
plotModalities <- function(x, color = NULL, name = NULL, n_neighbors = 30, min_dist = 0.1, seed = 0L,
                           palette = NULL, cex = NULL, main = NULL, verbose = TRUE) {
    x <- .readOne(x)
    model <- .glueModel(x, name)
    parts <- .alignedCells(x, model)
    cells <- data.frame(
        modality = factor(rep(names(parts), vapply(parts, nrow, 1L)), names(parts)),
        cell = unlist(lapply(parts, rownames), use.names = FALSE)
    )
    if (!is.null(color)) cells[[color]] <- .columnOfMany(x, parts, color)
    z <- do.call(rbind, unname(parts))
    rownames(z) <- paste(cells$modality, cells$cell, sep = ".")
    settings <- .settings(n_neighbors = n_neighbors, min_dist = min_dist, seed = seed)
    map <- .core("umap", .bareStudy(NULL, z), settings, verbose)$umap
    cells <- cbind(data.frame(UMAP_1 = map[, 1], UMAP_2 = map[, 2]), cells)
    shown <- if (is.null(color)) "modality" else color
    .drawCells(cells, cells[[shown]], palette, cex, if (is.null(main)) shown else main)
    invisible(cells)
}

# @return list by modality of matrices, the cells' names as those of the rows.
.alignedCells <- function(x, model) {
    lapply(setNames(nm = names(model@provenance$modalities)), function(modality) {
        holder <- .experimentOf(x, modality)
        z <- if (.isShared(holder)) .embeddingBy(holder, model, modality)
        if (is.null(z)) {
            .stopInput(
                sprintf("the embedding of the modality %s", .quoted(modality)), "no object that has it",
                "give all that runGLUE() returned, with its embeddings"
            )
        }
        z
    })
}

# Groups as a factor in the order of the first modality that has them, or numbers; NA where a
# modality lacks the column.
# @param argument by which the user named the column.
.columnOfMany <- function(x, parts, column, argument = "color") {
    values <- lapply(names(parts), function(modality) {
        table <- .cellData(.experimentOf(x, modality))
        if (column %in% colnames(table)) table[[column]]
    })
    have <- !vapply(values, is.null, NA)
    if (!any(have)) {
        known <- unique(unlist(lapply(names(parts), function(m) colnames(.cellData(.experimentOf(x, m))))))
        .stopInput(
            sprintf("a column %s of the cell data", .quoted(column)),
            sprintf("the columns: %s", .listed(known)), sprintf("name one of these with %s =", argument)
        )
    }
    sizes <- vapply(parts, nrow, 1L)
    if (all(vapply(values[have], is.numeric, NA))) {
        values[!have] <- lapply(sizes[!have], function(n) rep(NA_real_, n))
        return(unlist(values))
    }
    levels <- unique(unlist(lapply(values[have], function(v) levels(as.factor(v)))))
    values[!have] <- lapply(sizes[!have], function(n) rep(NA_character_, n))
    factor(unlist(lapply(values, as.character)), levels)
}

# --- strokes -----------------------------------------------------------------

# Those of isthmus.pl in Python: ten colours that colour-blind readers tell apart (Petroff
# 2021, arXiv:2107.02270); beyond ten no palette can promise that.
.tenColours <- c(
    "#3F90DA", "#FFA90E", "#BD1F01", "#94A4A2", "#832DB6", "#A96B59", "#E76300", "#B9AC70", "#717581",
    "#92DADD"
)
.greyColour <- "#DADADA"

.groupColours <- function(groups, palette) {
    colours <- if (length(groups) <= 10L) .tenColours[seq_along(groups)] else
        grDevices::hcl.colors(length(groups), "Dark 3")
    names(colours) <- groups
    named <- intersect(names(palette), groups)
    colours[named] <- palette[named]
    colours
}

.drawCells <- function(cells, values, palette, cex, main) {
    groups <- if (is.factor(values)) .groupColours(levels(values)[table(values) > 0], palette)
    wide <- if (is.null(groups)) 7 else 3 + 0.55 * min(max(nchar(names(groups))), 24)
    old <- graphics::par(mar = c(2, 2, 2.5, wide), mgp = c(0.6, 0, 0))
    on.exit(graphics::par(old))
    colour <- if (is.null(groups)) .numberColours(values, values) else unname(groups[as.character(values)])
    colour[is.na(colour)] <- .greyColour
    # Cells without a value lie below, the others in an order that hides none of them.
    order <- order(!is.na(values), (seq_along(values) * 0.6180339887) %% 1)
    if (is.null(cex)) cex <- min(1, max(0.15, 16 / sqrt(nrow(cells))))
    graphics::plot(
        cells$UMAP_1[order], cells$UMAP_2[order], col = colour[order], pch = 16, cex = cex,
        axes = FALSE, xlab = "UMAP 1", ylab = "UMAP 2", col.lab = .inkColour
    )
    graphics::title(main = main, adj = 0, line = 0.7, cex.main = 1.1)
    if (is.null(groups)) .numberLegend(values) else .groupLegend(groups, anyNA(values))
}

# @param among the numbers that the colours reach over.
.numberColours <- function(values, among) {
    limits <- range(among, finite = TRUE)
    share <- if (diff(limits) > 0) (values - limits[1]) / diff(limits) else 0 * values
    grDevices::hcl.colors(100L, "viridis")[1L + round(99 * share)]
}

.groupLegend <- function(colours, lacking) {
    if (lacking) colours <- c(colours, "not known" = .greyColour)
    corner <- graphics::par("usr")[c(2, 4)]
    graphics::legend(
        corner[1], corner[2], legend = names(colours), col = colours, pch = 16, pt.cex = 1.2, bty = "n",
        cex = 0.85, xpd = NA, text.col = .inkColour
    )
}

.numberLegend <- function(values) {
    limits <- range(values, finite = TRUE)
    steps <- rev(pretty(limits, 4))
    steps <- steps[steps >= limits[1] & steps <= limits[2]]
    if (!length(steps)) steps <- limits[1]
    corner <- graphics::par("usr")[c(2, 4)]
    graphics::legend(
        corner[1], corner[2], legend = format(steps), fill = .numberColours(steps, values), border = NA,
        bty = "n", cex = 0.85, xpd = NA, text.col = .inkColour
    )
}
