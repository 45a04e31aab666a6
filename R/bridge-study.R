# A study made plain, and the refusals: before Python starts or a file is
# written, R knows that everything in the study has a counterpart there.

# --- refusals ----------------------------------------------------------------

# Stop unless every part of the study can cross the bridge unchanged.
.refuseStudy <- function(study, where = "the study") {
    lacking <- setdiff(.studyFields, names(study))
    if (length(lacking)) {
        .stopInput(
            sprintf("%s with the parts %s", where, toString(.studyFields)),
            sprintf("no %s", toString(lacking)), "add the missing parts"
        )
    }
    .refuseNames(rownames(study$obs), "cell", where)
    .refuseNames(rownames(study$var), "feature", where)
    .refuseFrame(study$obs, "colData")
    .refuseFrame(study$var, "rowData")
    size <- c(nrow(study$var), nrow(study$obs))
    .refuseListNames(study$assays, "assays")
    for (name in names(study$assays)) {
        .refuseAssay(study$assays[[name]], name, size)
    }
    .refuseListNames(study$reducedDims, "reducedDims")
    for (name in names(study$reducedDims)) {
        .refuseReduced(study$reducedDims[[name]], name, size[2])
    }
    for (name in names(study$altExps)) {
        .refuseStudy(study$altExps[[name]], sprintf("altExp '%s'", name))
    }
}

.refuseNames <- function(names, what, where) {
    if (anyDuplicated(names) || anyNA(names)) {
        twice <- unique(names[duplicated(names)])
        side <- if (what == "cell") "colnames" else "rownames"
        .stopInput(
            sprintf("unique %s names in %s", what, where),
            sprintf(
                "%d %s names that occur more than once, such as '%s'",
                length(twice), what, twice[1]
            ),
            sprintf("%1$s(x) <- make.unique(%1$s(x))", side)
        )
    }
}

.refuseListNames <- function(x, what) {
    names <- names(x)
    if (length(x) && (is.null(names) || anyDuplicated(names) || !all(nzchar(names)))) {
        .stopInput(
            sprintf("%s with unique names", what),
            sprintf("the names %s", toString(sprintf("'%s'", names))),
            "name every one of them differently"
        )
    }
}

.refuseFrame <- function(frame, what) {
    if (anyDuplicated(names(frame))) {
        .stopInput(
            sprintf("unique column names in %s", what),
            sprintf("'%s' twice", names(frame)[anyDuplicated(names(frame))]),
            "rename one of the columns"
        )
    }
    for (name in names(frame)) {
        column <- frame[[name]]
        if (is.null(.columnKind(column))) {
            .stopInput(
                paste(
                    "columns of logicals, numbers, strings, factors (no NA",
                    "among the levels), dates or times"
                ),
                sprintf(
                    "column '%s' of %s, of class %s", name, what,
                    paste(class(column), collapse = " / ")
                ),
                "drop the column, or turn it into numbers, strings or a factor"
            )
        }
    }
}

# The kinds of columns that have a counterpart; NULL for all others.
.columnKind <- function(x) {
    if (!is.null(dim(x))) {
        return(NULL)
    }
    if (is.factor(x)) {
        if (anyNA(levels(x))) {
            return(NULL)
        }
        return(if (is.ordered(x)) "ordered" else "factor")
    }
    if (inherits(x, "Date")) {
        return("date")
    }
    if (inherits(x, "POSIXct")) {
        return("datetime")
    }
    if (is.object(x) && !identical(class(x), "AsIs")) {
        return(NULL)
    }
    kind <- typeof(x)
    if (kind %in% c("logical", "integer", "double", "character")) kind else NULL
}

.isDelayed <- function(x) inherits(x, "DelayedMatrix")

