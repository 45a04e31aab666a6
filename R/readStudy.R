#' Read and write studies as files
#'
#' @description
#' `readStudy()` reads an `.h5ad` file (AnnData, as Python's scanpy writes it) or
#' an `.rds` file; `writeStudy()` writes an object to either.
#'
#' @param path the file.
#' @param x a SingleCellExperiment, SummarizedExperiment or Seurat object.
#' @param overwrite whether an existing file may be replaced.
#' @param verbose whether to report progress as messages.
#'
#' @details
#' An `.h5ad` file is read by the Python core. Its matrix `X` becomes the assay
#' `X`, each layer an assay of its own name, `obs` and `var` become the data of
#' cells and features, `obsm` the `reducedDims` by their names (sparse ones of more than
#' 10,000 columns are left out with a warning). The `X` of a file that `writeStudy()` wrote
#' has its name back, unless a layer has taken it or the `counts` are no whole numbers any
#' more. Names that stand more than once get a number, as in `A`, `A-1`. Feature columns
#' `chrom`, `chromStart`, `chromEnd` and `strand` (BED, from 0) become `rowRanges`,
#' and are written from them. The verbs of this
#' package read `counts` first and `X` where there is none.
#'
#' A Seurat object is written with the counts and normalised values of its default
#' assay, its other assays as alternative experiments, its reductions and its cell
#' data. Files are written under a temporary name and renamed, so that an
#' interrupted call leaves no half file behind.
#'
#' An `.h5ad` file is written without `metadata(x)`, pairs of cells and of features, a Seurat
#' object's `misc`, graphs and images, and without the fitted model: `writeStudy()` warns of
#' what it leaves out. [saveModel()] or an `.rds` file keeps the model. Dates and times are
#' written as text. Names with `/` and a column `_index` are refused.
#'
#' @return `readStudy()` returns a SingleCellExperiment for an `.h5ad` file, and
#'   for an `.rds` file the object in it, which must be one that the verbs take: a
#'   SingleCellExperiment, SummarizedExperiment, Seurat object or MultiAssayExperiment.
#'   `writeStudy()` returns the path, invisibly.
#' @seealso [runSCALEX()] and [runScDREAMER()], which take paths too.
#' @examples
#' path <- tempfile(fileext = ".rds")
#' sce <- SingleCellExperiment::SingleCellExperiment(
#'     list(counts = matrix(rpois(20, 2), 5, 4,
#'         dimnames = list(paste0("gene", 1:5), paste0("cell", 1:4))))
#' )
#' writeStudy(sce, path)
#' readStudy(path)
#' @export
readStudy <- function(path, verbose = TRUE) {
    .checkPath(path, "file")
    kind <- .fileKind(path)
    if (!file.exists(path)) {
        .stopInput(
            "the path of an existing file", sprintf("no file %s", .quoted(path)),
            "check the path and the working directory"
        )
    }
    if (kind == "rds") {
        x <- readRDS(path)
        if (!.isShared(x) && !.isMultiAssay(x)) .refuseClass(x)
        return(x)
    }
    result <- .core("read", NULL, list(path = normalizePath(path)), verbose)
    .sceFromStudy(result$study)
}

#' @rdname readStudy
#' @export
writeStudy <- function(x, path, overwrite = FALSE, verbose = TRUE) {
    .checkPath(path, "file")
    kind <- .fileKind(path)
    if (!.isShared(x)) .refuseClass(x)
    .refuseExisting(path, overwrite)
    part <- tempfile(
        ".isthmus-", dirname(path), paste0(".", kind)
    )
    on.exit(unlink(part))
    if (kind == "rds") {
        saveRDS(x, part)
    } else {
        study <- if (.isSeurat(x)) .wholeStudySeurat(x) else .wholeStudySCE(x)
        .core("write", study, list(path = part), verbose)
        .warnLeftOut(x)
    }
    if (!file.rename(part, path)) {
        .refuseUnwritable(dirname(path))
    }
    invisible(path)
}

# What an object holds beside its cells, features and values is not written, nor are models.
.warnLeftOut <- function(x) {
    models <- names(.heldModels(x))
    entries <- names(.notes(x))
    if (is.null(entries)) entries <- character(length(.notes(x)))
    entries[!nzchar(entries)] <- "(no name)"
    entries <- setdiff(entries, if (length(models)) "isthmus")
    home <- if (.isSeurat(x)) "misc" else "metadata(x)"
    parts <- Filter(length, c(structure(list(entries), names = home), .partsBeside(x)))
    left <- c(
        sprintf("%s in %s", vapply(parts, function(own) .listed(.quotedEach(own)), ""), names(parts)),
        if (length(models)) {
            sprintf(
                "the fitted %s %s, which saveModel() or an .rds file keeps",
                if (length(models) == 1L) "model" else "models", .listed(.quotedEach(models))
            )
        }
    )
    if (length(left)) {
        warning("Left out of the .h5ad file: ", paste(left, collapse = "; "), ".",
            call. = FALSE)
    }
}

# Names of pairs, graphs and images, by where they are.
.partsBeside <- function(x) {
    if (.isSeurat(x)) {
        return(list(graphs = names(x@graphs), neighbors = names(x@neighbors), images = names(x@images)))
    }
    x <- .asSCE(x)
    noted <- Filter(
        function(name) length(S4Vectors::metadata(SingleCellExperiment::altExp(x, name))) > 0L,
        SingleCellExperiment::altExpNames(x)
    )
    list(
        "colPairs(x)" = SingleCellExperiment::colPairNames(x),
        "rowPairs(x)" = SingleCellExperiment::rowPairNames(x),
        "the metadata of alternative experiments" = noted
    )
}

.refuseExisting <- function(path, overwrite) {
    if (file.exists(path) && !overwrite) {
        .stopInput(
            "a new file", sprintf("%s, which exists", .quoted(path)),
            "choose another, or use overwrite = TRUE"
        )
    }
}

.fileKind <- function(path) {
    kind <- tolower(tools::file_ext(path))
    if (kind %in% c("h5ad", "rds")) {
        return(kind)
    }
    .stopInput(
        "a file that ends in .h5ad or .rds", .quoted(basename(path)),
        "write it as .h5ad from Python, or as .rds with saveRDS()"
    )
}
