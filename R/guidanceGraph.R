#' The guidance graph of genes and peaks, as a table
#'
#' @description
#' Joins every gene to the features of the other modalities that lie in its window, or near
#' it: the graph that [runGLUE()] builds by itself. As a table it can be looked at, filtered,
#' and merged with edges of your own, such as promoter-capture Hi-C contacts or eQTLs.
#'
#' @inheritParams runGLUE
#' @param decay whether an edge over the distance d weighs `((abs(d) + 1000) / 1000)^-0.75`,
#'   else 1.
#'
#' @details
#' Only names and positions of the features reach Python, no counts. Peaks and genes are
#' placed, and warned of, as by [runGLUE()].
#'
#' To merge two graphs, bind their rows: an edge that stands in both counts twice, as a
#' parallel edge, and the fit says how many do.
#'
#' @return a data.frame with a row for each edge: `source` (gene), `target` (peak), `sign` (1
#'   or -1) and `weight` (above 0, up to 1). It goes to [runGLUE()] as `edges`.
#' @inherit runGLUE references
#' @seealso [runGLUE()] takes it.
#' @examples
#' if (isthmusReady()) {
#'     sim <- simulateMultiome(n_cells = 100, n_genes = 100, n_peaks = 300,
#'         n_types = 3, seed = 1)
#'     near <- guidanceGraph(sim, extend = 20000)
#'     head(near)
#'     mine <- data.frame(source = near$source[1], target = tail(near$target, 3),
#'         sign = 1, weight = 0.5)
#'     sim <- runGLUE(sim, edges = rbind(near, mine), n_latent = 8, max_steps = 30, n_models = 0)
#' }
#' @export
guidanceGraph <- function(x, genes = NULL, assays = NULL, region = "combined", upstream = 2000,
                          extend = 0, decay = TRUE, signs = NULL, verbose = TRUE) {
    parts <- .modalities(.readOne(x), assays)$parts
    settings <- .settings(region = region, upstream = upstream, extend = extend, decay = decay)
    settings$signs <- .graphSigns(signs, names(parts))
    sent <- .sentGenes(.guidance(genes, NULL, parts)$genes)
    tables <- list(features = .placedFeatures(.studiesFor(parts, list())), genes = sent$table)
    result <- .core("guidance", .bundle(list(), tables), c(
        list(modalities = names(parts), genes = sent$path), settings
    ), verbose)
    as.data.frame(result$edges)
}

# Names and positions of the features of all studies, one below the other.
.placedFeatures <- function(studies) {
    tables <- lapply(names(studies), function(modality) {
        var <- studies[[modality]]$var
        data.frame(modality = rep(modality, nrow(var)), feature = rownames(var), var, row.names = NULL)
    })
    columns <- unique(unlist(lapply(tables, names)))
    do.call(rbind, lapply(tables, function(table) {
        table[setdiff(columns, names(table))] <- NA
        table[columns]
    }))
}
