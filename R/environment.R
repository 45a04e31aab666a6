#' Describe the Python behind isthmus
#'
#' Says in plain words which Python isthmus uses and why, which packages it has,
#' how R will reach it, and what to do about each problem. Nothing is started
#' inside R: Python is questioned in a process of its own.
#'
#' @details
#' Python is looked for in this order: `options(isthmus.python = "/path")`, the
#' environment variable `RETICULATE_PYTHON`, the environment made by
#' [installIsthmus()], the Python that reticulate already runs, an active virtual
#' environment, reticulate's environment `r-reticulate`, and `python3` on the
#' `PATH`. A Python that you name is used or refused, never passed over.
#'
#' isthmus reaches Python in one of two ways, with the same results. *In
#' process*: Python runs inside R and reads sparse matrices in R's own memory;
#' this needs reticulate 1.41 or newer and rpy2. *A separate process*: data go
#' through a folder of plain HDF5. The first is used where its self-test passes;
#' `options(isthmus.transport = "inprocess")` or `"process"` overrides.
#'
#' @return Invisibly, a list with `r`, `reticulate`, `python` (path, why,
#'   version, packages), `transport`, and `problems`, a data.frame with the
#'   columns `problem` and `remedy`; printed on the way.
#' @seealso [installIsthmus()]
#' @examples
#' found <- isthmusEnvironment()
#' found$problems
#' @export
isthmusEnvironment <- function() {
    .session$foundFor <- .session$probes <- NULL # look again: it may have been mended
    python <- tryCatch(.findPython(), isthmus_error = identity)
    found <- list(
        r = as.character(getRversion()),
        reticulate = .reticulateVersion(),
        python = if (inherits(python, "error")) NULL else python
    )
    found$problems <- .environmentProblems(python)
    found$transport <- .expectedTransport(python, found$problems)
    class(found) <- "isthmusEnvironment"
    print(found)
    invisible(found)
}

.reticulateVersion <- function() {
    if (requireNamespace("reticulate", quietly = TRUE)) {
        as.character(utils::packageVersion("reticulate"))
    }
}

# All problems, each with its remedy.
.environmentProblems <- function(python) {
    checks <- list(
        function() if (inherits(python, "error")) stop(python),
        .refuseReticulate,
        function() if (!inherits(python, "error")) .refuseForHost(python),
        function() if (!inherits(python, "error")) .refuseShared(python),
        .refuseBoundElsewhere,
        function() if (isFALSE(.session$test$ok)) stop(.session$test$condition),
        .refuseNoHdf5
    )
    conditions <- lapply(checks, function(check) {
        tryCatch(
            {
                check()
                NULL
            },
            isthmus_error = identity,
            error = function(condition) {
                list(
                    message = conditionMessage(condition),
                    expected = "the self-test to pass", found = conditionMessage(condition),
                    remedy = "report it; options(isthmus.transport = \"process\") works meanwhile"
                )
            }
        )
    })
    conditions <- conditions[!vapply(conditions, is.null, logical(1))]
    conditions <- conditions[!duplicated(vapply(conditions, function(x) x$message, ""))]
    data.frame(
        problem = vapply(conditions, function(x) {
            sprintf("expected %s, found %s", x$expected, x$found)
        }, ""),
        remedy = vapply(conditions, function(x) x$remedy, "")
    )
}

.refuseShared <- function(python) {
    if (!isTRUE(python$shared)) {
        .stopEnvironment(
            "a Python built as a shared library, so that R can load it",
            sprintf("that %s is not", python$path),
            "use another Python, or options(isthmus.transport = \"process\")"
        )
    }
}

.refuseBoundElsewhere <- function() {
    if (is.null(.reticulateVersion()) || !reticulate::py_available(initialize = FALSE)) {
        return(invisible(NULL))
    }
    .hostPython()
}

.expectedTransport <- function(python, problems) {
    asked <- getOption("isthmus.transport")
    if (inherits(python, "error")) {
        return("none")
    }
    if (!is.null(asked)) {
        return(asked)
    }
    inside <- problems[!grepl("rhdf5", problems$problem), ]
    if (nrow(inside)) "process" else "inprocess"
}

