#' Gene activity from imputed peaks
#'
#' @description
#' A model of SAILERX knows how probable it is that each peak is open. `geneActivity()`
#' sums these chances over the peaks on and before each gene, and adds the result to the
#' object: chromatin in the words of genes, for markers and for a first look at types.
#'
#' @param x cells that the model can embed: an object that [runSAILERX()] returned, or
#'   projected cells with `model` given. A SingleCellExperiment, a Seurat object, or the
#'   path of an `.h5ad` or `.rds` file.
#' @param genes where the genes lie, as in [runGLUE()]: a GRanges, an EnsDb, a data.frame,
#'   or the path of a GTF, GFF3 or BED file. `NULL` takes the `rowRanges` of the RNA in `x`,
#'   or the annotation of a ChromatinAssay.
#' @param ... further settings by the names of the Python method `gene_activity`: `depth`,
#'   how many open peaks of a cell to imitate; `min_coverage` as in [projectCells()]; and
#'   `decay` of the guidance graph. `rna` and `atac` say what the two are called in `x`, as
#'   in [runSAILERX()].
#' @param model `NULL` for the model in `x`; else an object that holds one, an
#'   [IsthmusModel-class], or the folder of a saved model.
#' @param batch how the peaks are seen: `"average"` over the batches of the reference, or
#'   the names of those to imitate.
#' @param features names of the genes to give; `NULL` means those of the RNA in `x`, or all
#'   of `genes` where `x` has no RNA.
#' @param region,upstream,extend which peaks count for a gene: those on its `"combined"`
#'   body and `upstream` base pairs before it, its `"promoter"` (`upstream` base pairs
#'   before it) or its `"gene_body"`; and those up to `extend` base pairs away, with a
#'   weight that falls with the distance.
#' @param name the assay to fill.
#' @param assay,layer for cells that this model has not embedded yet: where their counts of
#'   peaks are, as in [projectCells()].
#' @param verbose whether to report progress as messages.
#'
#' @details
#' The activity of a gene is the sum of \eqn{w p} over its peaks: \eqn{p} is the chance
#' that the peak is open in the cell, as [imputeAssay()] gives it, and \eqn{w} the weight
#' of the peak, 1 on the window of the gene and \eqn{((d + 1000) / 1000)^{-0.75}} at
#' \eqn{d} base pairs from it (`decay = FALSE` makes it 1). All cells are shown at one
#' depth. Long genes with many peaks have high values, so that genes are compared between
#' cells and not with each other.
#'
#' All peaks of the model count, also those that `x` lacks. They are placed by the
#' `rowRanges` or the ranges of a ChromatinAssay in `x`, or by their names, such as
#' `chr1:100-200`. Genes without a peak are left out.
#'
#' The values are held in memory: 8 bytes for each cell and gene. Name fewer genes with
#' `features` where that is too much.
#'
#' Seurat does not allow `_` in feature names. The new assay then has `-`, and
#' `misc$isthmus$featureNames` maps one to the other.
#'
#' @return the object given, with one of these added:
#' * `altExp(x, "activity")` with the genes and an assay of the same name; or
#'   `assay(x, "activity")`, where the genes are all the rows of `x`;
#' * for Seurat an assay `activity` with the values in layer `data`.
#'
#' The values are a matrix of genes by cells, 0 or more, on no absolute scale. The record is
#' in `metadata(x)$isthmus$activity` or `misc$isthmus$activity`.
#' @references
#' Cao Y, Fu L, Wu J, Peng Q, Nie Q, Zhang J, Xie X (2022). Integrated analysis of
#' multimodal single-cell data with structural similarity. *Nucleic Acids Research* 50,
#' e121. \doi{10.1093/nar/gkac781}. The weights are those of GLUE's guidance graph: Cao ZJ,
#' Gao G (2022), *Nature Biotechnology* 40, 1458-1466. \doi{10.1038/s41587-022-01284-4}
#' @seealso [runSAILERX()] for the model, [imputeAssay()] for the peaks themselves.
#' @examples
#' if (isthmusReady()) {
#'     sim <- simulateMultiome(n_cells = 200, n_genes = 100, n_peaks = 300,
#'         n_types = 3, seed = 1)
#'     sim <- runSAILERX(sim, n_latent = 8, max_steps = 30)
#'     genes <- SummarizedExperiment::rowRanges(sim[["rna"]])
#'     atac <- geneActivity(sim[["atac"]], genes)
#'     SingleCellExperiment::altExp(atac, "activity")
#' }
#' @name geneActivity
NULL

#' @rdname geneActivity
#' @export
setMethod("geneActivity", "SummarizedExperiment", function(
    x, genes = NULL, ..., model = NULL, batch = "average", features = NULL,
    region = "combined", upstream = 2000, extend = 0, name = "activity", assay = NULL,
    verbose = TRUE) {
    x <- .asSCE(x)
    .checkImputedSCE(x, name, "activity")
    settings <- .settings(batch = batch, region = region, upstream = upstream, extend = extend, ...)
    made <- .activity(x, .activityModel(x, model), genes, features, settings,
        list(assay = assay), verbose)
    x <- .putImputedSCE(x, made$values, name)
    .setImputed(x, "activity", name, made$provenance)
})

