# The one way from R to the core. A call names a verb, a study (plain lists and
# matrices) and settings; a transport carries them to Python and brings plain R
# values back. Both transports give the same values and the same conditions.

# Where R and Python meet in one process. Python finds it by name in this
# namespace; it is empty between two calls, so that nothing outlives a call.
.bridge <- new.env(parent = emptyenv())

# What was found out in this session: the Python, the self-test, what was said.
.session <- new.env(parent = emptyenv())

# Call a verb of the core.
#
# @param verb Name of the verb: "fit", "project", "labels", "impute",
#   "simulate", "read", "write", or "echo", which gives back what it gets.
# @param study list(assays, main, obs, var, reducedDims, altExps), matrices
#   genes x cells; or several of them, see .bundle; or NULL for verbs without cells.
# @param params Named list of scalars, vectors and lists; NULL is not given.
# @param transport "inprocess", "process" or NULL: the option, else a self-test.
# @return Named list of plain R values: matrices (features x cells where they
#   are assays, cells x dimensions where they are embeddings), data.frames,
#   vectors, lists, studies.
.callCore <- function(verb, study = NULL, params = list(), transport = NULL) {
    if (!is.null(study)) .refuseRequest(study)
    transport <- .chooseTransport(transport, study, params)
    params <- .paramsJson(params)
    reply <- switch(transport,
        inprocess = .callInProcess(verb, study, params),
        process = .callProcess(verb, study, params)
    )
    .deliver(reply)
}

# Settings as JSON: vectors of one element are scalars unless wrapped in I().
.paramsJson <- function(params) {
    params <- params[!vapply(params, is.null, logical(1))]
    if (!length(params)) {
        return("{}")
    }
    params <- lapply(params, function(p) if (is.factor(p)) as.character(p) else p)
    as.character(jsonlite::toJSON(
        params, auto_unbox = TRUE, na = "null", null = "null", digits = NA,
        force = FALSE
    ))
}

# What Python answered, as R knows it: warnings, then the value or the
# condition.
.deliver <- function(reply) {
    for (text in reply$warnings) {
        warning(text, call. = FALSE)
    }
    if (identical(reply$status, "interrupt")) {
        .raiseInterrupt()
    }
    if (identical(reply$status, "error")) {
        stop(.pythonCondition(reply$error))
    }
    reply$result
}

# Studies in a result have their tables as lists of names and columns, because
# a data.frame cannot carry duplicate names on its way. Turn them into
# data.frames.
.finishStudy <- function(study) {
    study$obs <- .finishFrame(study$obs, "cell")
    study$var <- .finishFrame(study$var, "feature")
    study$assays <- lapply(study$assays, function(assay) {
        dimnames(assay) <- list(rownames(study$var), rownames(study$obs))
        assay
    })
    study$reducedDims <- lapply(study$reducedDims, function(entry) {
        dimnames(entry$values) <- list(rownames(study$obs), entry$columns)
        entry$values
    })
    study$altExps <- lapply(study$altExps, .finishStudy)
    study
}

.finishFrame <- function(frame, what) {
    columns <- if (is.null(frame$columns)) list() else frame$columns
    structure(
        columns,
        names = as.character(names(columns)), row.names = .uniqueNames(frame$names, what),
        class = "data.frame"
    )
}

# Names that stand more than once get a number, as scanpy gives it.
.uniqueNames <- function(names, what) {
    names <- as.character(names)
    unique <- make.unique(names, sep = "-")
    changed <- which(unique != names)
    if (length(changed)) {
        warning(sprintf(
            "%d %s %s changed, because names must be unique: %s is now %s%s.", length(changed), what,
            if (length(changed) == 1L) "name was" else "names were", .quoted(names[changed[1]]),
            .quoted(unique[changed[1]]), if (length(changed) == 1L) "" else ", for example"
        ), call. = FALSE)
    }
    unique
}

.isPlainStudy <- function(x) {
    is.list(x) && all(.studyFields %in% names(x))
}

.studyFields <- c("assays", "main", "obs", "var", "reducedDims", "altExps")

# All studies within a result, however deep.
.finishValue <- function(value) {
    if (.isPlainStudy(value)) {
        return(.finishStudy(value))
    }
    if (is.list(value) && !is.object(value)) {
        return(lapply(value, .finishValue))
    }
    value
}
