# The answer in an exchange folder, as plain R values.

# @return list(status, warnings, result or error), as Python gives it inside R.
.readReply <- function(folder) {
    failed <- file.path(folder, "error.json")
    if (file.exists(failed)) {
        error <- jsonlite::fromJSON(failed, simplifyDataFrame = FALSE)
        return(list(status = "error", warnings = error$warnings, error = error))
    }
    done <- file.path(folder, "result.json")
    if (!file.exists(done)) {
        return(NULL)
    }
    reply <- jsonlite::fromJSON(done, simplifyVector = FALSE)
    path <- file.path(folder, "result.h5")
    file <- rhdf5::H5Fopen(path, flags = "H5F_ACC_RDONLY")
    on.exit(rhdf5::H5Fclose(file))
    list(
        status = reply$status, warnings = unlist(reply$warnings),
        result = .finishValue(.readNode(reply$result, file))
    )
}

.readNode <- function(node, file) {
    switch(node$kind,
        null = NULL,
        list = .readList(node, file),
        vector = .readVector(node, file),
        frame = .readFrame(node, file),
        dense = .readDense(node, file),
        sparse = .readSparse(node, file),
        .stopInput(
            "an exchange folder of this version",
            sprintf("a value of kind '%s'", node$kind),
            "use the same version of isthmus in R and Python"
        )
    )
}

.readList <- function(node, file) {
    items <- lapply(node$items, .readNode, file = file)
    if (length(node$names)) names(items) <- vapply(node$names, identity, "")
    items
}

.readVector <- function(node, file) {
    plain <- if (is.null(node$path)) {
        .inlineVector(node)
    } else {
        .readArray(node$path, file, node$type)
    }
    switch(node$type,
        logical = as.logical(plain),
        factor = , ordered = structure(
            as.integer(plain),
            levels = vapply(node$levels, identity, ""),
            class = c(if (node$type == "ordered") "ordered", "factor")
        ),
        date = structure(as.double(plain), class = "Date"),
        datetime = structure(
            as.double(plain),
            class = c("POSIXct", "POSIXt"),
            tzone = if (is.null(node$zone)) "UTC" else node$zone
        ),
        plain
    )
}

# Vectors that stand in the JSON file, null being NA.
.inlineVector <- function(node) {
    missing <- vapply(node$value, is.null, logical(1))
    empty <- switch(node$type,
        character = NA_character_, double = , date = , datetime = NA_real_,
        NA_integer_
    )
    out <- rep(empty, length(missing))
    if (!all(missing)) {
        given <- unlist(node$value[!missing])
        out[!missing] <- if (is.character(empty)) enc2utf8(given) else given
    }
    out
}

.readArray <- function(path, file, type = "double") {
    # rhdf5 tells of every NA among integers; here they are expected.
    x <- suppressMessages(as.vector(rhdf5::h5read(file, path, bit64conversion = "double")))
    if (identical(type, "character")) {
        Encoding(x) <- "UTF-8"
        marks <- paste0(path, "_na")
        if (rhdf5::H5Lexists(file, marks)) {
            x[as.vector(rhdf5::h5read(file, marks)) == 1L] <- NA_character_
        }
    }
    x
}

.readFrame <- function(node, file) {
    columns <- .readList(node$columns, file)
    rows <- .readNode(node$rows, file)
    if (is.null(rows)) rows <- seq_len(if (length(columns)) length(columns[[1]]) else 0L)
    structure(
        columns,
        names = as.character(names(columns)), row.names = rows,
        class = "data.frame"
    )
}

.readDense <- function(node, file) {
    dims <- as.integer(unlist(node$dim))
    if (is.null(node$path)) {
        return(matrix(numeric(), dims[1], dims[2]))
    }
    x <- suppressMessages(rhdf5::h5read(file, node$path))
    attributes(x) <- list(dim = dims)
    x
}

.readSparse <- function(node, file) {
    part <- function(name) .readArray(paste0(node$path, "/", name), file)
    p <- part("indptr")
    if (p[length(p)] > .sparseLimit) {
        .stopInput(
            "fewer than 2,147,483,648 non-zeros, which is where R's dgCMatrix ends",
            sprintf("%s non-zeros", format(p[length(p)], big.mark = ",")),
            "ask for fewer features or cells at once"
        )
    }
    methods::new("dgCMatrix",
        i = as.integer(part("indices")), p = as.integer(p),
        x = as.double(part("data")), Dim = as.integer(unlist(node$dim))
    )
}
