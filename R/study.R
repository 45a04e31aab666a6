# What the verbs need of an object, whatever its class: a study (a plain list
# that crosses to Python) on the way in, and named places on the way back.

.isSeurat <- function(x) "Seurat" %in% class(x)

.isSCE <- function(x) is(x, "SingleCellExperiment")

# The one place that says which classes are understood.
.refuseClass <- function(x) {
    remedy <- "give one of these classes"
    if ("MultiAssayExperiment" %in% class(x)) {
        remedy <- "give one of its experiments, for example x[[\"rna\"]]"
    } else if ("AnnDataR6" %in% class(x) || "AbstractAnnData" %in% class(x)) {
        remedy <- "write it to an .h5ad file and give the path"
    }
    .stopInput(
        paste(
            "a SingleCellExperiment, a Seurat object or the path of an",
            ".h5ad or .rds file"
        ),
        sprintf("an object of class %s", .quoted(class(x)[1])), remedy
    )
}

.quoted <- function(x) paste0("\"", x, "\"", collapse = ", ")

# A list for a message: the first few, and how many there are.
.listed <- function(x, n = 20L) {
    if (!length(x)) {
        return("none")
    }
    shown <- paste(head(x, n), collapse = ", ")
    more <- length(x) - n
    if (more > 0L) sprintf("%s and %d more", shown, more) else shown
}

# --- the object as a study ---------------------------------------------------

# @return list(assays, main, obs, var, reducedDims, altExps) for .callCore, and
#   `batch` and `labels`: the names of these columns in obs, or NULL; `batches` the
#   values named by cell, where no column of the object has them.
.asStudy <- function(x, assay = NULL, layer = NULL, values = "counts",
                     batch = NULL, splitIsBatch = FALSE, labels = NULL) {
    .checkCells(x)
    parts <- if (.isSeurat(x)) {
        .seuratMatrix(x, assay, layer, values)
    } else {
        .sceMatrix(x, assay, values)
    }
    .checkNames(parts$features, "feature")
    .checkNames(parts$cells, "cell")
    if (is.null(batch) && splitIsBatch) batch <- parts$split
    batch <- .resolveBatch(x, batch, parts$cells)
    labels <- .alongCells(x, labels, parts$cells, "labels")
    obs <- data.frame(row.names = parts$cells)
    if (!is.null(batch)) obs[[batch$name]] <- batch$values
    if (!is.null(labels)) {
        # The column of the batches may be given for the labels too.
        labels$name <- make.unique(c(names(obs), labels$name))[ncol(obs) + 1L]
        obs[[labels$name]] <- labels$values
    }
    list(
        assays = setNames(list(parts$matrix), parts$main), main = parts$main,
        obs = obs, var = data.frame(row.names = parts$features),
        reducedDims = list(), altExps = list(), batch = batch$name,
        labels = labels$name, source = parts$source,
        batches = if (!is.null(batch) && !batch$column) setNames(batch$values, parts$cells)
    )
}

# The part of the study that crosses: without our own notes.
.crossing <- function(study) {
    if (.isBundle(study)) {
        study$studies <- lapply(study$studies, `[`, .studyFields)
        return(study)
    }
    study[.studyFields]
}

.checkCells <- function(x) {
    size <- c(.featureCount(x), .cellCount(x))
    if (all(size > 0L)) {
        return(invisible(NULL))
    }
    .stopInput(
        "an object with cells and features",
        sprintf("%d features and %d cells", size[1], size[2]),
        "check the subset that made this object"
    )
}

.checkNames <- function(names, what) {
    if (!anyDuplicated(names) && !anyNA(names) && all(nzchar(names))) {
        return(invisible(NULL))
    }
    twice <- unique(names[duplicated(names)])
    side <- if (what %in% c("cell", "TF")) "colnames" else "rownames"
    .stopInput(
        sprintf("%s names that are unique and not empty", what),
        if (length(twice)) {
            sprintf(
                "%d duplicated %s: %s", length(twice),
                if (length(twice) == 1L) "name" else "names", .listed(twice, 5L)
            )
        } else {
            "missing or empty names"
        },
        sprintf("make them unique: %1$s(x) <- make.unique(%1$s(x))", side)
    )
}

# --- batch and labels --------------------------------------------------------

# @return NULL, or list(name = column name, values = factor along `cells`, column =
#   whether it is one of the object).
.resolveBatch <- function(x, batch, cells) {
    resolved <- .alongCells(x, batch, cells, "batch")
    if (!is.null(resolved)) .checkBatchMissing(resolved$values, resolved$name, cells)
    resolved
}

# The same for any factor of the cells, which may have missing values.
# @param what name of the argument: "batch" or "labels".
.alongCells <- function(x, given, cells, what) {
    if (is.null(given)) {
        return(NULL)
    }
    if (is.data.frame(given) || is(given, "DataFrame") || is.list(given)) {
        .stopInput(
            sprintf("one column name or one value for every cell as %s", what),
            sprintf("an object of class %s", .quoted(class(given)[1])),
            sprintf("give one column, for example %s = x$%s", what,
                c(batch = "donor", labels = "cell_type")[[what]])
        )
    }
    table <- .cellData(x)
    noun <- sub("s$", "", what)
    if (is.character(given) && length(given) == 1L &&
        (length(cells) != 1L || given %in% colnames(table))) {
        values <- .fromColumn(x, table, given, cells, noun)
        return(list(name = given, values = values, column = TRUE))
    }
    if (is(given, "Rle")) given <- S4Vectors::decode(given)
    list(
        name = paste0(noun, "_values"),
        values = .fromVector(given, table, cells, .cellKeys(x), noun), column = FALSE
    )
}

