# What users see of a call, whichever way it takes: messages, warnings, errors,
# interrupts.

call <- function(transport, ...) isthmus:::.callCore("echo", NULL, list(...), transport)

# A fresh R that runs `code` with isthmus loaded; what it printed, and its status.
freshR <- function(code, ..., timeout = 900) {
    script <- withr::local_tempfile(fileext = ".R")
    writeLines(c("suppressMessages(library(isthmus))", code), script)
    out <- suppressWarnings(system2(
        file.path(R.home("bin"), "Rscript"), c("--no-save", script),
        stdout = TRUE, stderr = TRUE, timeout = timeout,
        env = sprintf("R_LIBS=%s", shQuote(paste(.libPaths(), collapse = .Platform$path.sep)))
    ))
    list(text = out, status = if (is.null(attr(out, "status"))) 0L else attr(out, "status"))
}

for (transport in transports) {
    test_that(sprintf("%s: lines of progress are messages, in order and live", transport), {
        skip_if_no_bridge(transport)
        seen <- character()
        withCallingHandlers(
            call(transport, lines = c("first", "zw\u00f6lf")),
            message = function(m) {
                seen <<- c(seen, conditionMessage(m))
                invokeRestart("muffleMessage")
            }
        )
        expect_identical(seen, c("first\n", "zw\u00f6lf\n"))
        expect_silent(suppressMessages(call(transport, lines = "hidden")))
    })

    test_that(sprintf("%s: a handler that leaves finds R and Python alive", transport), {
        skip_if_no_bridge(transport)
        left <- tryCatch(
            call(transport, lines = c("one", "two"), seconds = 60),
            message = function(m) conditionMessage(m)
        )
        expect_identical(left, "one\n")
        expect_length(ls(isthmus:::.bridge, all.names = TRUE), 0)
        expect_identical(suppressMessages(call(transport, a = 5L)$params$a), 5L)
    })

    test_that(sprintf("%s: warnings and errors keep Python's words", transport), {
        skip_if_no_bridge(transport)
        expect_warning(call(transport, warn = "one batch only"), "^one batch only$")
        expect_error(
            call(transport, fail = "input"),
            "^Expected an echo that succeeds\\.\nFound fail = 'input'\\.\nRemedy: leave fail out\\.$",
            class = "isthmus_input_error"
        )
        expect_error(call(transport, fail = "training"), class = "isthmus_training_error")
        broken <- tryCatch(call(transport, fail = "caf\u00e9"), error = identity)
        expect_s3_class(broken, "isthmus_python_error")
        expect_identical(conditionMessage(broken), "RuntimeError in Python: caf\u00e9")
        expect_match(broken$traceback, "Traceback")
        expect_error(
            isthmus:::.callCore("dance", NULL, list(), transport), "one of the verbs",
            class = "isthmus_input_error"
        )
    })

    test_that(sprintf("%s: an interrupt stops the call, R lives and the object is as it was", transport), {
        skip_if_no_bridge(transport)
        skip_on_os("windows")
        m <- sparseExample()
        study <- bridgeStudy(list(counts = m), obs = columnKinds()[1:12, ])
        copy <- unserialize(serialize(study, NULL))
        # Ctrl-C once the work has begun: this very process, by its id.
        outcome <- tryCatch(
            withCallingHandlers(
                isthmus:::.callCore("echo", study, list(lines = "working", seconds = 60), transport),
                message = function(m) {
                    later <- sprintf("sleep 0.3; kill -INT %d", Sys.getpid())
                    system2("sh", c("-c", shQuote(later)), wait = FALSE)
                    invokeRestart("muffleMessage")
                }
            ),
            interrupt = function(condition) "interrupted"
        )
        expect_identical(outcome, "interrupted")
        expect_identical(study, copy)
        expect_length(ls(isthmus:::.bridge, all.names = TRUE), 0)
        expect_identical(suppressMessages(call(transport, a = 7L)$params$a), 7L)
    })
}

test_that("both transports give the same", {
    skip_if_no_bridge("inprocess")
    skip_if_no_bridge("process")
    study <- bridgeStudy(
        list(counts = sparseExample(), dense = as.matrix(sparseExample())),
        obs = columnKinds()[1:12, ], reducedDims = list(PCA = matrix(rnorm(24), 12))
    )
    expect_identical(echo(study, transport = "inprocess"), echo(study, transport = "process"))
})

test_that("a fit gives the same numbers on both transports", {
    skip_if_no_bridge("inprocess")
    skip_if_no_bridge("process")
    counts <- withr::with_seed(1, matrix(rpois(80 * 60, 2), 60))
    study <- bridgeStudy(
        list(counts = as(counts, "CsparseMatrix")),
        obs = data.frame(batch = gl(2, 1, 80, c("a", "b")), row.names = sprintf("c%d", 1:80))
    )
    fit <- function(transport) {
        folder <- withr::local_tempfile()
        settings <- list(folder = folder, batch_key = "batch", max_steps = 20L, batch_size = 16L, seed = 3L)
        suppressWarnings(suppressMessages(isthmus:::.callCore("fit", study, settings, transport)))
    }
    inside <- fit("inprocess")
    outside <- fit("process")
    expect_identical(dim(inside$embedding), c(80L, 10L))
    expect_gt(stats::sd(inside$embedding), 0)
    expect_equal(inside$embedding, outside$embedding, tolerance = 1e-5)
    expect_identical(names(inside), names(outside))
    expect_identical(names(inside$history), names(outside$history))
})

