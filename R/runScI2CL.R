#' Fuse RNA and chromatin of the same cells with scI2CL
#'
#' @description
#' Fits scI2CL to cells of which RNA and chromatin accessibility (ATAC) were measured, and
#' adds one embedding of both to the object. It is unsupervised unless `labels` names
#' cell types. The fitted model stays with the object, so that [projectCells()] can place
#' new cells by both modalities or by one, without training.
#'
#' @inheritParams runSAILERX
#' @param batch batches: one column name, a vector with a value for every cell of one
#'   object, or a list by the names `rna` and `atac`, `list(rna = "donor", atac = "donor")`.
#'   A column that an experiment of a MultiAssayExperiment lacks, here or in `labels`, is
#'   taken from the `colData` of the whole. `NULL` takes the parts of a split Seurat assay,
#'   if there are any.
#' @param labels cell types to learn from, of which any share may be missing: one column
#'   name, a vector with a value for every cell of one object, or a list by the names
#'   `rna` and `atac`. The embedding is then **no longer unsupervised**, and must not be
#'   scored by these labels. `NULL` looks at none.
#' @param ... further settings by the names of the Python function `isthmus.tl.sci2cl`,
#'   for example `max_steps`, `n_genes`, `n_peaks`, `batch_weight`, `likelihood`,
#'   `batch_size`, `preset` or `accelerator`.
#' @param layer the Seurat layer with the counts, or of a SingleCellExperiment the
#'   assay; one for both or a list by the names `rna` and `atac`. `NULL` means `"counts"`.
#'
#' @details
#' Each modality has an autoencoder of its counts. Within a modality, views of a cell that
#' miss part of its features are fused into the cell's code; between them, the two codes of
#' a cell are held together against those of all other cells, and true pairs are told from
#' false ones. Both codes are fused into the embedding.
#'
#' Cells of the same name are the same cell. Of a list or a MultiAssayExperiment cells may
#' be in one modality only: a warning says how many and names some. They take part, and
#' are embedded by what the model expects of the other modality; the column
#' `sci2cl_measured` says which cells these are.
#'
#' The object comes back as it was given, with the results added and nothing else
#' changed. If anything fails, or the fit is interrupted, it is untouched.
#'
#' @return what was given (paths as the objects that were read), with these added:
#' * `reducedDim(x, "SCI2CL")`, or the Seurat reduction `sci2cl` (key `sci2cl_`): a
#'   matrix of cells by `n_latent`. Of several objects each gets that of its own cells.
#' * a column of the cell data, `sci2cl_measured`: `"both"`, `"rna"` or `"atac"`.
#' * `metadata(x)$isthmus$SCI2CL`, or `misc$isthmus$sci2cl`: the fitted model, an
#'   [IsthmusModel-class] with history, features and provenance (with `labels`, where
#'   there were any). A Seurat object also gets an entry in its command log.
#' @references
#' Liu W, Peng H, Li W, Zhang Y, Guan J, Zhou S (2025). scI2CL: effectively integrating
#' single-cell multi-omics by intra- and inter-omics contrastive learning. *arXiv*
#' 2508.18304. \doi{10.48550/arXiv.2508.18304}
#' @seealso [projectCells()] and [transferLabels()] for new cells, [imputeAssay()] for
#'   values of either modality, [checkLabels()] for labels that the embedding does not
#'   believe, [isthmusModel()] for the model.
#' @examples
#' if (isthmusReady()) {
#'     sim <- simulateMultiome(n_cells = 200, n_genes = 100, n_peaks = 300,
#'         n_types = 3, seed = 1)
#'     sim <- runScI2CL(sim, n_latent = 8, max_steps = 30)
#'     SingleCellExperiment::reducedDim(sim[["rna"]], "SCI2CL")[1:3, 1:4]
#' }
#' @name runScI2CL
NULL

#' @rdname runScI2CL
#' @export
setMethod("runScI2CL", "ANY", function(
    x, rna = NULL, atac = NULL, batch = NULL, labels = NULL, ..., layer = NULL,
    n_latent = 64, seed = 0L, name = "SCI2CL", model_dir = NULL, verbose = TRUE) {
    call <- .userCall("runScI2CL")
    settings <- .settings(n_latent = n_latent, seed = seed, ...)
    x <- .readOne(x)
    home <- .pairedHome(x, list(rna = rna, atac = atac))
    studies <- .pairedStudies(home, list(batch = batch, labels = labels, layer = layer))
    .fitPaired("sci2cl", home, studies, settings, name, model_dir, verbose, call)
})
