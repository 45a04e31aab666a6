# Transport 1: Python inside this R process. reticulate starts it, rpy2 attaches
# to the same R, and objects change hands by name in the environment .bridge.
# Only strings and numbers cross reticulate itself.

.callInProcess <- function(verb, study, params) {
    session <- .pythonSession()
    on.exit(rm(list = ls(.bridge, all.names = TRUE), envir = .bridge))
    if (!is.null(study)) assign("study", .plainRequest(study), envir = .bridge)
    relay <- .messageRelay()
    status <- tryCatch(
        .fromPython(session$run(verb, params, relay$show)),
        interrupt = function(condition) list(status = "interrupt"),
        python.builtin.KeyboardInterrupt = function(condition) {
            list(status = "interrupt")
        },
        error = .asInterrupt
    )
    relay$resume()
    if (identical(status$status, "ok")) {
        status$result <- .finishValue(.bridge$result)
    }
    status
}

# Some ways of stopping Python reach R as an error that only its text tells
# from others.
.asInterrupt <- function(condition) {
    if (!grepl("KeyboardInterrupt", conditionMessage(condition))) {
        stop(condition)
    }
    list(status = "interrupt")
}

# Status that Python wrote as JSON.
.fromPython <- function(text) {
    jsonlite::fromJSON(
        as.character(reticulate::py_to_r(text)),
        simplifyVector = TRUE, simplifyDataFrame = FALSE
    )
}

# Shows Python's lines as messages, which the user's handlers see.
#
# A handler of tryCatch() leaves by a jump. Across Python's own frames such a
# jump would break the interpreter, so it is cancelled here and remembered
# (`return()` in on.exit() does that), Python is asked to unwind, and the line
# is shown again where the jump is safe.
.messageRelay <- function() {
    held <- NULL
    show <- function(line) {
        landed <- FALSE
        on.exit(if (!landed) return("unwind"))
        held <<- line
        message(line)
        held <<- NULL
        landed <- TRUE
        "shown"
    }
    resume <- function() {
        if (!is.null(held)) message(held)
    }
    list(show = show, resume = resume)
}

# The Python module that speaks to this R, started with the first call.
.pythonSession <- function() {
    if (is.null(.session$python)) .startPython()
    .session$python
}

# Start Python in this process, in the order that session.py keeps.
.startPython <- function() {
    python <- .findPython()
    if (!reticulate::py_available(initialize = FALSE)) {
        reticulate::use_python(python$path, required = TRUE)
    }
    sources <- .pythonSources()
    session <- if (is.null(sources)) {
        reticulate::import("isthmus.bridge.session", convert = FALSE)
    } else {
        reticulate::import_from_path(
            "isthmus.bridge.session", path = sources, convert = FALSE
        )
    }
    status <- .fromPython(session$start(as.character(getRversion())))
    if (!identical(status$status, "ok")) stop(.pythonCondition(status$error))
    .session$earlyTorch <- isTRUE(status$early_torch)
    .session$python <- session
}

# Folder of the Python source that this R package carries: the two languages
# always run the same version. NULL where it was built without it.
.pythonSources <- function() {
    path <- system.file("python", package = "isthmus")
    if (nzchar(path) && dir.exists(file.path(path, "isthmus"))) path else NULL
}
