#' Integrate batches with SCALEX
#'
#' @description
#' Fits SCALEX, a variational autoencoder whose encoder never sees the batch, and
#' adds the batch-free embedding to the object. The fitted model stays with the
#' object, so that [projectCells()] can place new cells without training.
#'
#' @param x a SingleCellExperiment, a SummarizedExperiment, a Seurat object
#'   (version 4 or 5), or the path of an `.h5ad` or `.rds` file.
#' @param batch the batches: the name of one column of the cell data, or a vector
#'   with one value for every cell. A Seurat 5 assay with split layers takes its
#'   parts as batches when this is missing. Without any batch a model is fitted
#'   with a warning: it can serve as a reference, but integrates nothing.
#' @param ... further settings by the names of the Python function
#'   `isthmus.tl.scalex`, for example `max_steps`, `batch_size`, `n_hidden`,
#'   `kl_weight`, `learning_rate`, `features`, `preset` or `accelerator`.
#' @param assay the assay to read. `NULL` means `"counts"` of a
#'   SingleCellExperiment (or `"X"`, as files of Python call it) and the default
#'   assay of a Seurat object.
#' @param layer the layer of a Seurat assay; `NULL` means `"counts"`, or `"data"`
#'   for `values = "lognorm"`.
#' @param values what the assay holds: `"counts"`, or `"lognorm"` for values that
#'   are already normalised for depth and log-transformed. It is never guessed.
#' @param profile `"rna"` or `"atac"`: the preset of the preprocessing.
#' @param n_features number of features to model, those that vary most within
#'   batches; `NULL` means 2,000 for `"rna"` and 30,000 for `"atac"`.
#' @param n_latent number of dimensions of the embedding.
#' @param statistics how batch normalisation takes its statistics when cells are
#'   embedded: `"matched"`, `"exact"`, `"running"` or `"shrunk"`; `NULL` is the core's choice,
#'   `"matched"`: what a batch does to groups of similar cells.
#' @param seed a whole number; the same seed gives the same numbers, in R and in
#'   Python. R's own random numbers are not touched.
#' @param name the `reducedDim` to fill.
#' @param reduction.name,reduction.key the Seurat reduction to fill, and the
#'   prefix of its columns (by default made from the name).
#' @param model_dir a new folder to save the model in; `NULL` keeps it with the
#'   object.
#' @param verbose whether to report progress as messages.
#'
#' @details
#' The network is small: an encoder from the selected features to `n_latent`
#' dimensions that is blind to the batch, and a decoder that knows it only through
#' its normalisation. What is common to all batches goes through the embedding,
#' what differs between them is left to the normalisation; cells that exist in
#' one batch only therefore stay apart.
#'
#' Counts are normalised for depth, log-transformed, restricted to features that
#' vary within batches, and scaled to the range from 0 to 1. What was fitted there
#' is stored with the model and applied to new cells unchanged.
#'
#' The object comes back as it was given, with the embedding and the record added
#' and nothing else changed: no normalised assay, no sorted cells, no new names.
#' If anything fails, or the fit is interrupted, the object is untouched.
#'
#' @return the object given, with two things added:
#' * `reducedDim(x, "SCALEX")`, or the Seurat reduction `scalex` (key `scalex_`):
#'   a matrix of cells by `n_latent`.
#' * `metadata(x)$isthmus$SCALEX`, or `misc$isthmus$scalex`: the fitted model, an
#'   [IsthmusModel-class] with history, features and provenance. A Seurat object
#'   also gets an entry in its command log.
#'
#' A SummarizedExperiment comes back as a SingleCellExperiment, a path as the
#' object that was read from it.
#' @references
#' Xiong L, Tian K, Li Y, Ning W, Gao X, Zhang QC (2022). Online single-cell data
#' integration through projecting heterogeneous datasets into a common
#' cell-embedding space. *Nature Communications* 13, 6118.
#' @seealso [projectCells()], [transferLabels()] and [imputeAssay()] use the
#'   model; [isthmusModel()] gets it; [ScalexIntegration()] is the same for
#'   Seurat's `IntegrateLayers()`; [makeMetacells()] makes an atlas smaller before the fit.
#' @examples
#' if (isthmusReady()) {
#'     sim <- simulateMultiome(n_cells = 300, seed = 1)
#'     sce <- runSCALEX(sim[["rna"]], batch = "batch", max_steps = 50)
#'     SingleCellExperiment::reducedDim(sce, "SCALEX")[1:3, 1:4]
#' }
#' @name runSCALEX
NULL

#' @rdname runSCALEX
#' @export
setMethod("runSCALEX", "SummarizedExperiment", function(
    x, batch = NULL, ..., assay = NULL, values = "counts", profile = "rna",
    n_features = NULL, n_latent = 10, statistics = NULL, seed = 0L,
    name = "SCALEX", model_dir = NULL, verbose = TRUE) {
    settings <- .settings(
        values = values, profile = profile, n_features = n_features,
        n_latent = n_latent, statistics = statistics, seed = seed, ...
    )
    .fitSCE(x, "scalex", list(assay = assay, values = values, batch = batch),
        settings, name, model_dir, verbose)
})

#' @rdname runSCALEX
#' @export
setMethod("runSCALEX", "ANY", function(
    x, batch = NULL, ..., assay = NULL, layer = NULL, values = "counts",
    profile = "rna", n_features = NULL, n_latent = 10, statistics = NULL,
    seed = 0L, reduction.name = "scalex", reduction.key = NULL,
    model_dir = NULL, verbose = TRUE) {
    if (!.isSeurat(x)) .refuseClass(x)
    settings <- .settings(
        values = values, profile = profile, n_features = n_features,
        n_latent = n_latent, statistics = statistics, seed = seed, ...
    )
    place <- list(assay = assay, layer = layer, values = values, batch = batch)
    .fitSeurat(x, "runSCALEX", "scalex", place, settings,
        reduction.name, reduction.key, model_dir, verbose)
})

#' @rdname runSCALEX
#' @export
setMethod("runSCALEX", "character", function(x, batch = NULL, ...) {
    runSCALEX(readStudy(x), batch = batch, ...)
})
