#' Labels by the model's own classifier
#'
#' @description
#' Gives each cell the label that a model fitted with labels finds most probable, and
#' that probability. No labels of reference cells are needed any more.
#'
#' @inheritParams transferLabels
#' @param query the cells: a SingleCellExperiment, a SummarizedExperiment, a Seurat
#'   object, or the path of an `.h5ad` or `.rds` file.
#' @param reference the model: what [runScDREAMER()] or [runGLUE()] returned for cells
#'   with labels, an [IsthmusModel-class], or the folder of a saved model.
#' @param ... further settings by the names of the Python method `project`, for
#'   example `min_coverage`; of a model of GLUE `modality`, the one that the query is of
#'   (known of its reference cells).
#' @param name stem of the columns to add; `NULL` means the name of the model's system,
#'   `"scdreamer"` or `"glue"`.
#'
#' @details
#' An embedding that [projectCells()] made with this model is used as it is. A query
#' without one is embedded here in the same way, and `batch`, `assay` and `values`
#' say how.
#'
#' The classifier knows the labels of the fit and nothing else: a cell of a type that
#' it never saw gets one of them, too. [transferLabels()] says `"unknown"` there.
#'
#' A model of scDREAMER weighs the labels by how common each is in the cell's batch, as
#' the fit found it. Batches that it does not know are taken as the labelled cells are.
#'
#' @return the query given, with two columns added to its cell data:
#'   `scdreamer_label` (character) and `scdreamer_confidence` (the label's probability,
#'   between 0 and 1), or those of the model's own system; and in
#'   `metadata(x)$isthmus$labels` (or `misc$isthmus$labels`) the record of how they were
#'   made.
#' @inherit runScDREAMER references
#' @seealso [runScDREAMER()] and [runGLUE()] fit with labels; [transferLabels()] labels
#'   cells by their nearest reference cells, with any model.
#' @examples
#' if (isthmusReady()) {
#'     sim <- simulateMultiome(n_cells = 400, seed = 1)
#'     rna <- sim[["rna"]]
#'     new <- rna$batch == rna$batch[1]
#'     reference <- runScDREAMER(rna[, !new], batch = "batch",
#'         labels = "cell_type", max_steps = 50, batch_size = 128)
#'     query <- predictLabels(rna[, new], reference, batch = "batch")
#'     table(query$scdreamer_label, query$cell_type)
#'
#'     # Chromatin of new cells, by a model that saw labels of RNA only.
#'     both <- simulateMultiome(n_cells = 200, n_genes = 100, n_peaks = 300,
#'         n_types = 3, seed = 1)
#'     some <- list(rna = both[["rna"]], atac = both[["atac"]][, 1:150])
#'     some <- runGLUE(some, labels = c(rna = "cell_type"), n_latent = 8,
#'         max_steps = 30, n_models = 0)
#'     new <- both[["atac"]][, 151:200]
#'     new <- predictLabels(new, some, modality = "atac")
#'     table(new$glue_label, new$cell_type)
#' }
#' @name predictLabels
NULL

#' @rdname predictLabels
#' @export
setMethod("predictLabels", "SummarizedExperiment", function(
    query, reference, ..., batch = NULL, assay = NULL, values = NULL,
    name = NULL, verbose = TRUE) {
    .predictInto(query, reference, .settings(...),
        list(assay = assay, values = values, batch = batch), name, verbose)
})

#' @rdname predictLabels
#' @export
setMethod("predictLabels", "ANY", function(
    query, reference, ..., batch = NULL, assay = NULL, layer = NULL,
    values = NULL, name = NULL, verbose = TRUE) {
    if (!.isSeurat(query)) .refuseClass(query)
    call <- .userCall("predictLabels")
    settings <- .settings(...)
    query <- .predictInto(query, reference, settings,
        list(assay = assay, layer = layer, values = values, batch = batch),
        name, verbose)
    .logSeurat(query, "predictLabels", .seuratAssayName(query, assay),
        settings, call)
})

#' @rdname predictLabels
#' @export
setMethod("predictLabels", "character", function(query, reference, ...) {
    predictLabels(readStudy(query), reference, ...)
})

.predictInto <- function(query, reference, settings, place, name, verbose) {
    model <- isthmusModel(reference)
    if (!length(model@provenance$types)) {
        .stopInput(
            "a model that was fitted with labels",
            sprintf("a model of %s without", .quoted(model@system)),
            paste(
                "fit one with labels = in runScDREAMER() or runGLUE(), or use",
                "transferLabels(), which needs labels of the reference cells"
            )
        )
    }
    settings <- .withModality(settings, query, model, place$batch)
    .labelInto(query, model, list(verb = "predict"), settings, place, name,
        verbose)
}
