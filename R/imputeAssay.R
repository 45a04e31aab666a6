#' Impute values free of batch effects
#'
#' @description
#' Decodes the embedding of each cell back into feature values, seen as if all
#' cells came from the same batch, and adds them to the object.
#'
#' @param x an object whose cells the model can embed: one that [runSCALEX()],
#'   [runScDREAMER()], [runGLUE()], [runSAILERX()] or [runScI2CL()] returned, or projected
#'   cells with `model` given. A SingleCellExperiment, a Seurat object, or the path of an
#'   `.h5ad` or `.rds` file.
#' @param name the assay to fill, and the name of the model to use. `NULL` means the
#'   name of the model's system in capitals, `"SCALEX"` or `"SCDREAMER"`.
#' @param model `NULL` for the model in `x`; else an object that holds one, an
#'   [IsthmusModel-class], or the folder of a saved model.
#' @param batch how the values are seen: `"average"` over the batches of the
#'   reference, or the names of those to imitate.
#' @param features names of the features to impute; `NULL` means all of the
#'   model's.
#' @param ... further settings by the names of the Python method `impute`. Of a model of
#'   GLUE those of `predict`: `modality`, the one of the cells in `x` (known of reference
#'   cells), and `target`, the one to predict (by default the first other one). Of a model
#'   of SAILERX `top`, how many peaks to keep of each cell, and `depth`; of scI2CL
#'   `modality`, `"rna"` or `"atac"`, the one to impute.
#' @param batch_of,assay,layer,values for cells that this model has not embedded
#'   yet: their batches and where their values are, as `batch` and so on in
#'   [projectCells()].
#' @param max_memory largest result, in bytes, to hold in memory. A larger one
#'   is written to `file`.
#' @param file an `.h5ad` file (HDF5) for the values. `NULL` uses memory, or above
#'   `max_memory` a new file in the data folder of the package, which is
#'   reported.
#' @param overwrite whether an existing file may be replaced.
#' @param verbose whether to report progress as messages.
#'
#' @details
#' The values are log-normalised expression, the unit of the model's input before
#' scaling. They show what the model believes and are smoother than any
#' measurement. Use them to look at genes; test for differences on the counts.
#'
#' The embedding in the object is used as it is, if this model made it; other cells
#' are embedded first, as [projectCells()] does.
#'
#' A model of GLUE gives what the cells would show in another modality, such as the
#' peaks that would be open in cells whose RNA was counted, in the unit of that
#' modality's values: counts where these are counts.
#'
#' A model of SAILERX gives the chance of each peak to be open, in cells of one depth. With
#' `top` only the strongest peaks of each cell are kept, as a sparse matrix; all others
#' are 0 then.
#'
#' A model of scI2CL is shown the cells anew, both modalities or the one that there is, and
#' gives log-normalised values of either, measured or not.
#'
#' Seurat does not allow `_` in feature names. The new assay then has `-`, and
#' `misc$isthmus$featureNames` maps one to the other.
#'
#' @return the object given, with one of these added (for a model of SCALEX; those of
#'   scDREAMER are called `SCDREAMER`):
#' * `assay(x, "SCALEX")`, where the model's features are all the rows of `x`;
#' * `altExp(x, "SCALEX")` with the model's features and an assay of the same name,
#'   where they are some of them;
#' * for Seurat an assay `SCALEX` with the values in layer `data`.
#'
#' The record is in `metadata(x)$isthmus$imputed` or `misc$isthmus$imputed`. The
#' values are a matrix, or an `HDF5Matrix` for a result in a file.
#' @inherit runSCALEX references
#' @seealso [runSCALEX()], [runScDREAMER()], [projectCells()]; [geneActivity()] for peaks
#'   summed by gene.
#' @examples
#' if (isthmusReady()) {
#'     sim <- simulateMultiome(n_cells = 300, seed = 1)
#'     sce <- runSCALEX(sim[["rna"]], batch = "batch", max_steps = 50)
#'     sce <- imputeAssay(sce)
#'     SingleCellExperiment::altExpNames(sce)
#' }
#' @name imputeAssay
NULL

