#' Embed cells by chromatin, taught by their RNA, with SAILERX
#'
#' @description
#' Fits SAILERX to cells of which RNA and chromatin accessibility (ATAC) were measured.
#' The embedding is one of the chromatin, free of depth and batch, in which cells lie to
#' each other as they do in an embedding of their RNA, the reference. Cells without RNA
#' can take part, and get an embedding too. The fitted model stays with the object, so
#' that [projectCells()] can place new cells by their ATAC alone, without training.
#'
#' @param x the cells: a Seurat object with two assays (of Signac, too, which need not be
#'   installed); a SingleCellExperiment with alternative experiments; a
#'   `MultiAssayExperiment`; a named list of objects or of paths of `.h5ad` and `.rds`
#'   files; or the path of one such file.
#' @param rna,atac what RNA and ATAC are called in `x`: assays of a Seurat object (by
#'   default `"RNA"` and `"ATAC"`); of a SingleCellExperiment alternative experiments or
#'   `"main"` (`"main"` and `"ATAC"`); experiments of a MultiAssayExperiment and elements
#'   of a list (`"rna"` and `"atac"`).
#' @param reference the embedding of the RNA that teaches: the name of a `reducedDim` or
#'   of a Seurat reduction, or a matrix of cells by components, along the cells or with
#'   their names. Only how similar cells are in it is used. `"PCA"` is computed where the
#'   object has none.
#' @param unpaired further cells with ATAC only, with the same peaks: a
#'   SingleCellExperiment, a Seurat object (its assay `atac`, if it has one, or else its
#'   default assay), or a path. They take part in the fit; `projectCells(unpaired, x)`
#'   then gives their embedding, and trains nothing.
#' @param batch batches: one column name, a vector with a value for every cell of one
#'   object, or a list by the names `rna`, `atac` and `unpaired`,
#'   `list(atac = "donor", unpaired = "sample")`. Those of the ATAC count. A column that an
#'   experiment of a MultiAssayExperiment lacks is taken from the `colData` of the whole.
#'   Cells of `unpaired` whose batches are not named are one of their own. `NULL` takes the
#'   parts of a split Seurat assay, if there are any.
#' @param ... further settings by the names of the Python function
#'   `isthmus.tl.sailerx`, for example `max_steps`, `n_hidden`, `batch_size`,
#'   `structure_weight`, `invariance_weight`, `preset` or `accelerator`.
#' @param layer the Seurat layer with the counts, or of a SingleCellExperiment the
#'   assay; one for both or a list by the names `rna`, `atac` and `unpaired`. `NULL`
#'   means `"counts"`.
#' @inheritParams runGLUE
#' @param name name of the embedding, and in small letters of Seurat reductions.
#'
#' @details
#' An encoder, with layers of its own for each chromosome, sees which peaks are open, and
#' neither depth nor batch; the decoder is told both. Peaks are placed by `rowRanges`, by
#' the ranges of a ChromatinAssay, or by their names, such as `chr1:100-200`. Three terms
#' train it: the peaks that are open are given back, what the embedding knows of depth and
#' batch is held low, and the cosines between cells follow those in the reference, the
#' more so where a cell's RNA is deep and its ATAC shallow.
#'
#' Cells of the same name are the same cell. Of a list or a MultiAssayExperiment cells may
#' be in one modality only: a warning says how many and names some. Those with ATAC only
#' are embedded like all others, and those with RNA only are not: their row is `NA`, or is
#' left out of reductions of SeuratObject 5.
#'
#' The object comes back as it was given, with the results added and nothing else
#' changed. If anything fails, or the fit is interrupted, it is untouched.
#'
#' @return what was given (paths as the objects that were read), with these added:
#' * `reducedDim(x, "SAILERX")`, or the Seurat reduction `sailerx` (key `sailerx_`): a
#'   matrix of cells by `n_latent`. Of several objects each gets that of its own cells.
#' * `metadata(x)$isthmus$SAILERX`, or `misc$isthmus$sailerx`: the fitted model, an
#'   [IsthmusModel-class] with history, features and provenance. A Seurat object also gets
#'   an entry in its command log.
#' @references
#' Cao Y, Fu L, Wu J, Peng Q, Nie Q, Zhang J, Xie X (2022). Integrated analysis of
#' multimodal single-cell data with structural similarity. *Nucleic Acids Research* 50,
#' e121. \doi{10.1093/nar/gkac781}
#' @seealso [projectCells()] and [transferLabels()] for new cells, [imputeAssay()] for the
#'   chance of each peak to be open, [geneActivity()] for their sums by gene,
#'   [isthmusModel()] for the model.
#' @examples
#' if (isthmusReady()) {
#'     sim <- simulateMultiome(n_cells = 200, n_genes = 100, n_peaks = 300,
#'         n_types = 3, seed = 1)
#'     sim <- runSAILERX(sim, n_latent = 8, max_steps = 30)
#'     SingleCellExperiment::reducedDim(sim[["atac"]], "SAILERX")[1:3, 1:4]
#'
#'     # New cells need no RNA.
#'     atac <- projectCells(sim[["atac"]][, 1:50], reference = sim)
#' }
#' @name runSAILERX
NULL

