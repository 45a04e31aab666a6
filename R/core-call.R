# Between the verbs and the bridge: settings in, results out.

# A call of the core; quiet means no progress, warnings are always shown.
.core <- function(verb, study, params, verbose = TRUE) {
    params <- Filter(Negate(is.null), params)
    # A vector stays one in Python, even of length one.
    for (plural in intersect(names(params), c("labels", "features", "modalities"))) {
        params[[plural]] <- I(params[[plural]])
    }
    if (!is.null(study)) study <- .crossing(study)
    tryCatch(
        if (verbose) {
            .callCore(verb, study, params)
        } else {
            suppressMessages(.callCore(verb, study, params))
        },
        isthmus_python_error = .explainPython
    )
}

# A misspelt setting is the user's to mend, although Python notices it.
.explainPython <- function(condition) {
    pattern <- ".*unexpected keyword argument '([^']*)'.*"
    if (!grepl(pattern, conditionMessage(condition))) stop(condition)
    .stopInput(
        "settings that the core's function of the same task has",
        sprintf("the unknown setting %s", .quoted(sub(pattern, "\\1", conditionMessage(condition)))),
        "check its spelling; the help page of this function names them"
    )
}

# Words of the core that have another name here, because R fills them in. Of `layer`
# only a SingleCellExperiment gets here: Seurat's methods have it as an argument.
.ownWords <- c(
    batch_key = "batch =", labels_key = "labels =", key_added = "name =", folder = "model_dir =",
    layer = "assay =", progress = "verbose =", adata = "x", data = "x",
    graph = "genes = or edges =", use_rep = "embedding ="
)

# Settings from `...`: named once, with the core's own names.
.settings <- function(...) {
    settings <- list(...)
    given <- names(settings)
    if (length(settings) && (is.null(given) || !all(nzchar(given)))) {
        .stopInput(
            "further settings by name", "an argument without a name",
            "write it as name = value, for example n_latent = 20"
        )
    }
    if (anyDuplicated(given)) {
        .stopInput(
            "every setting once",
            sprintf("%s twice", .quoted(given[anyDuplicated(given)])),
            "remove one of them"
        )
    }
    taken <- intersect(given, names(.ownWords))
    if (length(taken)) {
        .stopInput(
            "the arguments of the R function", sprintf("the setting %s", .quoted(taken[1])),
            sprintf("use %s", .ownWords[[taken[1]]])
        )
    }
    if (is.character(settings[["checkpoint"]])) {
        settings$checkpoint <- path.expand(settings$checkpoint)
    }
    .wholeNumbers(settings)
}

# R writes 2000 and means a whole number; Python tells 2000 from 2000.0.
.wholeNumbers <- function(settings) {
    lapply(settings, function(value) {
        whole <- is.numeric(value) && length(value) == 1L && is.finite(value) &&
            value == round(value) && abs(value) < 2^31
        if (whole) as.integer(value) else value
    })
}

# The call as the user wrote it, without the data that do.call() puts in.
.userCall <- function(verb) {
    heads <- vapply(sys.calls(), function(call) {
        head <- call[[1]]
        if (is.call(head) && length(head) == 3L) head <- head[[3]]
        is.name(head) && identical(as.character(head), verb)
    }, logical(1))
    if (!any(heads)) {
        return(as.call(list(as.name(verb))))
    }
    call <- sys.calls()[[which(heads)[1]]]
    call[[1]] <- as.name(verb)
    as.call(lapply(call, function(part) {
        plain <- is.language(part) || (is.atomic(part) && length(part) <= 10L)
        if (plain) part else as.name(class(part)[1])
    }))
}

# --- features of object and model --------------------------------------------

# Seurat writes "-" where others write "_". Names that only differ in this are
# the same feature; the exact name wins, and nothing that is ambiguous is moved.
# @return the object's names with the model's spelling where they match.
.modelSpelling <- function(names, features) {
    absent <- which(!names %in% features)
    open <- setdiff(features, names)
    if (!length(absent) || !length(open)) {
        return(names)
    }
    dash <- function(x) gsub("_", "-", x, fixed = TRUE)
    mine <- dash(names[absent])
    theirs <- dash(open)
    clear <- !mine %in% mine[duplicated(mine)] &
        !mine %in% theirs[duplicated(theirs)]
    hit <- match(mine, theirs)
    use <- clear & !is.na(hit)
    names[absent[use]] <- open[hit[use]]
    names
}

# --- studies for a fitted model ----------------------------------------------

