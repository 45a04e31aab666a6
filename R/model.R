# A model is a folder of plain files. In R it is a record that holds those files,
# as long as they are small, so that the model goes where the object goes.

.archiveLimit <- 64 * 2^20 # bytes; larger models stay in their folder

# All that the folder of a model holds; what else lies in it is the user's.
.modelFiles <- c("arrays.safetensors", "manifest.json", "names.json")

.modelCache <- new.env(parent = emptyenv()) # id -> list(folder, archive), unpacked this session

# The same fit has the same id, whoever holds it.
.modelId <- function(model) as.character(model@manifest$id)

# @param described what the core says of the model: manifest, history, cells,
#   features, and the labels that it was taught.
.newModel <- function(system, folder, described, provenance = list(),
                      cells = character()) {
    features <- described$features
    if (is.null(features)) features <- described$manifest$features
    if (!is.null(described$cells)) cells <- described$cells
    history <- described$history
    if (is.null(history)) history <- data.frame()
    if (length(described$labels)) {
        provenance$types <- as.character(unlist(described$labels))
    }
    if (is.list(cells)) provenance$modalities <- lengths(cells)
    if (length(described$sizes)) provenance$modalities <- unlist(described$sizes)
    new("IsthmusModel",
        system = system, folder = normalizePath(folder),
        manifest = as.list(described$manifest), archive = .readArchive(folder),
        history = as.data.frame(history), cells = as.character(unlist(cells)),
        features = as.character(unlist(features)),
        provenance = provenance
    )
}

# @return the files as raw vectors, or an empty list where they are too large.
.readArchive <- function(folder, limit = .archiveLimit) {
    files <- intersect(.modelFiles, list.files(folder))
    paths <- file.path(folder, files)
    sizes <- file.size(paths)
    if (sum(sizes) > limit) {
        return(list())
    }
    Map(function(path, size) readBin(path, "raw", size), setNames(paths, files),
        sizes)
}

# What stands in the folder is replaced once the new files are whole beside it.
.writeArchive <- function(archive, folder) {
    part <- tempfile("isthmus-part-", dirname(folder))
    on.exit(unlink(part, recursive = TRUE))
    if (!dir.create(part, showWarnings = FALSE)) .refuseUnwritable(folder)
    for (name in names(archive)) writeBin(archive[[name]], file.path(part, name))
    # A folder cannot be renamed over a full one.
    old <- tempfile("isthmus-old-", dirname(folder))
    if (dir.exists(folder) && !file.rename(folder, old)) .refuseUnwritable(folder)
    if (!file.rename(part, folder)) {
        if (dir.exists(old)) file.rename(old, folder)
        .refuseUnwritable(folder)
    }
    unlink(old, recursive = TRUE)
    invisible(folder)
}

.refuseUnwritable <- function(path) {
    .stopInput(
        "a folder that can be written", .quoted(path), "check its path and your permissions"
    )
}

# A folder on this machine with the model's files in it.
.modelFolder <- function(model) {
    if (!length(model@archive)) {
        return(.folderOfLargeModel(model))
    }
    id <- .modelId(model)
    known <- .modelCache[[id]]
    # Fits that differ in names alone have one id, so the files decide.
    if (!is.null(known) && identical(known$archive, model@archive) &&
        all(file.exists(file.path(known$folder, names(model@archive))))) {
        return(known$folder)
    }
    folder <- tempfile("isthmus-model-")
    .writeArchive(model@archive, folder)
    assign(id, list(folder = folder, archive = model@archive), envir = .modelCache)
    folder
}

.folderOfLargeModel <- function(model) {
    if (dir.exists(model@folder)) {
        return(model@folder)
    }
    .stopInput(
        sprintf("the folder of the fitted model, %s", .quoted(model@folder)),
        "no such folder on this machine",
        paste(
            "copy it from where the model was fitted and use",
            "loadModel(folder) as the reference"
        )
    )
}

# A model too large to travel, fitted into a temporary folder, must outlive it.
.keepFolder <- function(folder, system) {
    size <- sum(file.size(list.files(folder, recursive = TRUE, full.names = TRUE)))
    if (size <= .archiveLimit) {
        return(folder)
    }
    home <- file.path(tools::R_user_dir("isthmus", "data"), "models")
    dir.create(home, recursive = TRUE, showWarnings = FALSE)
    kept <- file.path(home, paste0(
        system, format(Sys.time(), "-%Y%m%d-%H%M%S-"), Sys.getpid()
    ))
    dir.create(kept)
    copied <- file.copy(list.files(folder, full.names = TRUE), kept,
        recursive = TRUE)
    stopifnot(all(copied))
    unlink(folder, recursive = TRUE)
    message(sprintf(
        "The model has %.0f MiB and is kept in %s", size / 2^20, kept
    ))
    kept
}