#' @rdname imputeAssay
#' @export
setMethod("imputeAssay", "SummarizedExperiment", function(
    x, name = NULL, model = NULL, batch = "average", features = NULL, ...,
    batch_of = NULL, assay = NULL, values = NULL, max_memory = 2e9, file = NULL,
    overwrite = FALSE, verbose = TRUE) {
    x <- .asSCE(x)
    if (!is.null(file)) file <- .imputedFile(file, overwrite)
    .checkImputedSCE(x, name)
    model <- .modelToUse(x, model, name)
    name <- .nameOr(name, model)
    .checkImputedSCE(x, name)
    made <- .imputed(x, model, list(batch = batch, features = features),
        .settings(...), list(assay = assay, values = values, batch = batch_of), max_memory,
        file, verbose)
    x <- .putImputedSCE(x, made$values, name)
    .setImputed(x, "imputed", name, made$provenance)
})

#' @rdname imputeAssay
#' @export
setMethod("imputeAssay", "ANY", function(
    x, name = NULL, model = NULL, batch = "average", features = NULL, ...,
    batch_of = NULL, assay = NULL, layer = NULL, values = NULL,
    max_memory = 2e9, verbose = TRUE) {
    if (!.isSeurat(x)) .refuseClass(x)
    call <- .userCall("imputeAssay")
    .checkImputedSeurat(x, name)
    model <- .modelToUse(x, model, name)
    name <- .nameOr(name, model)
    .checkImputedSeurat(x, name)
    made <- .imputed(x, model, list(batch = batch, features = features),
        .settings(...), list(
            assay = assay, layer = layer, values = values, batch = batch_of
        ), max_memory, NULL, verbose)
    x <- .putImputedSeurat(x, made$values, name)
    x <- .setImputed(x, "imputed", name, made$provenance)
    .logSeurat(x, "imputeAssay", .seuratAssayName(x, assay),
        made$provenance$settings, call)
})

#' @rdname imputeAssay
#' @export
setMethod("imputeAssay", "character", function(x, ...) {
    imputeAssay(readStudy(x), ...)
})

# --- what to use -------------------------------------------------------------

# The object's own model: the one of this name or with its usual name, or the only
# one.
.modelToUse <- function(x, model, name) {
    if (!is.null(model)) {
        return(isthmusModel(model))
    }
    held <- .heldModels(x)
    if (is.null(name)) name <- vapply(held, function(m) m@system, character(1))
    same <- names(held)[tolower(names(held)) == tolower(name)]
    isthmusModel(x, name = if (length(same) == 1L) same)
}

# @return list(values = matrix, features x cells, provenance).
.imputed <- function(x, model, wanted, settings, place, max_memory, file,
                     verbose) {
    .checkWanted(model, wanted)
    settings <- .withModality(settings, x, model, place$batch)
    if (.isMultiModal(model)) {
        settings$target <- .otherModality(settings$target, settings$modality, model)
    }
    if (.isPaired(model)) {
        told <- .pairedPlace(settings, place, model)
        settings <- .withImputed(told$settings, model)
        place <- told$place
    }
    study <- .embeddedStudy(x, model, place, settings, c("least", "top", "depth"))
    .checkAllCells(x, study)
    bytes <- .cellCount(x) * .bytesOfCell(model, wanted, settings)
    if (is.null(file) && bytes > max_memory) {
        file <- .largeResult(x, bytes, max_memory, model@system == "sailerx")
    }
    result <- .core("impute", study, c(
        list(
            folder = .modelFolder(model), batch_key = study$batch,
            values = place$values, file = file
        ),
        wanted, settings
    ), verbose)
    values <- if (is.null(file)) result$values else .fileValues(file, result)
    values <- .namedValues(values, result$features, .studyCells(study, result))
    if (.isPaired(model)) values <- values[, .cellKeys(x), drop = FALSE]
    list(
        values = values,
        provenance = .provenance("impute", model@system, c(wanted, settings),
            study, model = .modelId(model), file = file)
    )
}

# Values are numbers of 8 bytes; the strongest alone come with their positions.
.bytesOfCell <- function(model, wanted, settings) {
    all <- if (.isPaired(model)) .featuresOf(model, settings$modality) else model@features
    n <- length(if (is.null(wanted$features)) all else wanted$features)
    top <- settings$top
    if (is.numeric(top) && length(top) == 1L && isTRUE(top < n)) 12 * top else 8 * n
}

# A model of two modalities has to be told which one to impute.
.withImputed <- function(settings, model) {
    if (length(.rolesOf(model)) == 1L || any(settings$modality %in% .rolesOf(model))) {
        return(settings)
    }
    .stopInput(
        sprintf("the modality to impute, one of %s", .quoted(.rolesOf(model))),
        if (is.null(settings$modality)) "none" else .quoted(settings$modality),
        "name it, modality = \"rna\", for example"
    )
}