# The query as the model reads it: its assay, its spelling of the features.
# @param modality which one of a model of several.
.queryStudy <- function(x, model, assay = NULL, layer = NULL, values = NULL,
                        batch = NULL, modality = NULL) {
    if (is.null(values)) values <- model@provenance$settings$values
    if (is.list(values)) values <- values[[modality]]
    if (is.null(values)) values <- "counts"
    knowsBatch <- !.isMultiModal(model) && !.isPaired(model)
    study <- .asStudy(x, assay, layer, values, batch, splitIsBatch = knowsBatch)
    given <- rownames(study$var)
    spelt <- .modelSpelling(given, model@features)
    changed <- spelt != given
    if (any(changed)) {
        study$var <- data.frame(row.names = spelt)
        m <- study$assays[[1]]
        if (!is.null(rownames(m))) rownames(study$assays[[1]]) <- spelt
        study$renamed <- data.frame(
            object = given[changed], model = spelt[changed]
        )
    }
    study
}

# Cells for a verb that works on the embedding: with the one that this model made
# of them and nothing else; or whole, to be projected first, where there is none or
# the user says how to project.
.embeddedStudy <- function(x, model, place, settings, own) {
    place <- Filter(Negate(is.null), place)
    if (.isMultiModal(model)) {
        return(.modalityStudy(x, model, place, settings))
    }
    if (.isPaired(model)) {
        return(.pairedStudy(x, model, place, settings, own))
    }
    z <- .embeddingBy(x, model)
    if (!is.null(z) && !length(place) && all(names(settings) %in% own)) {
        return(.bareStudy(x, z, .batchOfEmbedding(x, model)))
    }
    batch <- if (is.null(place$batch)) .batchOfReference(x, model) else place$batch
    .queryStudy(x, model, place$assay, place$layer, place$values, batch)
}

# Reference cells that lost their embedding still have the model and their batches. Names
# alone make no cell one of the reference: many objects have a cell1.
.batchOfReference <- function(x, model) {
    named <- !is.null(.cellNames(x)) && all(.cellKeys(x) %in% model@cells)
    if (named && length(.copiesHeld(x, model))) {
        .batchesMade(x, model@provenance)
    }
}

# The batches with which the model embedded these cells.
.batchOfEmbedding <- function(x, model) {
    projection <- .projectionBy(x, model)
    .batchesMade(x, if (is.null(projection)) model@provenance else projection$provenance)
}

# @param made the provenance of an embedding.
# @return the batches by cell, the name of their column, or NULL where neither is known.
.batchesMade <- function(x, made) {
    cells <- .cellNames(x)
    if (length(cells) && all(cells %in% names(made$cell_batches))) {
        return(made$cell_batches[cells])
    }
    given <- is.null(made$cell_batches) && !is.null(made$batch)
    if (given && made$batch %in% colnames(.cellData(x))) made$batch
}

# Cells with an embedding, their batches where known, and nothing else.
.bareStudy <- function(x, z, batch = NULL) {
    .checkNames(rownames(z), "cell")
    obs <- data.frame(row.names = rownames(z))
    if (!is.null(batch)) obs$batch <- .resolveBatch(x, batch, rownames(z))$values
    list(
        assays = list(), main = NULL, obs = obs,
        var = data.frame(), reducedDims = list(embedding = z), altExps = list(),
        source = class(x)[1]
    )
}

# @return the embedding in x that this model made, cells x dimensions, or NULL.
# @param modality which one, where the model made several of the same cells.
.embeddingBy <- function(x, model, modality = NULL) {
    projection <- .projectionBy(x, model)
    z <- if (!is.null(projection)) .storedEmbedding(x, projection$name)
    if (!is.null(z)) {
        return(z)
    }
    ours <- .copiesHeld(x, model)
    names <- names(ours)
    if (!is.null(modality)) {
        names <- unlist(lapply(ours, function(held) held@provenance$embeddings[modality]))
        names <- unname(names[!is.na(names)])
    }
    for (name in names) {
        z <- .storedEmbedding(x, name)
        # Objects that were joined have the model of one and the cells of all.
        if (!is.null(z) && all(rownames(z)[!is.na(z[, 1])] %in% model@cells)) {
            return(z)
        }
    }
    NULL
}

# Only an embedding of all cells counts: a Seurat 5 reduction may hold fewer.
.storedEmbedding <- function(x, name) {
    if (.isSeurat(x)) {
        z <- attr(slot(x, "reductions")[[name]], "cell.embeddings")
    } else if (name %in% reducedDimNames(x)) {
        z <- as.matrix(reducedDim(x, name))
        rownames(z) <- .cellKeys(x)
    } else {
        z <- NULL
    }
    cells <- .cellKeys(x)
    if (is.null(z) || !all(cells %in% rownames(z))) {
        return(NULL)
    }
    z <- z[cells, , drop = FALSE]
    colnames(z) <- NULL
    z
}
