# What runSCALEX() and runScDREAMER() have in common: an object in, the same
# object with embedding, model and, where labels were given, labels out.

# @param place list(assay, layer, values, batch, labels): what to read; NULL where
#   nothing was given.
.fitSCE <- function(x, system, place, settings, name, model_dir, verbose) {
    x <- .asSCE(x)
    target <- .sceTarget(x, name)
    study <- .asStudy(x, place$assay, NULL, place$values, place$batch,
        labels = place$labels)
    .fitInto(x, study, target, system, settings, model_dir, verbose)$x
}

.fitSeurat <- function(x, verb, system, place, settings, name, key, model_dir,
                       verbose) {
    call <- .userCall(verb)
    target <- .seuratTarget(x, name, key)
    study <- .asStudy(x, place$assay, place$layer, place$values, place$batch,
        splitIsBatch = TRUE, labels = place$labels)
    target$assay <- .seuratAssayName(x, place$assay)
    fitted <- .fitInto(x, study, target, system, settings, model_dir, verbose)
    .logSeurat(fitted$x, verb, target$assay, fitted$settings, call)
}

# Any system: fit, then write the embedding, the labels and the model back.
# @return list(x, settings).
.fitInto <- function(x, study, target, system, settings, model_dir, verbose) {
    settings <- Filter(Negate(is.null), settings)
    columns <- if (!is.null(study$labels)) .labelColumns(tolower(target$name))
    .checkColumns(x, columns, "choose another with name = (reduction.name = for Seurat)")
    folder <- .newModelFolder(model_dir)
    if (is.null(model_dir)) on.exit(unlink(folder, recursive = TRUE))
    result <- .core("fit", study, c(
        list(
            system = system, folder = folder, batch_key = study$batch,
            labels_key = study$labels
        ),
        settings
    ), verbose)
    cells <- rownames(study$obs)
    z <- .checkedEmbedding(result$embedding, cells)
    kept <- if (is.null(model_dir)) .keepFolder(folder, system) else folder
    provenance <- .provenance("fit", system, settings, study,
        seed = settings$seed, labels = study$labels, columns = columns)
    model <- .newModel(system, kept, result, provenance, cells)
    x <- .withoutOldFit(x, target$name)
    x <- .putEmbedding(x, z, target, target$assay)
    if (length(columns)) x <- .putLabels(x, result, cells, columns)
    list(x = .setRecord(x, target$name, model), settings = settings)
}

# What an earlier projection or fit left under this name is there no more.
.withoutOldFit <- function(x, name) {
    if (identical(.records(x)[["projection"]]$name, name)) {
        x <- .setRecord(x, "projection", NULL)
    }
    earlier <- .records(x)[["projections"]]
    if (name %in% names(earlier)) {
        earlier[[name]] <- NULL
        x <- .setRecord(x, "projections", if (length(earlier)) earlier)
    }
    old <- .records(x)[[name]]
    if (!is(old, "IsthmusModel")) {
        return(x)
    }
    later <- .records(x)[["labels"]][["columns"]]
    .removeColumns(x, setdiff(old@provenance$columns, later))
}

.newModelFolder <- function(model_dir) {
    if (is.null(model_dir)) {
        return(tempfile("isthmus-fit-"))
    }
    .checkPath(model_dir, "folder")
    model_dir <- path.expand(model_dir) # Python does not know ~
    if (length(list.files(model_dir, all.files = TRUE, no.. = TRUE))) {
        .stopInput(
            "a new or empty folder as model_dir",
            sprintf("files in %s", .quoted(model_dir)), "choose another folder"
        )
    }
    model_dir
}
