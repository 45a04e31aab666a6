#' SCALEX and scDREAMER as Seurat 5 integration methods
#'
#' @description
#' Methods to give to `Seurat::IntegrateLayers()`. The batches are the parts of
#' a split assay.
#'
#' @param object an assay, as `IntegrateLayers()` hands it over.
#' @param assay name of the assay.
#' @param orig,layers,scale.layer what `IntegrateLayers()` hands over; the systems
#'   read the counts and use none of them.
#' @param features features to model; `NULL` lets the model choose.
#' @param groups a batch for every cell, in place of the layers: a vector or a data
#'   frame of one column.
#' @param new.reduction name of the reduction to make.
#' @param key prefix of its columns; `NULL` makes it from the name.
#' @param seed a whole number.
#' @param verbose whether to report progress as messages.
#' @param ... further settings of [runSCALEX()] or [runScDREAMER()].
#'
#' @details
#' `IntegrateLayers()` hands over an assay and not the object, so the fitted model
#' cannot be left in the object. It is kept in the `misc` slot of the reduction,
#' `object[["integrated.scalex"]]@misc$isthmus`; give that to [projectCells()] as
#' the reference, or the object itself. Where there is no reason for
#' `IntegrateLayers()`, [runSCALEX()] and [runScDREAMER()] do the same and keep the
#' record with the object; labels that scDREAMER gives the cells only come back there.
#'
#' @return a named list with one reduction (`DimReduc`), which `IntegrateLayers()`
#'   adds to the object.
#' @inherit runSCALEX references
#' @seealso [runSCALEX()], [runScDREAMER()].
#' @examples
#' # Seurat calls the method; this shows that it is marked as one.
#' attr(ScalexIntegration, "Seurat.method")
#' # object <- IntegrateLayers(object, method = ScalexIntegration,
#' #     orig.reduction = NULL, new.reduction = "integrated.scalex")
#' @export
ScalexIntegration <- function(object, assay = NULL, orig = NULL, layers = NULL,
                              scale.layer = NULL, features = NULL,
                              groups = NULL,
                              new.reduction = "integrated.scalex", key = NULL,
                              seed = 0L, verbose = TRUE, ...) {
    .integrated(runSCALEX, object, assay, features, groups, new.reduction, key,
        seed = seed, verbose = verbose, ...)
}
attr(ScalexIntegration, "Seurat.method") <- "integration" # nolint: object_name_linter.

#' @rdname ScalexIntegration
#' @param labels cell types to learn from, as in [runScDREAMER()]: a vector along the
#'   cells of the assay or named by them; `NULL` fits without.
#' @export
ScdreamerIntegration <- function(object, assay = NULL, orig = NULL, layers = NULL,
                                 scale.layer = NULL, features = NULL,
                                 groups = NULL, labels = NULL,
                                 new.reduction = "integrated.scdreamer", key = NULL,
                                 seed = 0L, verbose = TRUE, ...) {
    .integrated(runScDREAMER, object, assay, features, groups, new.reduction, key,
        labels = labels, seed = seed, verbose = verbose, ...)
}
attr(ScdreamerIntegration, "Seurat.method") <- "integration" # nolint: object_name_linter.

# Run a system on what IntegrateLayers() hands over, and give back what it asks for.
.integrated <- function(run, object, assay, features, groups, name, key, ...) {
    .needSeuratObject()
    part <- .integrationPart(object, assay)
    x <- SingleCellExperiment(assays = list(counts = part$matrix))
    batch <- .integrationGroups(groups, part)
    if (!is.null(features)) features <- intersect(features, rownames(part$matrix))
    if (is.null(key)) {
        key <- paste0(gsub("[^[:alnum:]]", "", tolower(name)), "_")
    }
    x <- run(x, batch = batch, features = features, name = name, ...)
    z <- reducedDim(x, name)
    dimnames(z) <- list(colnames(part$matrix), paste0(key, seq_len(ncol(z))))
    reduction <- SeuratObject::CreateDimReducObject(
        embeddings = z, key = key, assay = assay,
        stdev = unname(apply(z, 2L, stats::sd)),
        misc = list(isthmus = isthmusModel(x))
    )
    setNames(list(reduction), name)
}

# @return list(matrix, split) of counts in the assay's cell order.
.integrationPart <- function(object, assay) {
    name <- if (is.null(assay)) "object" else assay
    if ("SCTAssay" %in% class(object)) {
        part <- .layerV4(object, "counts", name)
        part$split <- unlist(lapply(levels(object), function(m) {
            cells <- SeuratObject::Cells(object, layer = m)
            setNames(rep(m, length(cells)), cells)
        }))
    } else if (is.list(attr(object, "layers"))) {
        part <- .layerV5(object, "counts", name)
    } else {
        part <- .layerV4(object, "counts", name)
    }
    cells <- colnames(object)
    part$matrix <- part$matrix[, cells, drop = FALSE]
    part$split <- part$split[cells]
    part
}

.integrationGroups <- function(groups, part) {
    cells <- colnames(part$matrix)
    if (is.null(groups)) {
        return(part$split)
    }
    if (!is.data.frame(groups)) {
        return(groups)
    }
    if (ncol(groups) != 1L || !all(cells %in% rownames(groups))) {
        .stopInput(
            "groups as one column with the cells as row names",
            sprintf("a table of %d x %d that lacks cells or has more columns", nrow(groups), ncol(groups)),
            "give a vector with one batch for every cell"
        )
    }
    groups[cells, 1L]
}
