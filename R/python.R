# Which Python, found and questioned without starting it inside R.

# Packages of the core; the process transport needs no more.
.corePackages <- c(
    "torch", "anndata", "scanpy", "h5py", "scipy", "pandas", "numpy",
    "pydantic", "safetensors", "lightning-fabric"
)

# The Python to use: list(path, why, version, shared, packages).
# A Python that the user named is used or refused, never passed over.
.findPython <- function() {
    candidates <- .pythonCandidates()
    key <- paste(names(candidates), candidates, collapse = "\n")
    if (identical(.session$foundFor, key)) {
        return(.session$found)
    }
    problems <- character()
    for (why in names(candidates)) {
        python <- .probePython(candidates[[why]], why)
        problem <- .lacking(python)
        if (is.null(problem)) {
            .session$foundFor <- key
            .session$found <- python
            return(python)
        }
        problems <- c(problems, sprintf("%s (%s) has %s", candidates[[why]], why, problem))
        if (why %in% .namedByUser) break
    }
    .stopEnvironment(
        "a Python (3.11 or newer) with isthmus and its packages",
        if (length(problems)) paste(problems, collapse = "; ") else "no Python at all",
        paste(
            "installIsthmus() makes one, or set options(isthmus.python =",
            "\"/path/to/python\") to one that has them"
        )
    )
}

.namedByUser <- c("option isthmus.python", "RETICULATE_PYTHON")

# Candidates in the order of preference; the names say why.
.pythonCandidates <- function() {
    found <- list(
        "option isthmus.python" = getOption("isthmus.python"),
        "RETICULATE_PYTHON" = .nonEmpty(Sys.getenv("RETICULATE_PYTHON")),
        "made by installIsthmus()" = .existing(.venvPython(.installFolder()))
    )
    found <- found[!vapply(found, is.null, logical(1))]
    if (any(.namedByUser %in% names(found))) {
        return(found[1])
    }
    c(found, .otherPythons())
}

# The Python that reticulate runs, or would find without creating anything.
.otherPythons <- function() {
    if (requireNamespace("reticulate", quietly = TRUE)) {
        if (reticulate::py_available(initialize = FALSE)) {
            return(list("running in this R session" = reticulate::py_config()$python))
        }
        virtual <- .existing(Sys.getenv("VIRTUAL_ENV"), "bin", "python")
        named <- tryCatch(
            if (reticulate::virtualenv_exists("r-reticulate")) {
                reticulate::virtualenv_python("r-reticulate")
            },
            error = function(condition) NULL
        )
    } else {
        virtual <- named <- NULL
    }
    found <- list(
        "the active virtual environment" = virtual,
        "reticulate's environment r-reticulate" = named,
        "python3 on the PATH" = .nonEmpty(unname(Sys.which("python3"))),
        "python on the PATH" = .nonEmpty(unname(Sys.which("python")))
    )
    found[!vapply(found, is.null, logical(1))]
}

.nonEmpty <- function(x) if (nzchar(x)) x else NULL

.existing <- function(...) {
    path <- file.path(...)
    if (nzchar(..1) && file.exists(path)) path else NULL
}

# The folder that installIsthmus() fills.
.installFolder <- function() {
    file.path(tools::R_user_dir("isthmus", "data"), "python")
}

.venvPython <- function(folder) {
    if (.Platform$OS.type == "windows") {
        file.path(folder, "Scripts", "python.exe")
    } else {
        file.path(folder, "bin", "python")
    }
}

# Ask a Python what it has, in a process of its own.
.probePython <- function(path, why = "") {
    known <- .session$probes[[path]]
    if (is.null(known)) {
        known <- .askPython(path)
        if (is.null(.session$probes)) .session$probes <- list()
        .session$probes[[path]] <- known
    }
    c(known, list(path = path, why = why))
}

.askPython <- function(path) {
    sources <- .pythonSources()
    script <- if (is.null(sources)) {
        c("-m", "isthmus.bridge.probe")
    } else {
        shQuote(file.path(sources, "isthmus", "bridge", "probe.py"))
    }
    out <- suppressWarnings(tryCatch(
        system2(path, script, stdout = TRUE, stderr = TRUE, env = .cleanEnvironment()),
        error = function(condition) conditionMessage(condition)
    ))
    answer <- tryCatch(
        jsonlite::fromJSON(out[length(out)]),
        error = function(condition) NULL
    )
    if (is.list(answer)) answer else list(problem = paste(utils::head(out, 3L), collapse = " "))
}

# What a Python lacks for the core, in words; NULL when it lacks nothing.
.lacking <- function(python) {
    if (is.null(python$version)) {
        return(sprintf("no answer: %s", python$problem))
    }
    if (numeric_version(python$version) < "3.11") {
        return(sprintf("version %s", python$version))
    }
    missing <- .corePackages[vapply(
        python$packages[.corePackages], is.null, logical(1)
    )]
    if (length(missing)) sprintf("no %s", toString(missing)) else NULL
}

.rpy2Version <- function(python) {
    both <- c(python$packages[["rpy2-rinterface"]], python$packages[["rpy2"]])
    if (length(both)) both[[1]] else NULL
}

# Environment of a Python process. R puts its own and the system's folders in
# front of LD_LIBRARY_PATH, so that a Python built elsewhere would load the
# system's libpython; those folders are searched anyway, last.
.cleanEnvironment <- function(extra = character()) {
    folders <- strsplit(Sys.getenv("LD_LIBRARY_PATH"), ":", fixed = TRUE)[[1]]
    system <- grepl("^(/usr)?/lib(32|64)?(/[^/]*-linux-gnu[^/]*)?/?$", folders)
    ours <- startsWith(folders, R.home()) | grepl("/jvm/", folders, fixed = TRUE)
    kept <- folders[nzchar(folders) & !system & !ours]
    c(
        sprintf("LD_LIBRARY_PATH=%s", shQuote(paste(kept, collapse = ":"))),
        "R_SESSION_INITIALIZED=", extra
    )
}