#' The fitted model of an object
#'
#' @description
#' `isthmusModel()` gets the model that [runSCALEX()] or another system left in an object,
#' `saveModel()` writes it to a folder, `loadModel()` reads one back, whether it was
#' written from R or from Python.
#'
#' @param x what [runSCALEX()], [runScDREAMER()], [runGLUE()], [runSAILERX()] or
#'   [runScI2CL()] returned, an [IsthmusModel-class], or the path of a saved model's folder.
#' @param name which model, where an object holds several: the name of its
#'   embedding.
#' @param folder where to write the model, or where it was written.
#' @param overwrite whether an existing model in `folder` may be replaced; a folder that
#'   holds other files, too, never is.
#' @param ... further arguments for methods.
#'
#' @details
#' A model is a folder of plain files: the weights as safetensors, everything
#' else as JSON or tables. It holds no code and no pickled objects, so a model
#' from a stranger can be opened safely. The same folder serves R, Python
#' (`isthmus.load(folder)`) and the command line.
#'
#' A model of at most 64 MiB travels inside the object through `saveRDS()`. A
#' larger one stays in its folder, and the object only remembers where; for use
#' on another machine save it with `saveModel()` and take the folder along.
#'
#' @return `isthmusModel()` and `loadModel()` return an [IsthmusModel-class].
#'   `saveModel()` returns the folder's path, invisibly.
#' @seealso [runSCALEX()] and [runScDREAMER()] to fit a model, [projectCells()] to use one.
#' @examples
#' if (isthmusReady()) {
#'     sim <- simulateMultiome(n_cells = 300, seed = 1)
#'     sce <- runSCALEX(sim[["rna"]], batch = "batch", max_steps = 50)
#'     model <- isthmusModel(sce)
#'     model
#'     folder <- tempfile()
#'     saveModel(model, folder)
#'     identical(loadModel(folder)@features, model@features)
#' }
#' @name isthmusModel
NULL

#' @rdname isthmusModel
#' @export
setMethod("isthmusModel", "ANY", function(x, name = NULL, ...) {
    known <- .isSeurat(x) || is(x, "SummarizedExperiment") || .isMultiAssay(x)
    if (!known) .refuseClass(x)
    models <- .heldModels(x)
    if (is.null(name) && length(models) == 1L) {
        return(models[[1]])
    }
    if (length(name) == 1L && name %in% names(models)) {
        return(models[[name]])
    }
    .refuseModelless(models, name, projected = length(.projections(x)) > 0L)
})

# Models in the records; and in reductions, where IntegrateLayers() puts them.
.heldModels <- function(x) {
    held <- .records(x)
    if (.isSeurat(x)) {
        found <- lapply(slot(x, "reductions"), function(r) attr(r, "misc")[["isthmus"]])
        held <- c(held, found[setdiff(names(found), names(held))])
    }
    Filter(function(r) is(r, "IsthmusModel"), held)
}

# The records of this fit among them, by the names that they have in the object.
.copiesHeld <- function(x, model) {
    Filter(function(held) identical(.modelId(held), .modelId(model)), .heldModels(x))
}

.refuseModelless <- function(models, name, projected = FALSE) {
    if (!length(models)) {
        .stopInput(
            "an object that holds a fitted model",
            if (projected) {
                "projected cells, whose model is with their reference"
            } else {
                "no model in this object"
            },
            if (projected) {
                "give the reference object, or its model"
            } else {
                paste(
                    "fit one first with runSCALEX(), runSAILERX(), runScDREAMER(), runGLUE() or",
                    "runScI2CL(), or read one with loadModel()"
                )
            }
        )
    }
    .stopInput(
        if (is.null(name)) "one model" else sprintf("a model %s", .quoted(name)),
        sprintf("the models: %s", .listed(names(models))),
        "choose one with isthmusModel(x, name = )"
    )
}

# The model of a system in an object, also where it holds models of others.
.modelOfSystem <- function(x, system, name = NULL) {
    if (is(x, "IsthmusModel") || is.character(x) || is(x, "list") || !is.null(name)) {
        return(isthmusModel(x, name = name))
    }
    held <- .heldModels(.checkedHolder(x))
    ours <- vapply(held, function(one) one@system == system, NA)
    isthmusModel(x, name = if (sum(ours) == 1L) names(held)[ours])
}

.checkedHolder <- function(x) {
    if (.isSeurat(x) || is(x, "SummarizedExperiment") || .isMultiAssay(x)) x else .refuseClass(x)
}

# What runGLUE() made of a list of objects: each of them holds the model.
#' @rdname isthmusModel
#' @export
setMethod("isthmusModel", "list", function(x, name = NULL, ...) {
    known <- vapply(x, function(one) .isSeurat(one) || is(one, "SummarizedExperiment"), NA)
    if (!length(x) || !all(known)) .refuseClass(x)
    held <- do.call(c, lapply(unname(x), .heldModels))
    held <- held[!duplicated(vapply(held, .modelId, ""))]
    if (!is.null(name)) held <- held[names(held) %in% name]
    if (length(held) == 1L) held[[1]] else .refuseModelless(held, name)
})