.fromColumn <- function(x, table, column, cells, noun) {
    if (!column %in% colnames(table)) {
        .stopInput(
            sprintf("a %s column in the cell data (%s)", noun, .cellDataName(x)),
            sprintf(
                "no column %s; the columns are: %s",
                .quoted(column), .listed(colnames(table))
            ),
            "name one of them, or give a vector with one value for every cell"
        )
    }
    values <- table[[column]]
    if (!is.null(dim(values)) || is.list(values)) {
        .stopInput(
            sprintf("a plain vector or factor in column %s", .quoted(column)),
            sprintf("a %s", class(values)[1]),
            "give a vector with one value for every cell"
        )
    }
    .asLevels(values[match(cells, .cellKeys(x))])
}

.fromVector <- function(given, table, cells, keys, noun) {
    if (is.null(names(given)) && length(given) == length(keys)) {
        names(given) <- keys
    }
    # Names that are cells say where each value belongs, also where some are of other
    # cells: a Seurat 5 assay may hold some of the object's only.
    if (any(names(given) %in% keys)) {
        given <- given[match(cells, names(given))]
    }
    if (length(given) != length(cells)) {
        columns <- is.character(given) && all(given %in% colnames(table))
        .stopInput(
            sprintf("one %s value for each of %d cells", noun, length(cells)),
            sprintf(
                if (columns) "%d column names: %s" else "%d values: %s",
                length(given), .listed(as.character(given), 5L)
            ),
            if (columns) {
                sprintf("paste the columns into one first, x$%s <- paste(x$a, x$b)", noun)
            } else {
                "give a column name or a vector as long as there are cells"
            }
        )
    }
    .asLevels(unname(given))
}

# Levels that no cell has would be batches or types without data.
.asLevels <- function(values) {
    if (is.factor(values)) droplevels(values) else factor(as.character(values))
}

.checkBatchMissing <- function(values, name, cells) {
    missing <- is.na(values)
    if (!any(missing)) {
        return(invisible(NULL))
    }
    .stopInput(
        sprintf("a batch for every cell in %s", .quoted(name)),
        sprintf(
            "NA for %d of %d cells: %s", sum(missing), length(cells),
            .listed(cells[missing], 5L)
        ),
        "fill them in, or leave these cells out"
    )
}

# --- the object's own tables and names ---------------------------------------

.cellData <- function(x) {
    if (.isSeurat(x)) slot(x, "meta.data") else colData(x)
}

.cellDataName <- function(x) if (.isSeurat(x)) "meta.data" else "colData"

.cellCount <- function(x) {
    if (.isSeurat(x)) nrow(slot(x, "meta.data")) else ncol(x)
}

.featureCount <- function(x) {
    if (.isSeurat(x)) length(attr(x, "assays")) else nrow(x)
}

# Cell names; an object without any gets numbered ones, only inside the study.
.cellKeys <- function(x) {
    names <- if (.isSeurat(x)) rownames(slot(x, "meta.data")) else colnames(x)
    if (is.null(names)) sprintf("cell%d", seq_len(.cellCount(x))) else names
}

# --- records -----------------------------------------------------------------

.records <- function(x) .notes(x)[["isthmus"]]

# Where an object keeps whatever it has no other place for.
.notes <- function(x) if (.isSeurat(x)) slot(x, "misc") else metadata(x)

.setRecord <- function(x, name, value) {
    records <- .records(x)
    if (is.null(records)) records <- list()
    records[[name]] <- value
    if (.isSeurat(x)) {
        slot(x, "misc")[["isthmus"]] <- records
    } else {
        metadata(x)[["isthmus"]] <- records
    }
    x
}

# How a result was made; enough to make it again.
.provenance <- function(verb, system, settings, study = NULL, ...) {
    c(
        list(
            verb = verb, system = system,
            isthmus = as.character(packageVersion("isthmus")),
            R = as.character(getRversion()),
            time = format(Sys.time(), "%Y-%m-%dT%H:%M:%SZ", tz = "UTC"),
            settings = settings, assay = study$main, batch = study$batch,
            cell_batches = study$batches, source = study$source, cells = nrow(study$obs)
        ),
        list(...)
    )
}

# --- results back into the object --------------------------------------------

.putEmbedding <- function(x, z, target, assay) {
    if (.isSeurat(x)) {
        .putReduction(x, z, target, assay)
    } else {
        .putReducedDim(x, z, target)
    }
}

# @param loadings matrix of features x dimensions, with feature names.
.namedLoadings <- function(loadings, dimensions) {
    colnames(loadings) <- dimensions
    loadings
}

# What the core gave must be one row a cell, in the order that went in.
.checkedEmbedding <- function(z, cells) {
    z <- as.matrix(z)
    if (is.null(rownames(z)) && nrow(z) == length(cells)) {
        rownames(z) <- cells
    }
    if (!identical(rownames(z), cells)) {
        if (!setequal(rownames(z), cells)) {
            stop("the core returned other cells than it was given; ",
                "please report this", call. = FALSE)
        }
        z <- z[cells, , drop = FALSE]
    }
    z
}

# A result may replace what isthmus itself put there, nothing else.
.refuseTaken <- function(what, name, remedy) {
    .stopInput(
        sprintf("a free name for the %s", what),
        sprintf("%s, which was not made by isthmus", .quoted(name)), remedy
    )
}