#' @exportS3Method print isthmusEnvironment
print.isthmusEnvironment <- function(x, ...) {
    say <- function(label, ...) cat(sprintf("%-12s", label), ..., "\n", sep = "")
    say("isthmus", as.character(utils::packageVersion("isthmus")), ", R ", x$r)
    say("reticulate", if (is.null(x$reticulate)) "not installed" else x$reticulate)
    if (is.null(x$python)) {
        say("Python", "none that isthmus can use")
    } else {
        say("Python", x$python$version, ", ", x$python$path, " (", x$python$why, ")")
        has <- unlist(x$python$packages)
        shown <- intersect(c("torch", "anndata", "scanpy", "rpy2", "anndata2ri"), names(has))
        say("packages", paste(shown, has[shown], collapse = ", "))
    }
    say("transport", switch(x$transport,
        inprocess = "in process: Python inside R, sparse matrices shared",
        process = "a separate Python process, data through HDF5",
        "none until the problem below is solved"
    ))
    if (!nrow(x$problems)) {
        say("problems", "none")
    }
    for (i in seq_len(nrow(x$problems))) {
        cat("\nProblem: ", x$problems$problem[i], "\nRemedy:  ", x$problems$remedy[i], "\n", sep = "")
    }
    invisible(x)
}

#' Make a Python environment for isthmus
#'
#' Creates a virtual environment and installs PyTorch and the Python source
#' that this R package carries, with the version of rpy2 that fits this R.
#' isthmus finds the environment by itself afterwards.
#'
#' @param envdir Folder of the environment; `NULL` is the one that isthmus looks
#'   for, in `tools::R_user_dir("isthmus", "data")`.
#' @param extras Extras of the Python package: `"r"` for sharing memory with R,
#'   `"plot"` for pictures, `"mudata"`, `"metrics"`, `"outofcore"`.
#' @param python Python 3.11 or newer to make it with.
#' @param torch Requirement for PyTorch, installed first. The default build of
#'   some platforms brings CUDA; for another one give pip's words, such as
#'   `c("torch==2.13.0+cpu", "--index-url", "https://...")`.
#' @param dry_run Print the commands instead of running them?
#' @return Invisibly, the commands.
#' @seealso [isthmusEnvironment()]
#' @examples
#' installIsthmus(dry_run = TRUE)
#' @export
installIsthmus <- function(envdir = NULL, extras = "r", python = Sys.which("python3"),
                           torch = "torch>=2.6", dry_run = FALSE) {
    envdir <- if (is.null(envdir)) .installFolder() else path.expand(envdir)
    python <- path.expand(python)
    known <- c("r", "plot", "mudata", "metrics", "outofcore")
    if (!is.character(extras) || !all(extras %in% known)) {
        .stopInput(
            sprintf("extras among %s", toString(known)), toString(setdiff(extras, known)),
            "leave the others out"
        )
    }
    commands <- .installCommands(envdir, extras, unname(python), torch)
    if (dry_run) {
        cat(vapply(commands, paste, "", collapse = " "), sep = "\n")
        return(invisible(commands))
    }
    .refuseOldPython(python)
    for (command in commands) .runCommand(command)
    .session$foundFor <- .session$probes <- .session$test <- NULL
    message("isthmus: the Python environment ", envdir, " is ready.")
    invisible(commands)
}

# Commands of an installation, each a character vector, quoted for the shell.
.installCommands <- function(envdir, extras, python, torch) {
    inside <- shQuote(.venvPython(envdir))
    pip <- c(inside, "-m", "pip", "install")
    source <- system.file(package = "isthmus")
    if (length(extras)) source <- sprintf("%s[%s]", source, paste(extras, collapse = ","))
    list(
        c(shQuote(python), "-m", "venv", shQuote(envdir)),
        c(pip, "--upgrade", "pip"),
        c(pip, shQuote(torch)),
        c(pip, if ("r" %in% extras) shQuote(.rpy2Pin()), shQuote(source))
    )
}

.refuseOldPython <- function(python) {
    probe <- if (nzchar(python)) .askPython(python) else list()
    if (is.null(probe$version) || numeric_version(probe$version) < "3.11") {
        .stopEnvironment(
            "Python 3.11 or newer to make the environment with",
            if (is.null(probe$version)) "none" else sprintf("version %s", probe$version),
            "install one and give its path: installIsthmus(python = \"/path/to/python3\")"
        )
    }
}

.runCommand <- function(command) {
    log <- tempfile(fileext = ".log")
    on.exit(unlink(log))
    message("isthmus: ", paste(command, collapse = " "))
    status <- system2(
        "env", c(.cleanEnvironment(), command),
        stdout = log, stderr = log
    )
    if (status != 0L) {
        .stopEnvironment(
            "the installation to succeed",
            sprintf(
                "status %s from %s: %s", status, paste(command, collapse = " "),
                paste(utils::tail(readLines(log, warn = FALSE), 5L), collapse = " | ")
            ),
            "mend what it says, then call installIsthmus() again"
        )
    }
}