.refuseAssay <- function(x, name, size) {
    if (inherits(x, "IterableMatrix")) {
        .stopInput(
            sprintf("assay '%s' in memory or in HDF5", name),
            "a matrix of the BPCells package, which nobody else can read",
            "convert it first: as(x, \"dgCMatrix\")"
        )
    }
    numeric <- .isDelayed(x) || is(x, "Matrix") ||
        (is.matrix(x) && (is.numeric(x) || is.logical(x)))
    if (!numeric) {
        .stopInput(
            sprintf(
                "assay '%s' as a matrix of numbers, dense, sparse or HDF5-backed",
                name
            ),
            sprintf(
                "an object of class %s and type %s",
                paste(class(x), collapse = " / "), typeof(x)
            ),
            "convert it with as.matrix() or as(x, \"dgCMatrix\")"
        )
    }
    if (!identical(as.integer(dim(x)), as.integer(size))) {
        .stopInput(
            sprintf("assay '%s' of %d features x %d cells", name, size[1], size[2]),
            sprintf("%d x %d", nrow(x), ncol(x)),
            "give an assay that matches the feature and cell names"
        )
    }
}

.refuseReduced <- function(x, name, cells) {
    x <- .plainReduced(x)
    if (!is.matrix(x) || !(is.numeric(x) || is.logical(x)) || nrow(x) != cells) {
        .stopInput(
            sprintf("reducedDim '%s' as a numeric matrix with %d rows", name, cells),
            sprintf(
                "class %s with %s rows", paste(class(x), collapse = " / "),
                toString(NROW(x))
            ),
            "leave it out or convert it with as.matrix()"
        )
    }
}

# --- plain forms -------------------------------------------------------------

# The study as Python reads it: matrices are dgCMatrix or plain, tables are
# lists of names and columns.
# @param matrix Makes an assay plain; identity leaves that to the writer.
.plainStudy <- function(study, matrix = .plainMatrix) {
    list(
        assays = .namedApply(study$assays, matrix), main = study$main,
        obs = .plainFrame(study$obs), var = .plainFrame(study$var),
        reducedDims = .namedApply(study$reducedDims, function(x) {
            x <- .plainReduced(x)
            list(values = unname(x), columns = colnames(x))
        }),
        altExps = .namedApply(study$altExps, .plainStudy, matrix = matrix)
    )
}

.namedApply <- function(x, f, ...) if (length(x)) lapply(x, f, ...) else list()

.plainFrame <- function(frame) {
    columns <- lapply(names(frame), function(name) {
        column <- frame[[name]]
        if (identical(class(column), "AsIs")) unclass(column) else column
    })
    names(columns) <- names(frame)
    list(names = rownames(frame), columns = lapply(columns, unname))
}

.plainReduced <- function(x) {
    if (is.data.frame(x) || is(x, "Matrix") || is(x, "LinearEmbeddingMatrix")) {
        x <- as.matrix(x)
    }
    if (is.logical(x)) storage.mode(x) <- "integer"
    x
}

# A dgCMatrix or a plain numeric matrix with the values of x.
.plainMatrix <- function(x) {
    if (inherits(x, "dgCMatrix")) {
        return(x)
    }
    if (.isDelayed(x)) {
        return(.realise(x))
    }
    if (is(x, "sparseMatrix")) {
        x <- as(as(x, "dMatrix"), "generalMatrix")
        return(as(x, "CsparseMatrix"))
    }
    x <- as.matrix(x)
    if (is.logical(x)) storage.mode(x) <- "integer"
    x
}

.sparseLimit <- 2^31 - 1

# An HDF5-backed or delayed matrix in memory, block after block of columns, so
# that only the sparse result and one dense block exist at a time.
.realise <- function(x) {
    if (!length(x) || !DelayedArray::is_sparse(x)) {
        return(unname(as.matrix(x)))
    }
    blocks <- DelayedArray::blockApply(
        x, function(block) as(block, "dgCMatrix"),
        grid = DelayedArray::colAutoGrid(x), as.sparse = TRUE, BPPARAM = NULL
    )
    count <- sum(vapply(blocks, function(b) length(b@x), numeric(1)))
    if (count > .sparseLimit) {
        .stopInput(
            "fewer than 2,147,483,648 non-zeros, which is where R's dgCMatrix ends",
            sprintf("%s non-zeros", format(count, big.mark = ",")),
            "set options(isthmus.transport = \"process\"), which never realises it"
        )
    }
    do.call(cbind, blocks)
}
