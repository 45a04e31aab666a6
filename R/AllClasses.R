#' A fitted model, as R keeps it
#'
#' A small record that travels with the object it was fitted on. Up to 64 MiB
#' the files of the saved model are held in `archive`, so that `saveRDS()` of
#' the object saves the model too. A larger model stays in its folder, and the
#' record only points there.
#'
#' @slot system name of the integration system, for example `"scalex"`.
#' @slot folder where the model was saved when it was fitted or loaded.
#' @slot manifest the model's own description: sizes, settings, versions.
#' @slot archive named list of raw vectors, one for each file of the folder;
#'   empty for a large model.
#' @slot history one row an epoch: training and validation losses.
#' @slot cells names of the reference cells, in the order of the fit.
#' @slot features names of the model's features.
#' @slot provenance how the model was made: versions, seed, settings, columns of
#'   batches and labels, time; `types` are the names of the labels that it learnt,
#'   `cell_batches` the batches by cell where no column of the object held them.
#' @seealso [isthmusModel()] to get one, [saveModel()] and [loadModel()].
#' @exportClass IsthmusModel
setClass("IsthmusModel", slots = c(
    system = "character", folder = "character", manifest = "list",
    archive = "list", history = "data.frame", cells = "character",
    features = "character", provenance = "list"
))

setValidity("IsthmusModel", function(object) {
    problems <- character()
    if (length(object@system) != 1L || is.na(object@system)) {
        problems <- c(problems, "'system' must be one name")
    }
    if (length(object@folder) != 1L) {
        problems <- c(problems, "'folder' must be one path")
    }
    files <- object@archive
    if (length(files) && is.null(names(files))) {
        problems <- c(problems, "'archive' must be named by its files")
    }
    if (!all(vapply(files, is.raw, logical(1)))) {
        problems <- c(problems, "'archive' must hold raw vectors")
    }
    if (length(problems)) problems else TRUE
})