# Of a cell that the model did not embed nothing is known.
.checkAllCells <- function(x, study) {
    cells <- lapply(.studiesOf(study), function(one) rownames(one$obs))
    absent <- setdiff(.cellKeys(x), unlist(cells))
    if (length(absent)) {
        .stopInput(
            "cells that the model embedded",
            sprintf("%d without an embedding: %s", length(absent), .listed(absent, 3L)),
            "leave them out, x[, cells], and impute the others"
        )
    }
}

.checkWanted <- function(model, wanted) {
    unknown <- setdiff(wanted$features, model@features)
    if (length(unknown)) {
        .stopInput(
            sprintf("features among the %d of the model", length(model@features)),
            sprintf("%d that it does not have: %s", length(unknown), .listed(unknown, 5L)),
            "choose from isthmusModel(x)@features"
        )
    }
}

# Features are rows here, whichever way round the core gave them.
.namedValues <- function(values, features, cells) {
    features <- as.character(unlist(features))
    if (!identical(dim(values), c(length(features), length(cells)))) {
        stop("the core returned imputed values of another size; ",
            "please report this", call. = FALSE)
    }
    dimnames(values) <- list(features, cells)
    values
}

# --- results in files --------------------------------------------------------

# @return the path, as Python understands it, too.
.imputedFile <- function(file, overwrite) {
    .checkPath(file, "file")
    if (tolower(tools::file_ext(file)) != "h5ad") {
        .stopInput("a file that ends in .h5ad", .quoted(basename(file)), "name it imputed.h5ad, for example")
    }
    .refuseExisting(file, overwrite)
    path.expand(file)
}

# @param topped whether the model can leave out all but the strongest values.
.largeResult <- function(x, bytes, max_memory, topped = FALSE) {
    size <- sprintf("%.1f GB of values, above max_memory (%.1f GB)",
        bytes / 1e9, max_memory / 1e9)
    if (.isSeurat(x)) {
        .stopInput(
            "a result that fits in memory, as Seurat assays must", size,
            sprintf(
                "name fewer features with features =,%s or raise max_memory",
                if (topped) " keep the strongest of each cell with top =," else ""
            )
        )
    }
    if (!requireNamespace("HDF5Array", quietly = TRUE)) {
        .stopInput(
            "the R package HDF5Array for a large result", size,
            "BiocManager::install(\"HDF5Array\"), or raise max_memory"
        )
    }
    home <- file.path(tools::R_user_dir("isthmus", "data"), "imputed")
    dir.create(home, recursive = TRUE, showWarnings = FALSE)
    file <- tempfile(format(Sys.time(), "%Y%m%d-%H%M%S-"), home, ".h5ad")
    message("Imputed values are kept in ", file)
    file
}

# The file holds cells x features by rows, which R reads as features x cells.
.fileValues <- function(file, result) {
    if (isTRUE(result$sparse)) {
        # Python's HDF5 can switch off the errors by which HDF5Array tells a group from a dataset.
        rhdf5::h5errorHandling("normal")
        return(HDF5Array::H5SparseMatrix(normalizePath(file), result$dataset))
    }
    dataset <- if (is.null(result$dataset)) "values" else result$dataset
    HDF5Array::HDF5Array(normalizePath(file), dataset)
}

# What was imputed earlier under other names stays isthmus's own.
.setImputed <- function(x, record, name, provenance) {
    names <- union(.imputedBefore(x, record), name)
    .setRecord(x, record, list(name = name, names = names, provenance = provenance))
}

.imputedBefore <- function(x, record) {
    known <- .records(x)[[record]]
    union(known[["name"]], known[["names"]])
}

# --- free places -------------------------------------------------------------

# A name that the user gave is checked before a model is sought, the usual one after.
# @param record the record of what may be replaced under its own name.
.checkImputedSCE <- function(x, name, record = "imputed") {
    taken <- any(name %in% c(assayNames(x), altExpNames(x)))
    if (taken && !name %in% .imputedBefore(x, record)) {
        .refuseTaken("imputed assay", name, "choose another with name =")
    }
}

.checkImputedSeurat <- function(x, name, record = "imputed") {
    .needSeuratObject()
    taken <- any(name %in% c(.seuratNames(x), names(slot(x, "meta.data"))))
    if (taken && !name %in% .imputedBefore(x, record)) {
        .refuseTaken("imputed assay", name, "choose another with name =")
    }
}
