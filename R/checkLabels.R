#' Find labels that are probably wrong
#'
#' @description
#' In an embedding the nearest other cells vote on the label of each cell. Where most of
#' the votes go to another label, the cell's own is probably wrong, and the other one is
#' suggested.
#'
#' @param x a SingleCellExperiment or a Seurat object with an embedding, or the path of an
#'   `.h5ad` or `.rds` file.
#' @param labels the labels to check: the name of one column of the cell data, or a vector
#'   with one value for every cell. Missing ones (`NA`, `""`, `"NA"`, `"unknown"`) do not
#'   vote, and get a suggestion.
#' @param embedding the name of a `reducedDim` or of a Seurat reduction; `NULL` takes the
#'   one that isthmus made, if there is one.
#' @param k number of neighbours that vote.
#' @param wrong_above probability above which another label is suggested.
#' @param ... further arguments for methods.
#' @param name stem of the columns to add.
#' @param verbose whether to report progress as messages.
#'
#' @details
#' Near neighbours count more than far ones, and those whose own labels are not believed
#' count less, which takes a few rounds. The probability that a label is wrong is the share
#' of the votes that went to others. It is honest only where the embedding has not seen the
#' labels: where the model of the embedding was fitted with labels, a warning says so.
#'
#' @return the object given, with two columns added to its cell data: `check_wrong`, the
#'   probability that the label is wrong (`NA` without a label), and `check_suggestion`,
#'   the label itself unless it is probably wrong (character). Cells without an embedding
#'   get `NA`. The record is in `metadata(x)$isthmus$check` or `misc$isthmus$check`.
#' @seealso [runScI2CL()] and the other systems for embeddings.
#' @examples
#' if (isthmusReady()) {
#'     sim <- simulateMultiome(n_cells = 300, seed = 1)
#'     sce <- runSCALEX(sim[["rna"]], batch = "batch", max_steps = 50)
#'     sce <- checkLabels(sce, labels = "cell_type")
#'     table(sce$cell_type, sce$check_suggestion)
#' }
#' @name checkLabels
NULL

#' @rdname checkLabels
#' @export
setMethod("checkLabels", "ANY", function(
    x, labels = "cell_type", embedding = NULL, k = 30, wrong_above = 0.5, ...,
    name = "check", verbose = TRUE) {
    if (!.isShared(x)) .refuseClass(x)
    call <- .userCall("checkLabels")
    if (!.isSeurat(x)) x <- .asSCE(x)
    columns <- paste0(name, c("_wrong", "_suggestion"))
    .checkColumns(x, columns)
    embedding <- .checkedIn(x, embedding)
    z <- .embeddingRows(x, embedding, .cellKeys(x))
    rownames(z) <- .cellKeys(x)
    study <- .bareStudy(x, z[!is.na(z[, 1]), , drop = FALSE])
    known <- .alongCells(x, labels, rownames(study$obs), "labels")
    study$obs[[known$name]] <- known$values
    settings <- .settings(k = k, wrong_above = wrong_above, ...)
    result <- .core("check_labels", study, c(list(labels_key = known$name), settings), verbose)
    wrong <- as.numeric(result$wrong)
    wrong[is.nan(wrong)] <- NA
    table <- data.frame(wrong, as.character(result$suggestion), row.names = rownames(study$obs))
    x <- .putColumns(x, setNames(table, columns))
    x <- .setRecord(x, "check", list(
        columns = union(columns, .records(x)[["check"]][["columns"]]), embedding = embedding,
        provenance = .provenance("check_labels", "any", settings, study, labels = known$name)
    ))
    if (.isSeurat(x)) .logSeurat(x, "checkLabels", .seuratAssayName(x), settings, call) else x
})

#' @rdname checkLabels
#' @export
setMethod("checkLabels", "character", function(x, ...) checkLabels(readStudy(x), ...))

# The name of the embedding: the user's, or the only one that isthmus made.
.checkedIn <- function(x, embedding) {
    models <- .heldModels(x)
    # A model of several modalities may have made several embeddings, under other names.
    places <- lapply(names(models), function(name) {
        several <- models[[name]]@provenance$embeddings
        if (length(several)) several else name
    })
    if (is.null(embedding)) {
        made <- unique(c(unlist(places), names(.projections(x))))
        if (length(made) != 1L) {
            .stopInput(
                "one embedding to look for neighbours in",
                if (length(made)) sprintf("those of isthmus: %s", .listed(made)) else "none made by isthmus",
                "name one with embedding ="
            )
        }
        embedding <- made
    }
    .checkPlace(embedding, "an embedding", "write embedding = \"PCA\"")
    by <- models[vapply(places, function(names) embedding %in% names, NA)]
    labels <- unlist(lapply(by, function(model) model@provenance$labels))
    if (length(labels)) {
        warning(sprintf(
            "%s was fitted with the labels %s: wrong ones among these have shaped the neighbourhoods.",
            .quoted(embedding), .quoted(unique(labels))
        ), call. = FALSE)
    }
    embedding
}