#' @rdname isthmusModel
#' @export
setMethod("isthmusModel", "IsthmusModel", function(x, ...) x)

#' @rdname isthmusModel
#' @export
setMethod("isthmusModel", "character", function(x, ...) {
    if (length(x) == 1L && grepl("[.]rds$", x, ignore.case = TRUE)) {
        return(isthmusModel(readStudy(x), ...))
    }
    loadModel(x)
})

#' @rdname isthmusModel
#' @export
saveModel <- function(x, folder, overwrite = FALSE) {
    model <- isthmusModel(x)
    .checkPath(folder, "folder")
    archive <- model@archive
    if (!length(archive)) {
        archive <- .readArchive(.modelFolder(model), limit = Inf)
    }
    .refuseTakenFolder(folder, overwrite)
    dir.create(dirname(folder), recursive = TRUE, showWarnings = FALSE)
    .writeArchive(archive, folder)
    invisible(normalizePath(folder))
}

# A model may replace another one and nothing else.
.refuseTakenFolder <- function(folder, overwrite) {
    found <- list.files(folder, all.files = TRUE, no.. = TRUE)
    others <- setdiff(found, .modelFiles)
    ours <- "manifest.json" %in% found && !length(others)
    if (!length(found) || (overwrite && ours)) {
        return(invisible(NULL))
    }
    expected <- if (overwrite) "a new folder, or one that holds a model alone" else "a new or empty folder"
    .stopInput(
        expected,
        sprintf("%s in %s", .listed(if (length(others)) others else found, 3L), .quoted(folder)),
        if (ours) "choose another, or use overwrite = TRUE" else "choose another folder"
    )
}

#' @rdname isthmusModel
#' @export
loadModel <- function(folder) {
    .checkPath(folder, "folder")
    if (!dir.exists(folder)) {
        .stopInput(
            "the folder of a saved model",
            sprintf("no folder %s", .quoted(folder)),
            "check the path; saveModel() and model.save() write such folders"
        )
    }
    folder <- normalizePath(folder)
    described <- .core("info", NULL, list(folder = folder))
    settings <- described$manifest$settings
    .newModel(.systemOf(described$manifest), folder, described, list(
        verb = "load", batch = .commonKey(settings$batch_key), labels = .commonKey(settings$labels_key),
        seed = settings$seed, settings = settings
    ))
}

# One column name; NULL where the modalities have different ones.
.commonKey <- function(keys) {
    keys <- unique(unlist(keys))
    if (length(keys) == 1L) keys
}

# The usual name of what a model makes: of embeddings and imputed assays it is in
# capitals, but of Seurat's reductions and of label columns in small letters.
.nameOr <- function(name, model, letters = toupper) {
    if (is.null(name)) letters(model@system) else name
}

.systemOf <- function(manifest) {
    system <- manifest$system
    if (is.null(system)) "scalex" else as.character(system)
}

.checkPath <- function(path, what) {
    if (is.character(path) && length(path) == 1L && !is.na(path) &&
        nzchar(path)) {
        return(invisible(NULL))
    }
    .stopInput(
        sprintf("the path of a %s as one string", what),
        sprintf("%d values of class %s", length(path), .quoted(class(path)[1])),
        sprintf("give one path, for example \"my_%s\"", what)
    )
}

#' @describeIn IsthmusModel-class prints what the model is and how it was made.
#' @param object an `IsthmusModel`.
#' @export
setMethod("show", "IsthmusModel", function(object) {
    made <- object@provenance
    size <- sum(lengths(object@archive))
    place <- if (size > 0) {
        sprintf("in this object (%.1f MiB)", size / 2^20)
    } else {
        sprintf("in %s", object@folder)
    }
    lines <- c(
        sprintf("IsthmusModel: %s", toupper(object@system)),
        sprintf("  fitted on: %d cells, %d features", length(object@cells),
            length(object@features)),
        if (length(made$modalities)) {
            sizes <- sprintf("%s (%d cells)", names(made$modalities), made$modalities)
            sprintf("  modalities: %s", toString(sizes))
        },
        if (!is.null(made$batch)) sprintf("  batches:   %s", made$batch),
        if (length(made$types)) {
            sprintf("  labels:    %s", .listed(made$types, 5L))
        },
        if (nrow(object@history)) {
            sprintf("  epochs:    %d", nrow(object@history))
        },
        if (!is.null(made$time)) sprintf("  made:      %s", made$time),
        sprintf("  kept:      %s", place)
    )
    cat(lines, sep = "\n")
})
