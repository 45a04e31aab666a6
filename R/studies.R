# Several modalities at once: which object holds each, what of it crosses, and what
# the user said of them all or of each by name.

# --- objects of modalities ---------------------------------------------------

# @param assays NULL, or character named by modality, see runGLUE().
# @return list(parts, shared): parts is a named list of list(x, assay, lent), the genes
#   first; lent is what the container alone knows of the cells, see .lentCells(); shared
#   is TRUE where one object holds all of them for the same cells.
.modalities <- function(x, assays = NULL) {
    shared <- .isSeurat(x) || is(x, "SummarizedExperiment")
    objects <- if (!shared) .experiments(x)
    .checkModalities(names(if (shared) assays else objects), if (shared) "assays" else "x")
    parts <- if (shared) .partsOfOne(x, assays) else .partsOfMany(objects, assays)
    for (name in names(parts)) parts[[name]]$lent <- .lentCells(x, name)
    first <- match("rna", tolower(names(parts)))
    if (!is.na(first)) parts <- parts[c(first, setdiff(seq_along(parts), first))]
    list(parts = parts, shared = shared)
}

# One path without a name is that of the container; named ones are those of modalities.
.readOne <- function(x) {
    if (is.character(x) && length(x) == 1L && is.null(names(x))) readStudy(x) else x
}

.isMultiAssay <- function(x) "MultiAssayExperiment" %in% class(x)

# @return named list of objects.
.experiments <- function(x) {
    if (.isMultiAssay(x)) {
        return(as.list(MultiAssayExperiment::experiments(x)))
    }
    if (is(x, "SimpleList")) x <- as.list(x)
    if (is.character(x) && length(x) > 1L) x <- as.list(x)
    if (is.list(x) && !is.data.frame(x)) {
        return(lapply(x, function(one) if (is.character(one)) readStudy(one) else one))
    }
    .stopInput(
        paste(
            "a MultiAssayExperiment, a named list of objects or paths, a Seurat object",
            "with several assays, or a SingleCellExperiment with alternative experiments"
        ),
        sprintf("an object of class %s", .quoted(class(x)[1])),
        "give one object for each modality, for example list(rna = rna, atac = atac)"
    )
}

.partsOfMany <- function(objects, assays) {
    for (name in names(objects)) {
        one <- objects[[name]]
        if (.isSeurat(one) || is(one, "SummarizedExperiment")) next
        .stopInput(
            sprintf("a SingleCellExperiment or a Seurat object as modality %s", .quoted(name)),
            sprintf("an object of class %s", .quoted(class(one)[1])),
            paste(
                "convert it, or leave it out: x[c(\"rna\", \"atac\")], or of a",
                "MultiAssayExperiment x[, , c(\"rna\", \"atac\")]"
            )
        )
    }
    assays <- .byModality(assays, names(objects), "assays")
    Map(function(one, assay) {
        if (.isSeurat(one)) {
            return(list(x = one, assay = .seuratAssayName(one, assay)))
        }
        list(x = .asSCE(one), assay = assay)
    }, objects, assays)
}

.partsOfOne <- function(x, assays) {
    lapply(as.list(assays), function(assay) {
        if (.isSeurat(x)) {
            return(list(x = x, assay = .seuratAssayName(x, assay)))
        }
        list(x = .alternative(.asSCE(x), assay), assay = NULL)
    })
}

# One feature set of an SCE, with the cell data that all of them share.
.alternative <- function(x, name, remedy = "name one of them in assays =") {
    if (identical(name, "main") || identical(name, SingleCellExperiment::mainExpName(x))) {
        return(x)
    }
    if (!name %in% altExpNames(x)) {
        .stopInput(
            sprintf("an alternative experiment %s, or \"main\"", .quoted(name)),
            sprintf("the alternative experiments: %s", .listed(altExpNames(x))), remedy
        )
    }
    other <- .asSCE(SingleCellExperiment::altExp(x, name))
    colData(other) <- colData(x)
    other
}

.checkModalities <- function(names, where) {
    named <- length(names) && all(nzchar(names)) && !anyNA(names)
    if (named && !anyDuplicated(names) && length(names) > 1L) {
        return(invisible(NULL))
    }
    .stopInput(
        "two or more modalities, each with a name of its own",
        if (named) .quoted(names) else sprintf("no names in %s", where),
        if (where == "x") "give list(rna = rna, atac = atac), for example" else
            "give assays = c(rna = \"RNA\", atac = \"peaks\"), by the names that they have in this object"
    )
}

# --- cell data of a container ------------------------------------------------

# What a MultiAssayExperiment knows of the cells of one of its experiments: a row for
# each, or NULL of any other container.
.lentCells <- function(x, name) {
    if (!.isMultiAssay(x)) {
        return(NULL)
    }
    map <- MultiAssayExperiment::sampleMap(x)
    map <- map[map$assay == name, ]
    primary <- map$primary[match(.cellKeys(x[[name]]), map$colname)]
    colData(x)[match(primary, rownames(colData(x))), , drop = FALSE]
}

# A copy to read, with the columns that the object lacks: none of them is written back.
.lent <- function(x, table) {
    if (!.isShared(x)) {
        return(x)
    }
    for (column in setdiff(colnames(table), colnames(.cellData(x)))) {
        x <- .setColumn(x, column, table[[column]])
    }
    x
}

# --- settings of modalities --------------------------------------------------

# @param given NULL; one value for all; or a vector or list named by modality, in
#   which modalities may lack.
# @param cells whether a vector may also be one value for every cell of all of them.
# @return list along `names`; NULL where nothing was given.
.byModality <- function(given, names, what, cells = FALSE) {
    none <- setNames(vector("list", length(names)), names)
    if (is.null(given)) {
        return(none)
    }
    labels <- names(given)
    if (!is.null(labels) && all(labels %in% names) && !anyDuplicated(labels)) {
        none[labels] <- as.list(given)
        return(none)
    }
    if (cells || (length(given) == 1L && is.null(labels) && !is.list(given))) {
        return(lapply(none, function(empty) given))
    }
    .stopInput(
        sprintf("%s as one value, or by the names of the modalities (%s)", what, toString(names)),
        if (is.null(labels)) sprintf("%d values without names", length(given)) else
            sprintf("the names %s", .listed(.quotedEach(labels), 5L)),
        sprintf("write %s = list(%s)", what, toString(sprintf("%s = ", names)))
    )
}

.quotedEach <- function(x) sprintf("\"%s\"", x)

# What of it all was given, as the core takes it: by modality.
.givenOnly <- function(values) {
    values <- Filter(Negate(is.null), values)
    if (length(values)) values
}

# --- modalities as studies ---------------------------------------------------

# @param said list(batch, labels, layer, values), each along the parts.
# @return named list of studies, with the positions of their features.
.studiesFor <- function(parts, said) {
    lapply(setNames(names(parts), names(parts)), function(name) {
        part <- parts[[name]]
        of <- function(what) said[[what]][[name]]
        seurat <- .isSeurat(part$x)
        values <- if (is.null(of("values"))) "counts" else of("values")
        assay <- if (seurat || is.null(of("layer"))) part$assay else of("layer")
        study <- .asStudy(.lent(part$x, part$lent), assay, of("layer"), values, of("batch"),
            splitIsBatch = TRUE, labels = of("labels"))
        study$var <- .featurePositions(part$x, part$assay, rownames(study$var))
        study
    })
}
