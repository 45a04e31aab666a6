# Which transport: the user's word, else what a self-test finds, once a session.

# @return "inprocess" or "process".
.chooseTransport <- function(transport = NULL, study = NULL, params = list()) {
    asked <- if (is.null(transport)) getOption("isthmus.transport") else transport
    if (!is.null(asked)) {
        .refuseTransport(asked)
        if (identical(asked, "inprocess")) {
            test <- .selfTest()
            if (!test$ok) stop(test$condition)
        }
        return(asked)
    }
    if (.isOnDisk(study)) {
        .sayOnce(
            "disk",
            "isthmus: HDF5-backed assays go to a separate Python process, ",
            "block by block."
        )
        return("process")
    }
    if (is.numeric(params$devices) && isTRUE(params$devices[1] > 1)) {
        # Training on several devices starts further Pythons, which must not be copies of R.
        return("process")
    }
    test <- .selfTest()
    if (test$ok) {
        .sayOnce("transport", "isthmus: Python runs inside this R session (", test$python, ").")
        return("inprocess")
    }
    .findPython() # stops where there is none for either transport
    .sayOnce(
        "transport",
        "isthmus: a separate Python process is used, because the one inside R ",
        "failed its self-test.\n", conditionMessage(test$condition)
    )
    "process"
}

.refuseTransport <- function(asked) {
    if (!is.character(asked) || length(asked) != 1L ||
        !asked %in% c("inprocess", "process")) {
        .stopInput(
            "option isthmus.transport as \"inprocess\" or \"process\"",
            deparse(asked)[1], "options(isthmus.transport = NULL) lets isthmus choose"
        )
    }
}

# Larger than this many values, an HDF5-backed assay is not realised in R.
.realiseLimit <- 2e8

.isOnDisk <- function(study) {
    assays <- unlist(lapply(.studiesOf(study), `[[`, "assays"), recursive = FALSE)
    any(vapply(assays, function(x) {
        .isDelayed(x) && prod(dim(x)) > getOption("isthmus.realise", .realiseLimit)
    }, logical(1)))
}

.sayOnce <- function(key, ...) {
    if (is.null(.session$said[[key]])) {
        .session$said[[key]] <- TRUE
        message(...)
    }
}

# Start Python in this process and let a small matrix go there and back.
# @return list(ok, python) or list(ok = FALSE, condition).
.selfTest <- function() {
    if (is.null(.session$test)) {
        .session$test <- tryCatch(
            .runSelfTest(),
            error = function(condition) list(ok = FALSE, condition = condition)
        )
    }
    .session$test
}

.runSelfTest <- function() {
    .refuseReticulate()
    python <- .hostPython()
    .pythonSession()
    .tryMatrix()
    list(ok = TRUE, python = python$path)
}

.refuseReticulate <- function() {
    if (!requireNamespace("reticulate", quietly = TRUE)) {
        .stopEnvironment(
            "the R package reticulate 1.41 or newer", "none",
            "install.packages(\"reticulate\")"
        )
    }
    if (utils::packageVersion("reticulate") < "1.41") {
        .stopEnvironment(
            "reticulate 1.41 or newer; older ones can end R when it collects garbage",
            sprintf("reticulate %s", utils::packageVersion("reticulate")),
            "install.packages(\"reticulate\"), then restart R"
        )
    }
}

# The Python that runs, or will run, inside R.
.hostPython <- function() {
    if (!reticulate::py_available(initialize = FALSE)) {
        python <- .findPython()
        .refuseForHost(python)
        return(python)
    }
    path <- reticulate::py_config()$python
    python <- .probePython(path)
    lacking <- .lacking(python)
    if (!is.null(lacking)) {
        .stopEnvironment(
            "a Python with isthmus in this R session",
            sprintf("that reticulate already runs %s, which has %s", path, lacking),
            paste(
                "restart R and call isthmus before other packages start Python, or",
                "set options(isthmus.transport = \"process\")"
            )
        )
    }
    .refuseForHost(python)
    python
}

# What the in-process transport needs beyond the core.
.refuseForHost <- function(python) {
    version <- .rpy2Version(python)
    if (is.null(version)) {
        .stopEnvironment(
            sprintf("rpy2 in %s, to share memory with R", python$path), "none",
            sprintf("%s -m pip install %s", python$path, .rpy2Pin(quote = TRUE))
        )
    }
    if (getRversion() < "4.5" && numeric_version(version) >= "3.6.6") {
        .stopEnvironment(
            sprintf("rpy2-rinterface older than 3.6.6, the last that runs on R %s", getRversion()),
            sprintf(
                "rpy2-rinterface %s, which installs without a word and then cannot be imported",
                version
            ),
            sprintf("%s -m pip install %s", python$path, .rpy2Pin(quote = TRUE))
        )
    }
}

# Requirements of pip for rpy2; no marker of pip can see the version of R.
.rpy2Pin <- function(version = getRversion(), quote = FALSE) {
    pin <- if (version < "4.5") "rpy2-rinterface<3.6.6" else "rpy2-rinterface>=3.6"
    packages <- c(pin, "rpy2", "anndata2ri")
    if (quote) paste(sprintf("\"%s\"", packages), collapse = " ") else packages
}

# A dgCMatrix to Python and back: same process, shared memory, equal values,
# and a torch that does not multiply on R's BLAS.
.tryMatrix <- function() {
    on.exit(rm(list = ls(.bridge, all.names = TRUE), envir = .bridge))
    m <- methods::new("dgCMatrix",
        i = c(0L, 2L, 1L), p = c(0L, 2L, 3L), x = c(1, 2, 4), Dim = c(3L, 2L)
    )
    assign("selftest", m, envir = .bridge)
    found <- .fromPython(.session$python$selftest())
    same <- identical(as.matrix(.bridge$selftest), as.matrix(m)) && found$sum == 7
    if (found$pid != Sys.getpid() || !found$shared || !same) {
        .stopEnvironment(
            "a matrix to come back from Python as it went",
            sprintf(
                "process %s instead of %s, memory %s, values %s", found$pid, Sys.getpid(),
                if (found$shared) "shared" else "not shared", if (same) "equal" else "changed"
            ),
            "report this with the output of isthmusEnvironment()"
        )
    }
    if (!is.null(found$slow)) warning(found$slow, call. = FALSE)
}
