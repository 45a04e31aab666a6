#' Transfer labels from a reference to new cells
#'
#' @description
#' Gives each new cell the label of its nearest reference cells in the embedding,
#' a confidence, and `"unknown"` where no label is close enough.
#'
#' @inheritParams projectCells
#' @param query the new cells: a SingleCellExperiment, a SummarizedExperiment, a
#'   Seurat object, or the path of an `.h5ad` or `.rds` file.
#' @param reference what [runSCALEX()] or another system returned; or an
#'   [IsthmusModel-class] or the folder of a saved model, with `labels` as a
#'   vector.
#' @param labels the labels of the reference cells: the name of a column of its
#'   cell data (of a MultiAssayExperiment those of the experiment, or else of the whole), or
#'   a vector named by the reference cells or in their order. Cells with `NA` do not vote.
#' @param k number of reference neighbours that vote.
#' @param ... further settings by the names of the Python method
#'   `transfer_labels`, for example `unknown_below`; of a model of GLUE `modality`, the
#'   one that the query is of (known of its reference cells), and `source`, the one whose
#'   cells have the labels (by default the first other one); of models of SAILERX and
#'   scI2CL `rna` and `atac`, as in [projectCells()].
#' @param name stem of the columns to add; `NULL` means the name of the model's system,
#'   `"scalex"` or `"scdreamer"`.
#' @param verbose whether to report progress as messages.
#'
#' @details
#' An embedding that [projectCells()] made with this model is used as it is. A query
#' without one is embedded here in the same way, and `batch`, `assay` and `values`
#' say how. The reference may have been sorted or subset
#' since the fit; its labels are matched by cell name, and reference cells that
#' are no longer there do not vote. So its cells must have had names when it was fitted.
#'
#' @return the query given, with two columns added to its cell data:
#'   `scalex_label` (character) and `scalex_confidence` (between 0 and 1), or those of
#'   the model's own system; and in
#'   `metadata(x)$isthmus$labels` (or `misc$isthmus$labels`) the record of how
#'   they were made.
#' @inherit runSCALEX references
#' @seealso [projectCells()] for the embedding, [predictLabels()] for a model that was
#'   fitted with labels.
#' @examples
#' if (isthmusReady()) {
#'     sim <- simulateMultiome(n_cells = 400, seed = 1)
#'     rna <- sim[["rna"]]
#'     new <- rna$batch == rna$batch[1]
#'     reference <- runSCALEX(rna[, !new], batch = "batch", max_steps = 50)
#'     query <- transferLabels(rna[, new], reference, labels = "cell_type")
#'     table(query$scalex_label, query$cell_type)
#'
#'     # From RNA to chromatin, in the embedding of both.
#'     both <- simulateMultiome(n_cells = 200, n_genes = 100, n_peaks = 300,
#'         n_types = 3, seed = 1)
#'     both <- runGLUE(both, n_latent = 8, max_steps = 30, n_models = 0)
#'     atac <- transferLabels(both[["atac"]], both, labels = "cell_type")
#'     table(atac$glue_label, atac$cell_type)
#' }
#' @name transferLabels
NULL

#' @rdname transferLabels
#' @export
setMethod("transferLabels", "SummarizedExperiment", function(
    query, reference, labels = "cell_type", k = 15, ..., batch = NULL,
    assay = NULL, values = NULL, name = NULL, verbose = TRUE) {
    .transferInto(query, reference, labels, .settings(k = k, ...),
        list(assay = assay, values = values, batch = batch), name, verbose)
})

#' @rdname transferLabels
#' @export
setMethod("transferLabels", "ANY", function(
    query, reference, labels = "cell_type", k = 15, ..., batch = NULL,
    assay = NULL, layer = NULL, values = NULL, name = NULL,
    verbose = TRUE) {
    if (!.isSeurat(query)) .refuseClass(query)
    call <- .userCall("transferLabels")
    settings <- .settings(k = k, ...)
    query <- .transferInto(query, reference, labels, settings,
        list(assay = assay, layer = layer, values = values, batch = batch),
        name, verbose)
    .logSeurat(query, "transferLabels", .seuratAssayName(query, assay),
        settings, call)
})

#' @rdname transferLabels
#' @export
setMethod("transferLabels", "character", function(query, reference, ...) {
    transferLabels(readStudy(query), reference, ...)
})

.transferInto <- function(query, reference, labels, settings, place, name,
                          verbose) {
    model <- isthmusModel(reference)
    if (.isPaired(model)) {
        told <- .pairedPlace(settings, place, model)
        settings <- told$settings
        place <- told$place
    }
    settings <- .withModality(settings, query, model, place$batch)
    voters <- model
    if (.isMultiModal(model)) {
        settings$source <- .otherModality(settings$source, settings$modality, model)
        voters <- .votersOf(model, settings$source)
        reference <- .experimentOf(reference, settings$source)
    }
    task <- list(
        verb = "labels", own = c("k", "unknown_below"),
        params = list(labels = .referenceLabels(reference, voters, labels)),
        labels = if (length(labels) == 1L) labels
    )
    .labelInto(query, model, task, settings, place, name, verbose)
}

