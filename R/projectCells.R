#' Place new cells in the embedding of a reference
#'
#' @description
#' Embeds new cells with a model that was fitted on a reference. Nothing is
#' trained and the reference is not needed again, so that thousands of cells take
#' seconds and the reference stays where it was.
#'
#' @param query the new cells: a SingleCellExperiment, a SummarizedExperiment, a
#'   Seurat object, or the path of an `.h5ad` or `.rds` file. For models of SAILERX and
#'   scI2CL also a MultiAssayExperiment or a named list of objects.
#' @param reference the model: what [runSCALEX()], [runScDREAMER()], [runGLUE()],
#'   [runSAILERX()] or [runScI2CL()] returned, an [IsthmusModel-class], or the folder of a
#'   saved model.
#' @param batch batches of the query: the name of one column of its cell data, a
#'   vector with one value for every cell, or `NULL` if the query is one batch; of a split
#'   Seurat 5 assay the parts are the batches then. They may be new to the model. scDREAMER
#'   embeds cells of batches that it knows by name as cells of these, and warns of the
#'   others. GLUE, SAILERX and scI2CL need no batches here.
#' @param ... further settings by the names of the Python method `project`, for
#'   example `min_coverage`; of a model of GLUE `modality`, the one that the query is of;
#'   of models of SAILERX and scI2CL `rna` and `atac`, what the two are called in the
#'   query, as in [runSAILERX()].
#' @param assay,layer,values where the query's values are and what they are, as in
#'   [runSCALEX()]. `values = NULL` means the same as in the reference.
#' @param name the `reducedDim` to fill; `NULL` means the name of the model's system
#'   in capitals, `"SCALEX"` or `"SCDREAMER"`.
#' @param reduction.name,reduction.key the Seurat reduction to fill (`NULL` means
#'   `"scalex"` or `"scdreamer"`), and the prefix of its columns.
#' @param verbose whether to report progress and coverage as messages.
#'
#' @details
#' The query is normalised as the reference was and scaled with the reference's
#' own stored ranges. Features of the model that the query lacks are masked and
#' not read as zero expression; features that the model does not know are ignored.
#' Cells are never dropped. The share of the model's features that were found is
#' reported, and below `min_coverage` the projection is refused.
#'
#' SAILERX looks at the ATAC of the query only, scI2CL at RNA, ATAC or both (if one is
#' named, at that one only). Where none is named, they are sought under the names that they
#' had in the fit, under the usual ones, and in the query itself, whose features then are
#' genes or peaks. scI2CL also adds the column `sci2cl_measured`, and of several objects
#' each gets the embedding of its own cells.
#'
#' Feature names are matched exactly first. Names that differ only in `_` and `-`
#' are then taken as the same feature, because Seurat replaces one by the other;
#' which ones is kept in the record.
#'
#' @return the query given, with the embedding added as `reducedDim(x, "SCALEX")`
#'   or as Seurat reduction `scalex` (a matrix of cells by `n_latent`), and in
#'   `metadata(x)$isthmus$projection` (or `misc$isthmus$projection`) a list of `name`,
#'   `coverage` (how many features of the model were found, their share, and which
#'   are missing), `renamed` (features whose spelling was matched), `provenance`,
#'   (`coverage` and `renamed` by modality for scI2CL), and for scDREAMER `batches`: the
#'   names of those that are `known` and of those that are `new`. Earlier projections under
#'   other names stay in force; their records are in the list `projections` beside it.
#' @inherit runSCALEX references
#' @seealso [runSCALEX()], [runScDREAMER()], [runSAILERX()] and others fit the reference,
#'   [transferLabels()] labels the query, [makeMetacells()] sums up an atlas for the fit of a
#'   model into which all its cells are projected.
#' @examples
#' if (isthmusReady()) {
#'     sim <- simulateMultiome(n_cells = 400, seed = 1)
#'     rna <- sim[["rna"]]
#'     new <- rna$batch == rna$batch[1]
#'     reference <- runSCALEX(rna[, !new], batch = "batch", max_steps = 50)
#'     query <- projectCells(rna[, new], reference)
#'     S4Vectors::metadata(query)$isthmus$projection$coverage
#' }
#' @name projectCells
NULL

