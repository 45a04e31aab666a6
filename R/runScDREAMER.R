#' Integrate batches with scDREAMER, with or without labels
#'
#' @description
#' Fits scDREAMER, an adversarial variational autoencoder for atlases whose batches
#' differ strongly, and adds the embedding to the object. With `labels` it is
#' scDREAMER-Sup, which learns from the cell types that are known, for any share of
#' the cells, and names all others. The fitted model stays with the object, so that
#' [projectCells()] can place new cells without training.
#'
#' @inheritParams runSCALEX
#' @param labels cell types to learn from: the name of one column of the cell data, or
#'   a vector with one value for every cell, along the cells or named by them. Any
#'   share of them may be missing: `NA`, `""`, `"NA"` or `"unknown"`. `NULL` fits
#'   without labels.
#' @param ... further settings by the names of the Python function
#'   `isthmus.tl.scdreamer`, for example `max_steps`, `batch_size`, `n_hidden`,
#'   `kl_weight`, `batch_weight`, `labels_weight`, `batch_dropout`, `features`,
#'   `preset` or `accelerator`.
#' @param assay the assay with the raw counts. `NULL` means `"counts"` of a
#'   SingleCellExperiment (or `"X"`, as files of Python call it) and the default
#'   assay of a Seurat object.
#' @param layer the layer of a Seurat assay with the raw counts; `NULL` means
#'   `"counts"`.
#' @param likelihood how counts scatter about what is expected: `"zinb"`
#'   (zero-inflated negative binomial) or `"nb"`; `NULL` is the core's choice.
#' @param n_features number of genes to model, those that vary most within batches;
#'   `NULL` means 2,000.
#' @param name the `reducedDim` to fill. In small letters it is the stem of the
#'   columns of labels, as is `reduction.name`.
#'
#' @details
#' An encoder, which is told the batch, maps a cell to `n_latent` dimensions, and a
#' decoder gives its counts back. Two adversaries take part: a discriminator keeps
#' what is decoded like real cells, and a classifier tries to tell the batch from
#' the embedding, which the encoder learns to prevent. With labels a third network
#' classifies cell types, and the prior of each cell depends on its type.
#'
#' The encoder also learns to do without the batch (`batch_dropout`). New cells of
#' a batch that the model knows by name are embedded as cells of that batch, others
#' without one; a warning says which.
#'
#' The object comes back as it was given, with the results added and nothing else
#' changed. If anything fails, or the fit is interrupted, the object is untouched.
#' A fit without labels removes the label columns of the earlier fit that it
#' replaces.
#'
#' @return the object given, with these added:
#' * `reducedDim(x, "SCDREAMER")`, or the Seurat reduction `scdreamer` (key
#'   `scdreamer_`): a matrix of cells by `n_latent`.
#' * `metadata(x)$isthmus$SCDREAMER`, or `misc$isthmus$scdreamer`: the fitted model,
#'   an [IsthmusModel-class] with history, features and provenance. A Seurat object
#'   also gets an entry in its command log.
#' * with labels two columns of the cell data: `scdreamer_label` (character), the
#'   type that the classifier gives each cell, and `scdreamer_confidence`, its
#'   probability between 0 and 1. Cells whose label was given get one too.
#'
#' A SummarizedExperiment comes back as a SingleCellExperiment, a path as the
#' object that was read from it.
#' @references
#' Shree A, Pavan MK, Zafar H (2023). scDREAMER for atlas-level integration of
#' single-cell datasets using deep generative model paired with adversarial
#' classifier. *Nature Communications* 14, 7781.
#' \doi{10.1038/s41467-023-43590-8}
#' @seealso [projectCells()], [predictLabels()], [transferLabels()] and
#'   [imputeAssay()] use the model; [isthmusModel()] gets it; [makeMetacells()] makes an
#'   atlas smaller before the fit.
#' @examples
#' if (isthmusReady()) {
#'     sim <- simulateMultiome(n_cells = 300, seed = 1)
#'     rna <- sim[["rna"]]
#'     rna$known <- rna$cell_type
#'     rna$known[seq(1, ncol(rna), by = 2)] <- NA
#'     sce <- runScDREAMER(rna, batch = "batch", labels = "known", max_steps = 50)
#'     SingleCellExperiment::reducedDim(sce, "SCDREAMER")[1:3, 1:4]
#'     table(sce$scdreamer_label, sce$cell_type)
#' }
#' @name runScDREAMER
NULL

#' @rdname runScDREAMER
#' @export
setMethod("runScDREAMER", "SummarizedExperiment", function(
    x, batch = NULL, labels = NULL, ..., assay = NULL, likelihood = NULL,
    n_features = NULL, n_latent = 10, seed = 0L, name = "SCDREAMER",
    model_dir = NULL, verbose = TRUE) {
    settings <- .settings(
        likelihood = likelihood, n_features = n_features, n_latent = n_latent,
        seed = seed, ...
    )
    .fitSCE(x, "scdreamer", list(assay = assay, batch = batch, labels = labels),
        settings, name, model_dir, verbose)
})

#' @rdname runScDREAMER
#' @export
setMethod("runScDREAMER", "ANY", function(
    x, batch = NULL, labels = NULL, ..., assay = NULL, layer = NULL,
    likelihood = NULL, n_features = NULL, n_latent = 10, seed = 0L,
    reduction.name = "scdreamer", reduction.key = NULL, model_dir = NULL,
    verbose = TRUE) {
    if (!.isSeurat(x)) .refuseClass(x)
    settings <- .settings(
        likelihood = likelihood, n_features = n_features, n_latent = n_latent,
        seed = seed, ...
    )
    place <- list(assay = assay, layer = layer, batch = batch, labels = labels)
    .fitSeurat(x, "runScDREAMER", "scdreamer", place, settings,
        reduction.name, reduction.key, model_dir, verbose)
})

#' @rdname runScDREAMER
#' @export
setMethod("runScDREAMER", "character", function(x, batch = NULL, labels = NULL, ...) {
    runScDREAMER(readStudy(x), batch = batch, labels = labels, ...)
})
