# Studies with every kind of column and assay, and the two ways across.

transports <- c("inprocess", "process")

skip_if_no_bridge <- function(transport) {
    skip_if_no_core()
    if (transport == "inprocess") {
        test <- isthmus:::.selfTest()
        if (!test$ok) {
            if (identical(Sys.getenv("ISTHMUS_REQUIRE_CORE"), "1")) stop(test$condition)
            skip("Python does not run inside this R")
        }
    } else {
        skip_if_not_installed("rhdf5")
    }
}

# There and back: what Python was given, as it gives it back.
echo <- function(study, ..., transport) {
    isthmus:::.callCore("echo", study, list(...), transport)$study
}

# The same, for many studies in a row: the exchange folder is answered by the
# Python inside this R where there is one, which saves starting a process each.
quickEcho <- function(study, transport) {
    if (transport == "inprocess" || !isthmus:::.selfTest()$ok) {
        return(echo(study, transport = transport))
    }
    folder <- withr::local_tempfile()
    dir.create(folder)
    isthmus:::.writeRequest(folder, "echo", study, "{}")
    reticulate::import("isthmus.bridge.exchange")$serve(folder)
    isthmus:::.deliver(isthmus:::.readReply(folder))$study
}

bridgeStudy <- function(assays, obs = NULL, var = NULL, reducedDims = list(), altExps = list()) {
    size <- dim(assays[[1]])
    if (is.null(obs)) obs <- data.frame(row.names = sprintf("cell%d", seq_len(size[2])))
    if (is.null(var)) var <- data.frame(row.names = sprintf("gene_%d", seq_len(size[1])))
    list(
        assays = assays, main = names(assays)[1], obs = obs, var = var,
        reducedDims = reducedDims, altExps = altExps
    )
}

# The values of an assay, whatever holds them.
plainValues <- function(x) {
    x <- as.matrix(x)
    if (is.logical(x)) storage.mode(x) <- "integer"
    unname(x)
}

sparseExample <- function(n = 30L, m = 12L, density = 0.3, seed = 1L) {
    withr::with_seed(seed, round(abs(Matrix::rsparsematrix(n, m, density)) * 10))
}

# Every kind of matrix that Matrix and base R have for counts.
matrixKinds <- function() {
    m <- sparseExample()
    square <- Matrix::crossprod(m)
    kinds <- list(
        dgCMatrix = m,
        dgRMatrix = as(m, "RsparseMatrix"),
        dgTMatrix = as(m, "TsparseMatrix"),
        duplicatedTriplets = new("dgTMatrix",
            i = c(0L, 0L, 2L), j = c(1L, 1L, 0L), x = c(1, 2, 5), Dim = c(3L, 2L)
        ),
        dsCMatrix = as(square, "symmetricMatrix"),
        lgCMatrix = m > 3,
        ngCMatrix = as(m > 3, "nMatrix"),
        diagonal = Matrix::Diagonal(4, x = c(1, 2, 3, 4)),
        dgeMatrix = as(as.matrix(m), "unpackedMatrix"),
        double = as.matrix(m),
        integer = matrix(0:11, 4),
        logical = matrix(c(TRUE, FALSE, TRUE, TRUE), 2),
        oneRow = m[3, , drop = FALSE],
        oneColumn = m[, 3, drop = FALSE],
        oneByOne = m[3, 3, drop = FALSE],
        noCells = m[, 0, drop = FALSE],
        noFeatures = m[0, , drop = FALSE],
        empty = m[0, 0, drop = FALSE],
        noNonZeros = m * 0,
        denseNoCells = as.matrix(m)[, 0, drop = FALSE],
        largeValues = m * 1e300
    )
    lapply(kinds, function(x) {
        dimnames(x) <- list(NULL, NULL)
        x
    })
}

# A column of every kind, with what is hard about it.
columnKinds <- function(n = 100L) {
    text <- c(NA, "", "NA", "na\u00efve \u65e5\u672c", rep(c("x y", "z"), length.out = n - 4L))
    data.frame(
        logical = rep(c(TRUE, FALSE), length.out = n),
        logicalNA = rep(c(NA, TRUE, FALSE), length.out = n),
        integer = seq_len(n), integerNA = c(NA, seq_len(n - 1L)),
        double = seq_len(n) / 3,
        doubleNA = c(NA, NaN, Inf, -Inf, 1e-300, seq_len(n - 5L)),
        character = rep(c("a", "b"), length.out = n), characterNA = text,
        factor = factor(rep(c("b", "a"), length.out = n), levels = c("b", "a")),
        factorNA = factor(c(NA, rep("b", n - 1L)), levels = c("unused", "b", "\u00e9")),
        ordered = factor(rep(c("lo", "hi"), length.out = n), levels = c("lo", "mid", "hi"), ordered = TRUE),
        noLevel = factor(rep(NA_character_, n), levels = character()),
        date = as.Date("1969-12-30") + seq_len(n), dateNA = c(as.Date(NA), as.Date("2020-02-29") + 2:n),
        time = as.POSIXct("2024-03-31 01:59:59.25", tz = "Europe/Berlin") + seq_len(n) * 1800,
        timeNA = c(as.POSIXct(NA, tz = "UTC"), as.POSIXct("1900-01-01", tz = "UTC") + 2:n),
        "odd name/\u00e9" = seq_len(n), check.names = FALSE,
        row.names = c("caf\u00e9", "a/b", "a b", sprintf("cell-%d", seq_len(n - 3L)))
    )
}

# A smaller limit of non-zeros for one test.
local_mocked_limit <- function(limit, env = parent.frame()) {
    namespace <- asNamespace("isthmus")
    original <- get(".sparseLimit", namespace)
    put <- function(value) {
        base::unlockBinding(".sparseLimit", namespace)
        assign(".sparseLimit", value, envir = namespace)
        base::lockBinding(".sparseLimit", namespace)
    }
    put(limit)
    withr::defer(put(original), envir = env)
}

# What Ctrl-C does, from within R.
signalInterrupt <- function() {
    signalCondition(structure(
        class = c("interrupt", "condition"), list(message = "", call = NULL)
    ))
}