# --- in process --------------------------------------------------------------

test_that("Ctrl-C in plain R code stays R's once Python has run, and does not wait for the next call", {
    skip_if_no_bridge("inprocess")
    skip_on_os("windows")
    call("inprocess", a = 1L)
    outcome <- tryCatch(
        {
            tools::pskill(Sys.getpid(), tools::SIGINT)
            for (i in seq_len(1e6)) i + 1
            "lost"
        },
        interrupt = function(condition) "interrupted"
    )
    expect_identical(outcome, "interrupted")
    expect_identical(call("inprocess", a = 2L)$params$a, 2L)
})

test_that("assays share R's memory, read-only, through garbage collection", {
    skip_if_no_bridge("inprocess")
    isthmus:::.pythonSession()
    check <- reticulate::py_run_string("
import gc
import numpy as np
from isthmus.bridge import session, views

def address(array):
    return array.__array_interface__['data'][0]

def stress(n):
    env = session._environment()
    before = views.live()
    csr = views.csr_view(env['m'])
    dense = views.dense_view(env['d'])
    shared = address(csr.data) == address(np.asarray(env['m'].do_slot('x')))
    total, size = csr.sum(), csr.nnz
    collect = views.ri.baseenv['gc']
    views.ri.baseenv['rm'](list=views.ri.StrSexpVector(['m', 'd']), envir=env)
    for i in range(n):          # R has no reference of its own left; new vectors would take the memory
        gc.collect()
        collect()
        junk = views.ri.baseenv['numeric'](views.ri.IntSexpVector([200000]))
    same = bool(np.isclose(csr.sum(), total)) and csr.nnz == size and bool((dense == 7).all())
    refused = 0
    for array in (csr.data, csr.indices, csr.indptr, dense):
        try:
            array[...] = 0
        except ValueError:
            refused += 1
    owned = views.live() - before
    del csr, dense, array, junk
    gc.collect()
    return [bool(shared), same, refused, owned, views.live() - before]
", convert = FALSE)$stress
    bridge <- isthmus:::.bridge
    withr::defer(rm(list = ls(bridge), envir = bridge))
    assign("m", Matrix::rsparsematrix(500, 400, 0.1), envir = bridge)
    assign("d", matrix(7, 300, 200), envir = bridge)
    found <- reticulate::py_to_r(check(10L))
    expect_identical(found[[1]], TRUE) # the same addresses
    expect_identical(found[[2]], TRUE) # the same values after the collections
    expect_identical(found[[3]], 4L) # every part refuses to be written
    expect_identical(found[[4]], 4L) # each view owned its R object
    expect_identical(found[[5]], 0L) # and gave it back
})

test_that("no view outlives a call, also when it fails", {
    skip_if_no_bridge("inprocess")
    study <- bridgeStudy(list(counts = sparseExample()), reducedDims = list(PCA = matrix(1, 12, 2)))
    echo(study, transport = "inprocess")
    try(isthmus:::.callCore("echo", study, list(fail = "input"), "inprocess"), silent = TRUE)
    views <- reticulate::import("isthmus.bridge.views")
    expect_identical(views$live(), 0L)
})

test_that("torch multiplies on its own BLAS inside R", {
    skip_if_no_bridge("inprocess")
    skip_on_os(c("mac", "windows"))
    session <- isthmus:::.pythonSession()
    slowdown <- reticulate::py_to_r(session$blas_slowdown())
    # R's reference BLAS is thirty times slower or more; the bound is the one that warns.
    expect_null(reticulate::py_to_r(session$slow_blas_warning(slowdown)))
    expect_match(reticulate::py_to_r(session$slow_blas_warning(40)), "40 times slower")
})

test_that(".Last runs once although two languages end", {
    skip_if_no_bridge("inprocess")
    ended <- freshR(c(
        ".Last <- function() cat('last words\\n')",
        "x <- isthmus:::.callCore('echo', NULL, list(a = 1L), 'inprocess')",
        "cat('same process:', Sys.getpid() == reticulate::import('os')$getpid(), '\\n')"
    ))
    expect_identical(ended$status, 0L)
    expect_identical(sum(grepl("last words", ended$text)), 1L)
    expect_true(any(grepl("same process: TRUE", ended$text)))
})

test_that("loading the package starts no Python", {
    loaded <- freshR("cat('started:', reticulate::py_available(FALSE), '\\n')")
    expect_true(any(grepl("started: FALSE", loaded$text)))
})

test_that("a Python that runs already and lacks isthmus is named, and another process helps", {
    skip_if_no_bridge("process")
    other <- "/usr/bin/python3"
    skip_if_not(file.exists(other), "needs a second Python")
    skip_if(is.null(isthmus:::.lacking(isthmus:::.askPython(other))), "needs a Python without isthmus")
    found <- freshR(c(
        sprintf("good <- '%s'", isthmus:::.findPython()$path),
        sprintf("Sys.setenv(RETICULATE_PYTHON = '%s')", other),
        "started <- try(reticulate::py_run_string('x = 1'), silent = TRUE)",
        "if (inherits(started, 'try-error')) { cat('no start\\n'); quit() }",
        "Sys.unsetenv('RETICULATE_PYTHON'); options(isthmus.python = good)",
        "cat('answer:', isthmus:::.callCore('echo', NULL, list(a = 11L))$params$a, '\\n')",
        "invisible(isthmusEnvironment())"
    ))
    skip_if(any(grepl("no start", found$text)), "the second Python does not start inside R")
    text <- paste(found$text, collapse = "\n")
    expect_match(text, "answer: 11", fixed = TRUE)
    expect_match(text, "isthmus: a separate Python process is used", fixed = TRUE)
    expect_match(text, "reticulate already runs /usr/bin/python3", fixed = TRUE)
    expect_match(text, "restart R", fixed = TRUE)
})

# --- a separate process ------------------------------------------------------

test_that("a child that is killed is reported with its signal", {
    skip_if_no_bridge("process")
    skip_on_os("windows")
    killer <- function(m) {
        folders <- list.files(tempdir(), "^isthmus-exchange-", full.names = TRUE)
        pids <- unlist(lapply(file.path(folders, "pid"), readLines))
        expect_length(pids, 1)
        tools::pskill(as.integer(pids), tools::SIGKILL)
        invokeRestart("muffleMessage")
    }
    died <- tryCatch(
        withCallingHandlers(call("process", lines = "working", seconds = 60), message = killer),
        error = identity
    )
    expect_s3_class(died, "isthmus_environment_error")
    expect_match(died$found, "signal 9")
    expect_match(died$remedy, "isthmusEnvironment")
    expect_length(list.files(tempdir(), "^isthmus-exchange-"), 0)
})

test_that("an interrupt ends the child and leaves no folder", {
    skip_if_no_bridge("process")
    skip_on_os("windows")
    pid <- NULL
    tryCatch(
        withCallingHandlers(
            call("process", lines = "working", seconds = 60),
            message = function(m) {
                pid <<- as.integer(readLines(file.path(
                    list.files(tempdir(), "^isthmus-exchange-", full.names = TRUE), "pid"
                )))
                expect_true(tools::pskill(pid, 0L))
                signalInterrupt()
            }
        ),
        interrupt = function(condition) NULL
    )
    expect_false(tools::pskill(pid, 0L))
    expect_length(list.files(tempdir(), "^isthmus-exchange-"), 0)
})

test_that("lines are read as they are completed", {
    path <- withr::local_tempfile()
    lines <- isthmus:::.lineReader(path)
    expect_identical(lines(), character())
    cat("one\ntw", file = path)
    expect_identical(lines(), "one")
    expect_identical(lines(), character())
    cat("o\nthree\n", file = path, append = TRUE)
    expect_identical(lines(), c("two", "three"))
})

# --- which transport ---------------------------------------------------------

test_that("the user's word decides, and is checked", {
    withr::local_options(isthmus.transport = "process")
    expect_identical(isthmus:::.chooseTransport(), "process")
    withr::local_options(isthmus.transport = "pigeon")
    expect_error(isthmus:::.chooseTransport(), "pigeon", class = "isthmus_input_error")
})

test_that("a failed self-test means a separate process, said once and why", {
    skip_if_no_core()
    session <- isthmus:::.session
    kept <- mget(c("test", "said"), envir = session, ifnotfound = list(NULL))
    withr::defer(list2env(kept, envir = session))
    session$said <- NULL
    session$test <- list(ok = FALSE, condition = simpleError("rpy2 is too new"))
    withr::local_options(isthmus.transport = NULL)
    expect_message(chosen <- isthmus:::.chooseTransport(), "separate Python process.*rpy2 is too new")
    expect_identical(chosen, "process")
    expect_silent(isthmus:::.chooseTransport())
    # Whoever insists hears why it cannot be.
    expect_error(isthmus:::.chooseTransport("inprocess"), "rpy2 is too new")
})

test_that("several devices mean a process of its own", {
    withr::local_options(isthmus.transport = NULL)
    expect_identical(isthmus:::.chooseTransport(NULL, NULL, list(devices = 2L)), "process")
})

test_that("large HDF5-backed assays go to a separate process", {
    skip_if_not_installed("DelayedArray")
    withr::local_options(isthmus.transport = NULL, isthmus.realise = 100)
    study <- bridgeStudy(list(counts = DelayedArray::DelayedArray(sparseExample())))
    expect_identical(suppressMessages(isthmus:::.chooseTransport(NULL, study)), "process")
})
