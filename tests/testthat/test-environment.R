probe <- function(version = "3.11.7", drop = character(), ...) {
    packages <- as.list(stats::setNames(rep("1.0", length(isthmus:::.corePackages)), isthmus:::.corePackages))
    packages[c("rpy2", "rpy2-rinterface")] <- "3.6.5"
    packages[drop] <- NULL
    c(list(version = version, shared = TRUE, packages = packages, path = "/p/python", why = ""), list(...))
}

# Forget what was found in this session, for one test.
local_forgotten <- function(env = parent.frame()) {
    session <- isthmus:::.session
    kept <- mget(c("found", "foundFor", "probes"), envir = session, ifnotfound = list(NULL))
    withr::defer(list2env(kept, envir = session), envir = env)
    session$found <- session$foundFor <- session$probes <- NULL
}

test_that("what a Python lacks is said in words", {
    expect_null(isthmus:::.lacking(probe()))
    expect_identical(isthmus:::.lacking(probe(drop = c("torch", "scanpy"))), "no torch, scanpy")
    expect_identical(isthmus:::.lacking(probe(version = "3.9.2")), "version 3.9.2")
    expect_match(isthmus:::.lacking(list(problem = "not found")), "no answer: not found")
})

test_that("rpy2 is pinned by the version of R", {
    expect_identical(isthmus:::.rpy2Pin(numeric_version("4.2.2"))[1], "rpy2-rinterface<3.6.6")
    expect_identical(isthmus:::.rpy2Pin(numeric_version("4.4.3"))[1], "rpy2-rinterface<3.6.6")
    expect_identical(isthmus:::.rpy2Pin(numeric_version("4.5.0"))[1], "rpy2-rinterface>=3.6")
    missing <- probe(drop = c("rpy2", "rpy2-rinterface"))
    expect_error(isthmus:::.refuseForHost(missing), "rpy2", class = "isthmus_environment_error")
    expect_silent(isthmus:::.refuseForHost(probe()))
    new <- probe()
    new$packages[["rpy2-rinterface"]] <- "3.6.9"
    if (getRversion() < "4.5") {
        expect_error(isthmus:::.refuseForHost(new), "cannot be imported", class = "isthmus_environment_error")
    } else {
        expect_silent(isthmus:::.refuseForHost(new))
    }
})

test_that("a Python that the user names is used or refused, never passed over", {
    local_forgotten()
    withr::local_options(isthmus.python = "/no/such/python")
    expect_error(isthmus:::.findPython(), "/no/such/python", class = "isthmus_environment_error")
    expect_identical(names(isthmus:::.pythonCandidates()), "option isthmus.python")
    withr::local_options(isthmus.python = NULL)
    withr::local_envvar(RETICULATE_PYTHON = "/another/python")
    expect_identical(
        isthmus:::.pythonCandidates(), list(RETICULATE_PYTHON = "/another/python")
    )
})

test_that("no Python at all is a problem with a remedy", {
    local_forgotten()
    withr::local_envvar(RETICULATE_PYTHON = "/no/such/python")
    withr::local_options(isthmus.transport = NULL)
    text <- capture.output(found <- isthmusEnvironment())
    expect_identical(found$transport, "none")
    expect_null(found$python)
    expect_match(paste(text, collapse = "\n"), "installIsthmus", fixed = TRUE)
    expect_match(found$problems$problem[1], "/no/such/python")
})

test_that("the diagnosis names the Python, its packages and the transport", {
    skip_if_no_core()
    local_forgotten()
    withr::local_options(isthmus.transport = "process")
    text <- capture.output(found <- isthmusEnvironment())
    expect_identical(found$transport, "process")
    expect_match(found$python$packages$torch, "^[0-9]")
    expect_true(any(grepl(found$python$path, text, fixed = TRUE)))
    expect_true(any(grepl("torch", text)))
    expect_identical(names(found$problems)[1:2], c("problem", "remedy"))
})

test_that("an installation makes the environment, torch first, rpy2 pinned", {
    text <- capture.output(commands <- installIsthmus("/tmp/my env", python = "/p/python3", dry_run = TRUE))
    expect_length(text, length(commands))
    expect_identical(text[1], "'/p/python3' -m venv '/tmp/my env'")
    expect_match(text[3], "'torch>=2.6'", fixed = TRUE)
    expect_match(text[4], isthmus:::.rpy2Pin()[1], fixed = TRUE)
    expect_match(text[4], "[r]'", fixed = TRUE)
    plain <- capture.output(installIsthmus("/e", extras = character(), python = "p", dry_run = TRUE))
    expect_false(any(grepl("rpy2", plain)))
    expect_error(
        installIsthmus(extras = "everything", dry_run = TRUE), "everything",
        class = "isthmus_input_error"
    )
    expect_error(installIsthmus(python = ""), "3.11", class = "isthmus_environment_error")
})

test_that("a Python process gets its own library path, not R's", {
    withr::local_envvar(LD_LIBRARY_PATH = paste(
        file.path(R.home(), "lib"), "/usr/lib/x86_64-linux-gnu", "/usr/lib/jvm/default/lib/server",
        "/opt/cuda/lib64", "/lib",
        sep = ":"
    ))
    expect_identical(isthmus:::.cleanEnvironment()[1], "LD_LIBRARY_PATH='/opt/cuda/lib64'")
})
