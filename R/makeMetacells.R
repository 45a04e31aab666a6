#' Sum up alike cells
#'
#' @description
#' Groups alike cells and sums their counts, so that an atlas can be fitted in the time of
#' a study: fit a model to the metacells, and bring all cells into its embedding with
#' [projectCells()], which trains nothing.
#'
#' @param x a SummarizedExperiment, SingleCellExperiment or Seurat object with raw counts,
#'   or the path of an `.h5ad` or `.rds` file. Of several modalities each is summed up by a
#'   call of its own.
#' @param n_metacells how many groups at the most, at least one for each batch; about one for
#'   20 to 50 cells.
#' @param batch batches, which the groups do not cross: the name of one column of the cell
#'   data, or a vector with one value for every cell. `NULL` = one batch, or the parts of a
#'   split Seurat 5 assay.
#' @param labels cell types, given as `batch` is, some of which may be missing (`NA`, `""`,
#'   `"NA"`, `"unknown"`). Each group gets that of most of its cells.
#' @param embedding the name of a `reducedDim` or of a Seurat reduction to group by; `NULL` =
#'   20 components, of LSI where features are named by positions, such as `chr1:100-200`,
#'   else of PCA of the 2,000 variable features.
#' @param seed a whole number, of the clustering. R's own random numbers are not touched.
#' @param ... further arguments for methods.
#' @param assay,layer where the counts are, as in [runSCALEX()].
#' @param name stem of the names of the metacells. Modalities that are to be held by one
#'   object need names of their own.
#' @param verbose whether to report progress as messages.
#'
#' @details
#' Cells are grouped within batches by k-means, and each batch gets its share of the groups.
#' The same seed gives the same groups as `isthmus.tl.metacells` in Python.
#'
#' `x` itself is not changed. Its embeddings, alternative experiments and other assays are
#' not in the result. The counts of a ChromatinAssay come back as a plain assay: its
#' peaks tell their positions by their names, and [runGLUE()] is told where the genes lie by
#' `genes = Annotation(x)`.
#'
#' @return an object of the class of `x` (a SingleCellExperiment for a SummarizedExperiment
#'   or an `.h5ad` file) with a column for each metacell:
#' * the summed counts, in the assay that was read; of Seurat, in layer `counts` of an assay
#'   of the same name;
#' * in the cell data `n_cells`, the batch (of a vector `batch_values`) and, with labels, the
#'   type (of a vector `label_values`) and `<labels>_share`, the share of the labelled cells
#'   that have it. Batch and type are factors;
#' * `rowData` and `rowRanges` of `x`;
#' * in `metadata(m)$isthmus$metacells`, or `misc$isthmus$metacells`, the list of `group`, a
#'   factor with the metacell of each cell, named by the cells; `embedding`; and `provenance`.
#' @seealso [runSCALEX()], [runScDREAMER()] and [runGLUE()] for a fit, [projectCells()] for all
#'   cells.
#' @examples
#' if (isthmusReady()) {
#'     sim <- simulateMultiome(n_cells = 400, n_genes = 200, n_peaks = 600, seed = 1)
#'     rna <- sim[["rna"]]
#'     small <- makeMetacells(rna, 80, batch = "batch", labels = "cell_type")
#'     group <- S4Vectors::metadata(small)$isthmus$metacells$group
#'
#'     small <- runSCALEX(small, batch = "batch", max_steps = 30)
#'     rna <- projectCells(rna, small, batch = "batch")
#'
#'     # Several modalities: one call for each, and each of them projected by its name.
#'     both <- lapply(list(rna = rna, atac = sim[["atac"]]), makeMetacells, 80)
#'     both <- runGLUE(both, n_latent = 8, max_steps = 30, n_models = 0)
#'     atac <- projectCells(sim[["atac"]], both$atac, modality = "atac")
#'     SingleCellExperiment::reducedDim(atac, "GLUE")[1:3, 1:4]
#' }
#' @name makeMetacells
NULL

#' @rdname makeMetacells
#' @export
setMethod("makeMetacells", "SummarizedExperiment", function(
    x, n_metacells, batch = NULL, labels = NULL, embedding = NULL, seed = 0L, ...,
    assay = NULL, name = "metacell", verbose = TRUE) {
    x <- .asSCE(x)
    place <- list(assay = assay, batch = batch, labels = labels)
    settings <- .settings(n_metacells = n_metacells, seed = seed, ...)
    made <- .metacells(x, place, embedding, settings, name, verbose)
    m <- .sceFromStudy(made$study)
    SummarizedExperiment::rowRanges(m) <- SummarizedExperiment::rowRanges(x)
    .setRecord(m, "metacells", made$record)
})

#' @rdname makeMetacells
#' @export
setMethod("makeMetacells", "ANY", function(
    x, n_metacells, batch = NULL, labels = NULL, embedding = NULL, seed = 0L, ...,
    assay = NULL, layer = NULL, name = "metacell", verbose = TRUE) {
    if (!.isSeurat(x)) .refuseClass(x)
    call <- .userCall("makeMetacells")
    assay <- .seuratAssayName(x, assay)
    place <- list(assay = assay, layer = layer, batch = batch, labels = labels)
    settings <- .settings(n_metacells = n_metacells, seed = seed, ...)
    made <- .metacells(x, place, embedding, settings, name, verbose)
    m <- SeuratObject::CreateSeuratObject(
        made$study$assays[[1]], assay = assay, meta.data = made$study$obs
    )
    m <- .setRecord(m, "metacells", made$record)
    .logSeurat(m, "makeMetacells", assay, settings, call)
})

#' @rdname makeMetacells
#' @export
setMethod("makeMetacells", "character", function(x, ...) makeMetacells(readStudy(x), ...))

# @return list(study, record): the metacells, and which cell is in which.
.metacells <- function(x, place, embedding, settings, name, verbose) {
    study <- .asStudy(x, place$assay, place$layer,
        batch = place$batch, splitIsBatch = TRUE, labels = place$labels)
    if (!is.null(embedding)) {
        .checkPlace(embedding, "an embedding", "write embedding = \"PCA\"")
        z <- .embeddingRows(x, embedding, rownames(study$obs))
        study$reducedDims <- list(embedding = z)
    }
    result <- .core("metacells", study, c(
        list(batch_key = study$batch, labels_key = study$labels, stem = name), settings
    ), verbose)
    small <- result$study
    names(small$assays) <- study$main
    list(study = small, record = list(
        group = setNames(result$group, rownames(study$obs)), embedding = embedding,
        provenance = .provenance("metacells", "any", settings, study, labels = study$labels)
    ))
}