# Labels and confidences of the core into columns of the query.
# @param task list(verb, own: names of the settings that do not concern the
#   projection, params, labels: column of the reference).
# @param place list(assay, layer, values, batch) of the query, where given.
.labelInto <- function(query, model, task, settings, place, name, verbose) {
    columns <- .labelColumns(.nameOr(name, model, tolower))
    .checkColumns(query, columns)
    study <- .embeddedStudy(query, model, place, settings, task$own)
    result <- .core(task$verb, study, c(
        list(
            folder = .modelFolder(model), batch_key = study$batch,
            values = place$values
        ),
        task$params, settings
    ), verbose)
    query <- .putLabels(query, result, .studyCells(study, result), columns)
    .setRecord(query, "labels", list(
        columns = union(columns, .records(query)[["labels"]][["columns"]]),
        provenance = .provenance(task$verb, model@system, settings, study,
            model = .modelId(model), labels = task$labels)
    ))
}

# The cells that a result speaks of: of several studies the core says it.
.studyCells <- function(study, result) {
    if (.isBundle(study)) as.character(unlist(result$cells)) else rownames(study$obs)
}

# --- labels of the reference -------------------------------------------------

# @return character along the model's reference cells; NA where unknown.
.referenceLabels <- function(reference, model, labels) {
    several <- .isMultiAssay(reference) || is.list(reference)
    isColumn <- is.character(labels) && length(labels) == 1L && is.null(names(labels))
    byCell <- if (several && isColumn) {
        .labelsOfMany(reference, labels)
    } else {
        .labelsByCell(reference, model, labels)
    }
    cells <- model@cells
    hit <- match(cells, names(byCell))
    if (all(is.na(hit))) {
        .stopInput(
            "labels for the cells that the model was fitted on",
            sprintf(
                "none of them among %d names, for example %s",
                length(byCell), .listed(names(byCell), 3L)
            ),
            sprintf("name the labels by its cells, like %s", .listed(cells, 3L))
        )
    }
    known <- unname(byCell)[hit]
    if (all(is.na(known))) {
        .stopInput(
            "labels of reference cells", "NA for all of them",
            "give another column with labels ="
        )
    }
    known
}

# @return character named by cells.
.labelsByCell <- function(reference, model, labels) {
    holder <- .isShared(reference)
    isColumn <- is.character(labels) && length(labels) == 1L &&
        is.null(names(labels))
    if (isColumn && holder) {
        return(.namedLabels(reference, labels))
    }
    if (isColumn && length(model@cells) != 1L) {
        .stopInput(
            "labels as a vector named by the reference cells",
            sprintf("the column name %s and a model without columns",
                .quoted(labels)),
            "give the reference object, or the labels themselves"
        )
    }
    values <- setNames(as.character(labels), names(labels))
    if (!is.null(names(labels))) {
        return(values)
    }
    # Cells of an object that was sorted since the fit are in the object's order.
    if (holder && length(values) == .cellCount(reference)) {
        .checkReferenceNames(reference)
        return(setNames(values, .cellKeys(reference)))
    }
    if (length(values) != length(model@cells)) {
        .stopInput(
            sprintf("%d labels, one for each reference cell", length(model@cells)),
            sprintf("%d labels without names", length(values)),
            "name them by the reference cells"
        )
    }
    setNames(values, model@cells)
}

# Numbers in place of names would be others once the object was sorted or subset.
.checkReferenceNames <- function(reference) {
    .checkCellNames(reference, "the reference", "name its cells before the fit, colnames(x) <- barcodes")
}

.namedLabels <- function(reference, column) {
    .checkReferenceNames(reference)
    .labelColumn(reference, column)
}

.labelColumn <- function(reference, column) {
    table <- .cellData(reference)
    if (!column %in% colnames(table)) {
        .stopInput(
            sprintf("a label column in the reference's %s",
                .cellDataName(reference)),
            sprintf("no column %s; the columns are: %s", .quoted(column),
                .listed(colnames(table))),
            "name one of them with labels ="
        )
    }
    setNames(as.character(table[[column]]), .cellKeys(reference))
}

# --- columns of labels -------------------------------------------------------

.labelColumns <- function(stem) paste0(stem, c("_label", "_confidence"))

.checkColumns <- function(x, columns, remedy = "choose another with name =") {
    taken <- setdiff(intersect(columns, colnames(.cellData(x))), .ownColumns(x))
    if (length(taken)) {
        .refuseTaken("label column", taken[1], remedy)
    }
}

# Columns that isthmus made: by transfer or prediction, or by a fit with labels.
.ownColumns <- function(x) {
    unlist(lapply(c(.records(x), .projections(x)), function(record) {
        if (is(record, "IsthmusModel")) record@provenance$columns else record[["columns"]]
    }))
}

# @param result list(label, confidence) along `cells`.
.putLabels <- function(x, result, cells, columns) {
    table <- data.frame(as.character(result$label),
        as.numeric(result$confidence), row.names = cells)
    names(table) <- columns
    .putColumns(x, table)
}

# @param table data.frame with cells as row names; others get NA.
.putColumns <- function(x, table) {
    hit <- match(.cellKeys(x), rownames(table))
    for (column in names(table)) {
        x <- .setColumn(x, column, table[[column]][hit])
    }
    x
}

.removeColumns <- function(x, columns) {
    for (column in intersect(columns, colnames(.cellData(x)))) {
        x <- .setColumn(x, column, NULL)
    }
    x
}

.setColumn <- function(x, column, values) {
    if (.isSeurat(x)) {
        slot(x, "meta.data")[[column]] <- values
    } else {
        colData(x)[[column]] <- values
    }
    x
}