#' @rdname runSAILERX
#' @export
setMethod("runSAILERX", "ANY", function(
    x, rna = NULL, atac = NULL, reference = "PCA", unpaired = NULL, batch = NULL, ...,
    layer = NULL, n_latent = 50, seed = 0L, name = "SAILERX", model_dir = NULL,
    verbose = TRUE) {
    call <- .userCall("runSAILERX")
    settings <- .settings(n_latent = n_latent, seed = seed, ...)
    x <- .readOne(x)
    home <- .pairedHome(x, list(rna = rna, atac = atac))
    studies <- .pairedStudies(home, list(batch = batch, layer = layer), unpaired)
    teacher <- .teacher(reference, home, rownames(studies$rna$obs))
    studies$rna$reducedDims <- teacher$values
    settings$reference <- teacher$name
    .fitPaired("sailerx", home, studies, settings, name, model_dir, verbose, call)
})

# --- the reference -----------------------------------------------------------

# @param cells names of the cells of the RNA.
# @return list(name: what the core calls it, values: named list of the matrix of cells x
#   components; an empty one where the core computes it).
.teacher <- function(reference, home, cells) {
    word <- is.character(reference) && length(reference) == 1L
    if (!word) {
        return(list(name = "given", values = list(given = .teacherRows(reference, home$parts$rna$x, cells))))
    }
    held <- .teachers(home)
    hit <- match(tolower(reference), tolower(names(held)))
    if (reference %in% names(held)) hit <- match(reference, names(held))
    usual <- tolower(reference) %in% c("pca", "x_pca")
    if (is.na(hit) && !usual) {
        .stopInput(
            sprintf("an embedding %s of the RNA", .quoted(reference)),
            if (length(held)) sprintf("the embeddings: %s", .listed(names(held))) else "none at all",
            "name one that is there, or leave reference out to have principal components computed"
        )
    }
    if (is.na(hit)) {
        return(list(name = "PCA", values = list()))
    }
    name <- if (usual) "PCA" else names(held)[hit]
    values <- .teacherRows(held[[hit]](), home$parts$rna$x, cells)
    list(name = name, values = setNames(list(values), name))
}

# Embeddings of the RNA by name, as functions that get them. One called PCA that the
# object made of another modality is none of them.
.teachers <- function(home) {
    x <- home$x
    part <- home$parts$rna
    if (.isSeurat(part$x)) {
        held <- slot(part$x, "reductions")
        other <- vapply(held, function(one) {
            home$shared && identical(attr(one, "assay.used"), home$parts$atac$assay)
        }, NA)
        held <- held[!(other & tolower(names(held)) == "pca")]
        return(lapply(held, function(one) function() attr(one, "cell.embeddings")))
    }
    of <- function(x, names) {
        lapply(setNames(names, names), function(name) {
            function() {
                z <- as.matrix(reducedDim(x, name))
                rownames(z) <- .cellKeys(x)
                z
            }
        })
    }
    own <- of(part$x, reducedDimNames(part$x))
    around <- if (home$shared) setdiff(reducedDimNames(x), c("PCA", names(own)))
    c(own, of(x, around))
}

# @return numeric matrix along `cells`, NA where the reference has no row for a cell.
.teacherRows <- function(z, x, cells) {
    if (is.data.frame(z) || is(z, "Matrix") || is(z, "LinearEmbeddingMatrix")) z <- as.matrix(z)
    if (!is.matrix(z) || !is.numeric(z)) {
        .stopInput(
            "the name of an embedding of the RNA, or a numeric matrix of cells x components",
            sprintf("an object of class %s", .quoted(class(z)[1])),
            "give reference = \"PCA\", for example"
        )
    }
    keys <- rownames(z)
    if (is.null(keys) && nrow(z) == .cellCount(x)) keys <- .cellKeys(x)
    if (is.null(keys) && nrow(z) == length(cells)) keys <- cells
    if (is.null(keys)) {
        .stopInput(
            sprintf("a reference of %d cells of the RNA x components", length(cells)),
            sprintf("%d x %d", nrow(z), ncol(z)), "name its rows by cell, or give one row for each"
        )
    }
    z <- z[match(cells, keys), , drop = FALSE]
    dimnames(z) <- NULL
    z
}