#' @rdname geneActivity
#' @export
setMethod("geneActivity", "ANY", function(
    x, genes = NULL, ..., model = NULL, batch = "average", features = NULL,
    region = "combined", upstream = 2000, extend = 0, name = "activity", assay = NULL,
    layer = NULL, verbose = TRUE) {
    if (!.isSeurat(x)) .refuseClass(x)
    call <- .userCall("geneActivity")
    .checkImputedSeurat(x, name, "activity")
    settings <- .settings(batch = batch, region = region, upstream = upstream, extend = extend, ...)
    made <- .activity(x, .activityModel(x, model), genes, features, settings,
        list(assay = assay, layer = layer), verbose)
    x <- .putImputedSeurat(x, made$values, name)
    x <- .setImputed(x, "activity", name, made$provenance)
    .logSeurat(x, "geneActivity", .seuratAssayName(x, assay), made$provenance$settings, call)
})

#' @rdname geneActivity
#' @export
setMethod("geneActivity", "character", function(x, ...) {
    geneActivity(readStudy(x), ...)
})

.activityModel <- function(x, model) {
    model <- if (is.null(model)) .modelOfSystem(x, "sailerx") else isthmusModel(model)
    if (model@system == "sailerx") {
        return(model)
    }
    .stopInput(
        "a model of SAILERX, which imputes peaks", sprintf("a model of %s", .quoted(model@system)),
        "fit one with runSAILERX()"
    )
}

# @return list(values = matrix, genes x cells, provenance).
.activity <- function(x, model, genes, features, settings, place, verbose) {
    told <- .pairedPlace(settings, place, model)
    settings <- told$settings
    place <- Filter(Negate(is.null), told$place)
    parts <- list(
        rna = .rnaPart(x, model, place$rna),
        atac = .shownParts(x, model, place)$atac
    )
    genes <- .activityGenes(x, genes, parts$rna)
    sent <- .sentGenes(genes)
    tables <- list(
        genes = sent$table, rna = .wantedGenes(parts$rna, features),
        peaks = .peakPositions(parts$atac, model)
    )
    # What the RNA is called has no part in how cells are embedded.
    study <- .embeddedStudy(x, model, place[setdiff(names(place), "rna")], settings,
        c("batch", "region", "upstream", "extend", "decay", "depth"))
    .checkAllCells(x, study)
    result <- .core("gene_activity", .bundle(list(atac = study), tables), c(
        list(folder = .modelFolder(model), genes = sent$path), settings
    ), verbose)
    values <- .namedValues(result$values, result$features, as.character(unlist(result$cells)))
    list(
        values = values[, .cellKeys(x), drop = FALSE],
        provenance = .provenance("gene_activity", model@system, settings, study, model = .modelId(model))
    )
}

# --- genes and peaks ---------------------------------------------------------

# The RNA in x: what the user names; or the first that was it in the fit, or usually is,
# and has none of the model's peaks.
.rnaPart <- function(x, model, named = NULL) {
    if (!is.null(named)) {
        return(.partOfOne(x, named))
    }
    usual <- c(model@provenance$places["rna"], if (.isSeurat(x)) "RNA" else "main")
    held <- if (.isSeurat(x)) names(slot(x, "assays")) else c("main", altExpNames(x))
    parts <- lapply(intersect(usual, held), .partOfOne, x = x)
    Find(function(part) !any(.spelling(part, model) %in% model@features), parts)
}

.spelling <- function(part, model) .modelSpelling(.partFeatures(part), model@features)

# What runGLUE() takes and refuses; without RNA in x there is only the user's word, or
# that of a ChromatinAssay.
# @return NULL where the RNA knows, a path, or a data.frame.
.activityGenes <- function(x, genes, rna) {
    if (is.null(rna)) {
        if (is.null(genes)) genes <- .assayAnnotation(x)
        if (is.null(genes)) .refuseGeneless("rna")
    }
    .guidance(genes, NULL, list(rna = rna))$genes
}

# @return NULL for every gene, or a table with a row for each.
.wantedGenes <- function(rna, features) {
    known <- if (!is.null(rna)) {
        names <- .partFeatures(rna)
        .checkNames(names, "feature")
        .featurePositions(rna$x, rna$assay, names)
    }
    if (is.null(features)) {
        return(known)
    }
    if (!is.character(features) || !length(features)) {
        .stopInput(
            "names of genes as features", sprintf("%d values of class %s", length(features),
                .quoted(class(features)[1])), "leave features out for all of them"
        )
    }
    if (is.null(known)) {
        return(data.frame(row.names = unique(features)))
    }
    unknown <- setdiff(features, rownames(known))
    if (length(unknown)) {
        .stopInput(
            sprintf("genes among the %d of the RNA", nrow(known)),
            sprintf("%d that it does not have: %s", length(unknown), .listed(unknown, 5L)),
            "spell them as the RNA does"
        )
    }
    known[unique(features), , drop = FALSE]
}

# @return NULL where no positions are known, or a table of them by the model's names.
.peakPositions <- function(atac, model) {
    if (is.null(atac)) {
        return(NULL)
    }
    spelt <- .spelling(atac, model)
    table <- .featurePositions(atac$x, atac$assay, .partFeatures(atac))
    bed <- intersect(.bedColumns, names(table))
    if (!all(.bedColumns[1:3] %in% bed)) {
        return(NULL)
    }
    rows <- spelt %in% model@features & stats::complete.cases(table[.bedColumns[1:3]])
    if (any(rows)) data.frame(table[rows, bed], row.names = spelt[rows])
}
