#' Simulate a multiome whose truth is known
#'
#' @description
#' Raw counts of RNA and chromatin accessibility with known cell types, batches,
#' pairing and peak-gene links, for examples and tests. The same seed gives the
#' same numbers as `isthmus.data.simulate` in Python.
#'
#' @param n_cells cells in each modality.
#' @param n_genes,n_peaks numbers of features.
#' @param n_types,n_batches numbers of common cell types and of batches.
#' @param modalities `"rna"`, `"atac"` or both.
#' @param confounding what differs between batches besides their effect: `"none"`,
#'   `"depth"`, `"composition"` or `"both"`.
#' @param pairing whether the cells have both modalities: `"paired"`, `"partial"`
#'   or `"unpaired"`.
#' @param lineage `FALSE`, `"linear"` or `"branching"`: types as stages of a
#'   continuous path.
#' @param seed a whole number. R's own random numbers are not touched.
#' @param ... further settings by the names of the Python function, for example
#'   `paired_fraction`, `rare_types`, `subgroups`, `n_links`, `batch_strength`,
#'   `rna_depth`.
#'
#' @details
#' Gene expression follows the accessibility of linked peaks; some pairs of types
#' differ in one modality only, so that neither sees all types alone. The model of
#' the counts is given with the Python function.
#'
#' @return a `MultiAssayExperiment` with the experiments `rna` and `atac`, each a
#'   SingleCellExperiment with the assay `counts`, `cell_type` and `batch` in its
#'   cell data and its positions as `rowRanges`; the sample map is the pairing, and
#'   the metadata hold `links` (the planted links). Without the package
#'   MultiAssayExperiment a list of the two.
#' @seealso [runSCALEX()], [runScDREAMER()].
#' @examples
#' if (isthmusReady()) {
#'     sim <- simulateMultiome(n_cells = 200, n_genes = 300, n_peaks = 500)
#'     sim[["rna"]]
#' }
#' @export
simulateMultiome <- function(n_cells = 1000, n_genes = 2000, n_peaks = 10000,
                             n_types = 6, n_batches = 2,
                             modalities = c("rna", "atac"),
                             confounding = "none", pairing = "paired",
                             lineage = FALSE, seed = 0L, ...) {
    settings <- .settings(
        n_cells = n_cells, n_genes = n_genes, n_peaks = n_peaks,
        n_types = n_types, n_batches = n_batches,
        modalities = modalities, confounding = confounding,
        pairing = pairing, lineage = lineage, seed = seed, ...
    )
    if (!is.null(settings$file)) {
        .stopInput(
            "a study that fits in memory", "a file to write to",
            "use isthmus.data.simulate() in Python, and readStudy() here"
        )
    }
    result <- .core("simulate", NULL, settings)
    studies <- lapply(result$studies, .simulatedSCE)
    if (!requireNamespace("MultiAssayExperiment", quietly = TRUE)) {
        return(studies)
    }
    .asMultiAssay(studies, list(links = result$links))
}

# Python calls the matrix X; here it has the name that Bioconductor gives counts.
.simulatedSCE <- function(study) {
    names(study$assays) <- "counts"
    .sceFromStudy(study)
}

# A cell with both modalities has one name, so the sample map is the pairing.
.asMultiAssay <- function(studies, notes) {
    cells <- unique(unlist(lapply(studies, colnames)))
    map <- do.call(rbind, lapply(names(studies), function(name) {
        names <- colnames(studies[[name]])
        DataFrame(
            assay = factor(rep(name, length(names)), levels = names(studies)),
            primary = names, colname = names
        )
    }))
    common <- Reduce(intersect, lapply(studies, function(x) names(colData(x))))
    tables <- lapply(studies, function(x) as.data.frame(colData(x))[common])
    table <- do.call(rbind, unname(tables[order(names(tables) != "rna")]))
    table <- table[match(cells, unlist(lapply(
        studies[order(names(studies) != "rna")], colnames
    ))), , drop = FALSE]
    rownames(table) <- cells
    MultiAssayExperiment::MultiAssayExperiment(
        experiments = MultiAssayExperiment::ExperimentList(studies),
        colData = DataFrame(table), sampleMap = map, metadata = notes
    )
}