#' @rdname projectCells
#' @export
setMethod("projectCells", "SummarizedExperiment", function(
    query, reference, batch = NULL, ..., assay = NULL, values = NULL,
    name = NULL, verbose = TRUE) {
    query <- .asSCE(query)
    model <- isthmusModel(reference)
    if (.isPaired(model)) {
        place <- list(assay = assay, values = values, batch = batch)
        return(.projectPaired(query, model, .settings(...), place, name, NULL, verbose))
    }
    settings <- .withModality(.settings(...), query, model, batch)
    target <- .sceTarget(query, .nameOr(name, model))
    study <- .queryStudy(query, model, assay, NULL, values, batch, settings$modality)
    .projectInto(query, study, target, model, settings, values, verbose)
})

#' @rdname projectCells
#' @export
setMethod("projectCells", "ANY", function(
    query, reference, batch = NULL, ..., assay = NULL, layer = NULL,
    values = NULL, reduction.name = NULL, reduction.key = NULL,
    verbose = TRUE) {
    several <- .isMultiAssay(query) || (is.list(query) && !is.null(names(query)))
    if (!.isSeurat(query) && !several) .refuseClass(query)
    call <- .userCall("projectCells")
    model <- isthmusModel(reference)
    if (.isPaired(model)) {
        place <- list(assay = assay, layer = layer, values = values, batch = batch)
        return(.projectPaired(query, model, .settings(...), place, reduction.name,
            reduction.key, verbose, call))
    }
    if (several) .refuseClass(query)
    settings <- .withModality(.settings(...), query, model, batch)
    name <- .nameOr(reduction.name, model, tolower)
    target <- .seuratTarget(query, name, reduction.key)
    target$assay <- .seuratAssayName(query, assay)
    study <- .queryStudy(query, model, assay, layer, values, batch, settings$modality)
    query <- .projectInto(
        query, study, target, model, settings, values, verbose
    )
    .logSeurat(query, "projectCells", target$assay, settings, call)
})

#' @rdname projectCells
#' @export
setMethod("projectCells", "character", function(query, reference, ...) {
    projectCells(readStudy(query), reference, ...)
})

.projectInto <- function(query, study, target, model, settings, values,
                         verbose) {
    .keepOtherModel(query, target$name, model)
    result <- .core("project", study, c(
        list(
            folder = .modelFolder(model), batch_key = study$batch,
            values = values
        ),
        settings
    ), verbose)
    z <- .checkedEmbedding(result$embedding, rownames(study$obs))
    if (verbose) .sayCoverage(result$coverage)
    query <- .putEmbedding(query, z, target, target$assay)
    .setProjection(query, c(list(
        name = target$name, coverage = result$coverage,
        renamed = study$renamed,
        provenance = .provenance("project", model@system, settings, study,
            model = .modelId(model), features = length(model@features))
    ), .projectedBatches(result)))
}

# The latest projection is `projection`; earlier ones under other names, whose
# embeddings are still there, are `projections`.
.setProjection <- function(x, record) {
    known <- .projections(x)
    others <- known[setdiff(names(known), record$name)]
    x <- .setRecord(x, "projections", if (length(others)) others)
    .setRecord(x, "projection", record)
}

# @return list of records by the name of the embedding, the latest first.
.projections <- function(x) {
    records <- .records(x)
    latest <- records[["projection"]]
    c(if (!is.null(latest)) setNames(list(latest), latest$name), records[["projections"]])
}

# The latest one onto this model, or NULL.
.projectionBy <- function(x, model) {
    Find(function(record) identical(record$provenance$model, .modelId(model)), .projections(x))
}

# Which batches the model knew, of a system to which this matters.
.projectedBatches <- function(result) {
    if (!"new_batches" %in% names(result)) {
        return(NULL)
    }
    list(batches = list(
        known = as.character(unlist(result$known_batches)),
        new = as.character(unlist(result$new_batches))
    ))
}

# The embedding of another model that x holds may not be replaced under its name.
.keepOtherModel <- function(x, name, model) {
    held <- .heldModels(x)[[name]]
    if (is.null(held) || identical(.modelId(held), .modelId(model))) {
        return(invisible(NULL))
    }
    .stopInput(
        "a free name for the embedding",
        sprintf("%s, which another model in this object made", .quoted(name)),
        "choose another with name = (reduction.name = for Seurat)"
    )
}

.sayCoverage <- function(coverage) {
    message(sprintf(
        "%d of the model's %d features were found (%.0f %%)", coverage$n_found,
        coverage$n_reference, 100 * coverage$n_found / coverage$n_reference
    ))
}
