# The request of an exchange folder: plain R values as nodes (JSON) beside an
# HDF5 file. The layout is told in python/isthmus/bridge/exchange.py.

.exchangeFormat <- 1L
.shortVector <- 64L

# Write request.json and study.h5.
.writeRequest <- function(folder, verb, study, params) {
    node <- NULL
    if (!is.null(study)) {
        path <- file.path(folder, "study.h5")
        .refuseNoHdf5()
        file <- rhdf5::H5Fcreate(paste0(path, ".part"))
        node <- tryCatch(
            .writeNode(.plainRequest(study, matrix = identity), .nodeFile(file)),
            finally = rhdf5::H5Fclose(file)
        )
        file.rename(paste0(path, ".part"), path)
    }
    text <- sprintf(
        "{\"format\": %d, \"verb\": %s, \"params\": %s, \"study\": %s}",
        .exchangeFormat, .json(verb), params, .json(node)
    )
    path <- file.path(folder, "request.json")
    writeLines(enc2utf8(text), paste0(path, ".part"), useBytes = TRUE)
    file.rename(paste0(path, ".part"), path)
}

.refuseNoHdf5 <- function() {
    if (!requireNamespace("rhdf5", quietly = TRUE)) {
        .stopEnvironment(
            "the R package rhdf5, to hand data to another process", "none",
            "BiocManager::install(\"rhdf5\")"
        )
    }
}

.json <- function(x) {
    as.character(jsonlite::toJSON(
        x, auto_unbox = TRUE, null = "null", na = "null", digits = NA
    ))
}

# The open file and a counter for the places in it.
.nodeFile <- function(handle) {
    count <- 0L
    list(handle = handle, path = function() {
        count <<- count + 1L
        paste0("v", count)
    })
}

.writeNode <- function(x, file) {
    if (is.null(x)) {
        return(list(kind = "null"))
    }
    if (.isDelayed(x)) {
        return(.writeDelayed(x, file))
    }
    if (is(x, "Matrix") || is.matrix(x)) {
        x <- .plainMatrix(x)
        return(if (is.matrix(x)) .writeDense(x, file) else .writeSparse(x, file))
    }
    if (is.list(x)) {
        names <- if (is.null(names(x)) && length(x)) NULL else I(as.character(names(x)))
        items <- lapply(unname(x), .writeNode, file = file)
        return(list(kind = "list", names = names, items = items))
    }
    .writeVector(x, file)
}

.writeVector <- function(x, file) {
    kind <- .columnKind(x)
    node <- list(kind = "vector", type = kind, length = length(x))
    if (is.factor(x)) node$levels <- I(enc2utf8(levels(x)))
    zone <- attr(x, "tzone")[1]
    if (identical(kind, "datetime") && isTRUE(nzchar(zone))) node$zone <- zone
    plain <- switch(kind,
        factor = , ordered = , logical = as.integer(x),
        date = , datetime = as.double(x),
        character = enc2utf8(as.character(x)), x
    )
    plain <- as.vector(plain)
    if (length(plain) <= .shortVector && !(is.double(plain) && length(plain))) {
        # Doubles stay out of JSON, which knows neither NaN nor all digits.
        node$value <- I(plain)
        return(node)
    }
    node$path <- file$path()
    .writeArray(plain, file, node$path)
    node
}

# A vector or matrix into the file, neither chunked nor compressed.
.writeArray <- function(x, file, path) {
    dims <- if (is.null(dim(x))) length(x) else dim(x)
    if (is.character(x)) {
        missing <- is.na(x)
        if (any(missing)) {
            .writeArray(as.integer(missing), file, paste0(path, "_na"))
            x[missing] <- ""
        }
        rhdf5::h5createDataset(
            file$handle, path,
            dims = dims, storage.mode = "character",
            size = max(nchar(x, "bytes"), 1L) + 1L, encoding = "UTF-8",
            chunk = NULL, level = 0
        )
    } else {
        rhdf5::h5createDataset(
            file$handle, path,
            dims = dims, storage.mode = storage.mode(x), chunk = NULL, level = 0
        )
    }
    rhdf5::h5write(x, file$handle, path)
}

.writeDense <- function(x, file) {
    node <- list(kind = "dense", dim = I(dim(x)))
    if (length(x)) {
        node$path <- file$path()
        .writeArray(unname(x), file, node$path)
    }
    node
}

.writeSparse <- function(x, file) {
    path <- file$path()
    rhdf5::h5createGroup(file$handle, path)
    parts <- list(data = x@x, indices = x@i, indptr = x@p)
    for (name in names(parts)) {
        .writeArray(parts[[name]], file, paste0(path, "/", name))
    }
    list(kind = "sparse", dim = I(dim(x)), path = path)
}

# --- HDF5-backed and other delayed matrices, never realised as a whole --------

.writeDelayed <- function(x, file) {
    if (!length(x)) {
        return(.writeDense(as.matrix(x), file))
    }
    if (DelayedArray::is_sparse(x)) .writeSparseBlocks(x, file) else .writeDenseBlocks(x, file)
}

.writeDenseBlocks <- function(x, file) {
    path <- file$path()
    rhdf5::h5createDataset(
        file$handle, path,
        dims = dim(x), storage.mode = .storage(x), chunk = NULL, level = 0
    )
    first <- 1
    DelayedArray::blockApply(x, function(block) {
        rhdf5::h5write(
            unname(as.matrix(block)), file$handle, path,
            start = c(1, first), count = dim(block)
        )
        first <<- first + ncol(block)
        NULL
    }, grid = DelayedArray::colAutoGrid(x), BPPARAM = NULL)
    list(kind = "dense", dim = I(dim(x)), path = path)
}

.storage <- function(x) if (DelayedArray::type(x) == "double") "double" else "integer"

.writeSparseBlocks <- function(x, file) {
    path <- file$path()
    rhdf5::h5createGroup(file$handle, path)
    parts <- c(data = "double", indices = "integer")
    for (name in names(parts)) {
        rhdf5::h5createDataset(
            file$handle, paste0(path, "/", name),
            dims = 0, maxdims = rhdf5::H5Sunlimited(), storage.mode = parts[[name]],
            chunk = 1e5, level = 0
        )
    }
    counts <- 0
    DelayedArray::blockApply(x, function(block) {
        block <- as(block, "dgCMatrix")
        .appendBlock(file, path, block, counts[length(counts)])
        counts <<- c(counts, counts[length(counts)] + block@p[-1])
        NULL
    }, grid = DelayedArray::colAutoGrid(x), as.sparse = TRUE, BPPARAM = NULL)
    indptr <- paste0(path, "/indptr")
    rhdf5::h5createDataset(
        file$handle, indptr,
        dims = length(counts), H5type = "H5T_STD_I64LE", chunk = NULL, level = 0
    )
    rhdf5::h5write(counts, file$handle, indptr)
    list(kind = "sparse", dim = I(dim(x)), path = path)
}

.appendBlock <- function(file, path, block, filled) {
    if (!length(block@x)) {
        return(invisible(NULL))
    }
    parts <- list(data = block@x, indices = block@i)
    for (name in names(parts)) {
        place <- paste0(path, "/", name)
        rhdf5::h5set_extent(file$handle, place, filled + length(block@x))
        rhdf5::h5write(
            parts[[name]], file$handle, place,
            start = filled + 1, count = length(block@x)
        )
    }
}
