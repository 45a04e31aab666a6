fitted <- function(x, ...) {
    suppressMessages(runSCALEX(x, batch = "donor", n_features = 20, n_latent = 3, ...))
}

test_that("the model survives saveRDS and the loss of its folder", {
    localCore()
    for (x in lapply(bothObjects(), fitted)) {
        file <- withr::local_tempfile(fileext = ".rds")
        saveRDS(x, file)
        y <- readRDS(file)
        expect_identical(isthmusModel(y), isthmusModel(x))
        expect_false(dir.exists(isthmusModel(y)@folder))
        folder <- isthmus:::.modelFolder(isthmusModel(y))
        expect_setequal(
            list.files(folder, recursive = TRUE), names(isthmusModel(y)@archive)
        )
        # Unpacked once a session, and again when somebody removed it.
        expect_identical(isthmus:::.modelFolder(isthmusModel(y)), folder)
        unlink(folder, recursive = TRUE)
        expect_true(dir.exists(isthmus:::.modelFolder(isthmusModel(y))))
    }
})

test_that("saveModel and loadModel are each other's inverse", {
    localCore()
    model <- isthmusModel(fitted(smallSCE()))
    folder <- file.path(withr::local_tempdir(), "deep", "model")
    expect_identical(saveModel(model, folder), normalizePath(folder))
    loaded <- loadModel(folder)
    for (part in c("system", "archive", "history", "cells", "features")) {
        expect_identical(slot(loaded, part), slot(model, part))
    }
})

test_that("a folder with other files is never replaced", {
    localCore()
    x <- fitted(smallSCE())
    folder <- withr::local_tempdir()
    folder <- file.path(folder, "here")
    dir.create(folder)
    writeLines("precious", file.path(folder, "notes.txt"))
    expect_error(saveModel(x, folder, overwrite = TRUE), class = "isthmus_input_error")
    expect_identical(readLines(file.path(folder, "notes.txt")), "precious")
    other <- file.path(dirname(folder), "model")
    saveModel(x, other)
    expect_error(saveModel(x, other), "overwrite = TRUE")
    expect_no_error(saveModel(x, other, overwrite = TRUE))
})

test_that("a model is replaced as a whole, and what lies beside it never", {
    localCore()
    model <- isthmusModel(fitted(smallSCE()))
    other <- isthmusModel(fitted(smallSCE(seed = 2L)))
    folder <- file.path(withr::local_tempdir(), "model")
    saveModel(model, folder)
    notes <- file.path(folder, "notes.txt")
    writeLines("precious", notes)
    expect_error(saveModel(other, folder, overwrite = TRUE), "notes.txt", class = "isthmus_input_error")
    expect_identical(readLines(notes), "precious")
    expect_identical(loadModel(folder)@archive, model@archive)
    unlink(notes)
    saveModel(other, folder, overwrite = TRUE)
    expect_identical(loadModel(folder)@archive, other@archive)
    # A file that cannot be written: its name is too long.
    broken <- model
    broken@archive[[strrep("a", 300)]] <- raw(1)
    expect_error(suppressWarnings(saveModel(broken, folder, overwrite = TRUE)))
    expect_identical(loadModel(folder)@archive, other@archive)
    expect_identical(list.files(dirname(folder), all.files = TRUE, no.. = TRUE), "model")
})

test_that("~ is the home folder wherever Python gets a path", {
    log <- localCore(core = function(verb, study, params) stop("asked"))
    home <- path.expand("~/no-such-isthmus")
    expect_error(fitted(smallSCE(), model_dir = "~/no-such-isthmus"), "asked")
    expect_identical(lastCall(log)$params$folder, home)
    expect_identical(isthmus:::.settings(checkpoint = "~/no-such-isthmus")$checkpoint, home)
    output <- capture.output(installIsthmus("~/no-such-isthmus", dry_run = TRUE))
    expect_true(all(grepl(home, output[1:2], fixed = TRUE)))
})

test_that("a large model stays in its folder and says where", {
    localCore()
    home <- withr::local_tempdir()
    withr::local_envvar(R_USER_DATA_DIR = home)
    namespace <- asNamespace("isthmus")
    limit <- isthmus:::.archiveLimit
    set <- function(value) {
        base::unlockBinding(".archiveLimit", namespace)
        assign(".archiveLimit", value, namespace)
    }
    set(10)
    withr::defer(set(limit))
    expect_message(
        x <- runSCALEX(smallSCE(), batch = "donor", n_features = 20, n_latent = 3),
        "is kept in"
    )
    model <- isthmusModel(x)
    expect_length(model@archive, 0L)
    expect_true(startsWith(model@folder, normalizePath(home)))
    expect_identical(isthmus:::.modelFolder(model), model@folder)
    unlink(model@folder, recursive = TRUE)
    expect_error(isthmus:::.modelFolder(model), "no such folder on this machine")
})

test_that("several models are told apart by name", {
    localCore()
    x <- fitted(fitted(smallSCE()), name = "other")
    expect_identical(isthmusModel(x, name = "other")@system, "scalex")
    expect_snapshot({
        refusal(isthmusModel(x))
        refusal(isthmusModel(x, name = "GLUE"))
        refusal(isthmusModel(smallSCE()))
    })
})

test_that("bad folders are refused", {
    localCore()
    expect_snapshot({
        refusal(loadModel("no/such/folder"))
        refusal(loadModel(c("a", "b")))
        refusal(saveModel(smallSCE(), tempfile()))
    })
    expect_error(loadModel(withr::local_tempdir()), class = "isthmus_input_error")
})

test_that("a model prints what it is", {
    localCore()
    model <- isthmusModel(fitted(smallSCE()))
    model@provenance$time <- "2026-01-01T00:00:00Z"
    expect_snapshot(model)
})

test_that("an invalid record is refused by its class", {
    expect_error(new("IsthmusModel", system = c("a", "b"), folder = ""), "one name")
    expect_error(
        new("IsthmusModel", system = "a", folder = "", archive = list(a = "text")), "raw"
    )
})
