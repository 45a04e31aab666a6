#' Integrate modalities that share no cells with GLUE
#'
#' @description
#' Fits GLUE, which brings cells of different modalities (such as RNA and chromatin
#' accessibility) into one embedding although they share neither cells nor features: a
#' guidance graph says which features have to do with each other. Genes and peaks get
#' an embedding too, from which [peakGeneLinks()] infers regulation.
#'
#' @param x the modalities: a `MultiAssayExperiment`; a named list of
#'   SingleCellExperiment or Seurat objects, or of paths of `.h5ad` and `.rds` files; a
#'   named vector of paths; or one Seurat object or SingleCellExperiment that holds
#'   several modalities of the same cells, with `assays`; or the path of an `.rds` file with
#'   any of these objects. The modality `rna`, or else the first, has the genes.
#' @param genes where the genes lie: a GRanges (such as what rtracklayer imports), an
#'   EnsDb, a data.frame (`seqnames`, `start`, `end` from 1, or `chrom`, `chromStart`,
#'   `chromEnd` from 0 as in BED; `strand`, `gene_name` or `gene_id`), or the path of a
#'   GTF, GFF3 or BED file, which may be compressed. `NULL` takes the `rowRanges` of the
#'   genes, or the annotation of a ChromatinAssay.
#' @param ... further settings by the names of the Python function `isthmus.tl.glue`, for
#'   example `max_steps`, `n_features`, `likelihoods`, `representations`, `link_steps`,
#'   `batch_size`, `n_hidden` or `accelerator`, and `decay` of the guidance graph. What
#'   is said by modality is a named list.
#' @param assays what to read, by the names of the modalities: of one Seurat object its
#'   assays, `c(rna = "RNA", atac = "peaks")`; of one SingleCellExperiment its alternative
#'   experiments and `"main"`; of several objects the assay of each, where it is not the
#'   default assay or `"counts"`.
#' @param batch,labels batches, and cell types to learn from (any share may be missing):
#'   one column name for all modalities, or a named list with a column name or a vector
#'   for each modality that has them, `list(rna = "donor", atac = atac$sample)`. Of one
#'   object with several modalities also one vector. A column that an experiment of a
#'   MultiAssayExperiment lacks is taken from the `colData` of the whole. With labels every
#'   cell of all modalities gets one.
#' @param edges the user's own guidance graph instead of one from positions: a data.frame
#'   with the columns `source` (gene), `target` (feature of another modality), and if
#'   there are any `sign` (1 or -1) and `weight` (above 0, up to 1). Positions then only
#'   tell [peakGeneLinks()] where the links lie. [guidanceGraph()] gives those from positions
#'   in this form, to be merged with others or filtered.
#' @param region,upstream,extend which peaks are joined to a gene: those on its
#'   `"combined"` body and `upstream` base pairs before it, its `"promoter"` (`upstream`
#'   base pairs before it) or its `"gene_body"`; and those up to `extend` base pairs
#'   away, with a weight that falls with the distance.
#' @param signs 1 or -1 for modalities other than the genes, by name: -1 where more means
#'   less expression, as methylation of gene bodies does, `c(meth = -1)`.
#' @param layer,values the Seurat layer (or the assay of an alternative experiment), and
#'   what the values are, of all modalities or by name: `"counts"` (`NULL` means these),
#'   `"lognorm"`, or `"values"` for any numbers, such as scores of methylation.
#' @param paired whether cells of the same name in two modalities are the same cell, and
#'   the model may learn from it. Which cells belong together is not used otherwise.
#' @param n_latent number of dimensions of the embedding.
#' @param n_models number of models over which the scores of links are averaged: how much
#'   there is of each feature in each group of similar cells, for each model in other groups.
#'   More make links surer, 0 leaves them out.
#' @param seed a whole number; the same seed gives the same numbers, in R and in
#'   Python. R's own random numbers are not touched.
#' @param name name of the embedding, and in small letters of Seurat reductions and the
#'   stem of the columns of labels.
#' @param model_dir a new folder to save the model in; `NULL` keeps it with the object.
#' @param verbose whether to report progress as messages.
#'
#' @details
#' Each modality has its own encoder of cells and its own decoder, and a graph encoder
#' embeds the features. A cell's value of a feature is decoded from the product of both
#' embeddings, which ties the modalities together; an adversary, which tries to tell the
#' modality from the embedding of a cell, aligns them.
#'
#' Peaks are placed by `rowRanges`, by the ranges of a ChromatinAssay (Signac need not be
#' installed), or by their names, such as `chr1:100-200` or `chr1-100-200`. Genes that
#' `genes` does not know are left out of the graph, with a warning that counts them; a
#' further warning tells where peaks and genes seem to be of different genome builds.
#'
#' Objects come back as they were given, with the results added and nothing else
#' changed. If anything fails, or the fit is interrupted, they are untouched.
#'
#' @return what was given (paths as the objects that were read), with these added:
#' * several objects: `reducedDim(x[["rna"]], "GLUE")` in each, or the Seurat reduction
#'   `glue`: a matrix of cells by `n_latent`;
#' * one object: an embedding for each modality, `reducedDim(x, "GLUE_rna")` or
#'   `x[["glue_rna"]]`, and `GLUE_atac` or `glue_atac`. They are two views of the same
#'   cells, and none is the better one;
#' * the embedding of the features, in the attribute `"rotation"` of a `reducedDim` or in
#'   the loadings of a Seurat reduction: the modality's features in the model, by
#'   `n_latent`;
#' * with labels two columns of the cell data of each object: `glue_label` (character), the
#'   type that the model's classifier gives each cell, and `glue_confidence`, its
#'   probability between 0 and 1. Of one object `glue_rna_label` and so on, for each
#'   modality. Cells whose label was given get one too;
#' * in `metadata(x)$isthmus$GLUE` or `misc$isthmus$glue` of every object, and of the
#'   MultiAssayExperiment, the fitted model, an [IsthmusModel-class]. It travels with each
#'   of them.
#' @references
#' Cao ZJ, Gao G (2022). Multi-omics single-cell data integration and regulatory
#' inference with graph-linked embedding. *Nature Biotechnology* 40, 1458-1466.
#' \doi{10.1038/s41587-022-01284-4}
#' @seealso [plotModalities()] for a map of all cells, [integrationConsistency()] for whether to
#'   trust it, [peakGeneLinks()] for the links between peaks and genes, [transferLabels()]
#'   for labels of one modality in another, [predictLabels()] for new cells where there
#'   were labels, [isthmusModel()] for the model, [makeMetacells()] to make an atlas smaller
#'   before the fit.
#' @examples
#' if (isthmusReady()) {
#'     sim <- simulateMultiome(n_cells = 200, n_genes = 100, n_peaks = 300,
#'         n_types = 3, seed = 1)
#'     sim <- runGLUE(sim, n_latent = 8, max_steps = 30, n_models = 0)
#'     SingleCellExperiment::reducedDim(sim[["atac"]], "GLUE")[1:3, 1:4]
#' }
#' @name runGLUE
NULL

#' @rdname runGLUE
#' @export
setMethod("runGLUE", "ANY", function(
    x, genes = NULL, ..., assays = NULL, batch = NULL, labels = NULL, edges = NULL,
    region = "combined", upstream = 2000, extend = 0, signs = NULL, layer = NULL,
    values = NULL, paired = FALSE, n_latent = 50, n_models = 4, seed = 0L,
    name = "GLUE", model_dir = NULL, verbose = TRUE) {
    call <- .userCall("runGLUE")
    settings <- .settings(
        region = region, upstream = upstream, extend = extend, paired = paired,
        n_latent = n_latent, n_models = n_models, seed = seed, ...
    )
    x <- .readOne(x)
    home <- .modalities(x, assays)
    parts <- home$parts
    of <- function(given, what) {
        .byModality(given, names(parts), what, cells = home$shared && what %in% c("batch", "labels"))
    }
    said <- list(batch = of(batch, "batch"), labels = of(labels, "labels"),
        layer = of(layer, "layer"), values = of(values, "values"))
    settings$signs <- .graphSigns(signs, names(parts))
    settings$values <- .filledValues(said$values)
    targets <- .glueTargets(parts, if (home$shared) x, name, length(.givenOnly(said$labels)) > 0L)
    guidance <- .guidance(genes, edges, parts)
    fitted <- .fitGlue(parts, .studiesFor(parts, said), targets, guidance, settings,
        model_dir, verbose)
    if (home$shared) {
        .intoOne(x, parts, fitted, targets, call)
    } else {
        .intoMany(x, parts, fitted, targets, call)
    }
})

# Modalities of which nothing was said hold counts.
.filledValues <- function(values) {
    if (length(.givenOnly(values))) lapply(values, function(one) if (is.null(one)) "counts" else one)
}

# --- what guides -------------------------------------------------------------

# @return list(genes = NULL, a path or a data.frame; edges = NULL or a data.frame).
.guidance <- function(genes, edges, parts) {
    if (is.null(genes) && !.knowsPositions(parts[[1]])) {
        annotations <- Filter(Negate(is.null), lapply(parts, function(part) .assayAnnotation(part$x)))
        if (length(annotations)) genes <- annotations[[1]]
        if (is.null(genes) && is.null(edges)) .refuseGeneless(names(parts)[1])
    }
    list(genes = .genesFor(genes), edges = if (!is.null(edges)) .plainEdges(edges))
}

.knowsPositions <- function(part) {
    if (.isSeurat(part$x)) {
        return(.isChromatin(slot(part$x, "assays")[[part$assay]]))
    }
    !is.null(.featurePositions(part$x, NULL, rownames(part$x))$chrom)
}

.refuseGeneless <- function(modality) {
    .stopInput(
        sprintf("positions for the genes of %s", .quoted(modality)),
        "no genes = and no rowRanges",
        "give genes = as a GRanges, an EnsDb, a data.frame or the path of a GTF, GFF3 or BED file"
    )
}

.plainEdges <- function(edges) {
    columns <- c("source", "target", "sign", "weight")
    edges <- as.data.frame(edges)
    if (!all(columns[1:2] %in% names(edges)) || !nrow(edges)) {
        .stopInput(
            "edges as a data.frame with the columns source and target, and at least one row",
            sprintf("%d rows with the columns: %s", nrow(edges), .listed(names(edges))),
            "name the genes source and the features of other modalities target"
        )
    }
    edges <- edges[intersect(columns, names(edges))]
    edges[1:2] <- lapply(edges[c("source", "target")], as.character)
    rownames(edges) <- NULL
    edges
}

# @return NULL, or list of 1 and -1 named by modality.
.graphSigns <- function(signs, names) {
    if (is.null(signs)) {
        return(NULL)
    }
    lapply(.givenOnly(.byModality(signs, names[-1], "signs")), as.integer)
}

# --- fit ---------------------------------------------------------------------

# Where each modality's embedding goes: in objects of their own under one name, in
# one object under the name and the modality.
# @param one the object that holds all modalities, or NULL.
# @param taught whether there are labels, so that columns of labels are added too.
.glueTargets <- function(parts, one, name, taught) {
    lapply(setNames(names(parts), names(parts)), function(modality) {
        part <- parts[[modality]]
        home <- if (is.null(one)) part$x else one
        record <- if (.isSeurat(home)) tolower(name) else name
        place <- if (is.null(one)) record else paste(record, modality, sep = "_")
        target <- if (.isSeurat(home)) .seuratTarget(home, place) else .sceTarget(.asSCE(home), place)
        columns <- if (taught) .labelColumns(tolower(place))
        .checkColumns(home, columns)
        c(target, list(record = record, assay = part$assay, columns = columns))
    })
}

# @return list(z, loadings, labels, each by modality; model; settings).
.fitGlue <- function(parts, studies, targets, guidance, settings, model_dir, verbose) {
    column <- function(what) lapply(studies, `[[`, what)
    folder <- .newModelFolder(model_dir)
    if (is.null(model_dir)) on.exit(unlink(folder, recursive = TRUE))
    sent <- .sentGenes(guidance$genes)
    tables <- list(genes = sent$table, edges = guidance$edges)
    result <- .core("fit_glue", .bundle(studies, tables), c(
        list(
            folder = folder, batch_key = .givenOnly(column("batch")),
            labels_key = .givenOnly(column("labels")), genes = sent$path
        ),
        settings
    ), verbose)
    cells <- lapply(studies, function(study) rownames(study$obs))
    z <- Map(.checkedEmbedding, result$embeddings[names(parts)], cells)
    kept <- if (is.null(model_dir)) .keepFolder(folder, "glue") else folder
    read <- list(main = unlist(column("main")), batch = .commonKey(column("batch")),
        source = unlist(column("source")))
    provenance <- .provenance("fit", "glue", settings, read, seed = settings$seed,
        modalities = lengths(cells), batches = unlist(column("batch")),
        labels = unlist(column("labels")),
        columns = if (length(result[["labels"]])) unique(unlist(lapply(targets, `[[`, "columns"))))
    list(
        z = z, loadings = .loadingsOf(result, studies), labels = .cellLabels(result, cells),
        settings = settings,
        model = .newModel("glue", kept, result, provenance, result$cells)
    )
}

# Rows of the feature embedding, by modality.
.loadingsOf <- function(result, studies) {
    v <- as.matrix(result$feature_embedding)
    features <- as.character(unlist(result$features))
    lapply(studies, function(study) {
        rows <- which(features %in% rownames(study$var))
        matrix(v[rows, ], length(rows), ncol(v), dimnames = list(features[rows], NULL))
    })
}

# What the classifier says of the cells, by modality; NULL where no cell had a label.
.cellLabels <- function(result, cells) {
    if (!length(result[["labels"]])) {
        return(NULL)
    }
    lapply(setNames(names(cells), names(cells)), function(name) {
        list(label = result[["label"]][[name]], confidence = result$confidence[[name]], cells = cells[[name]])
    })
}

# --- results back ------------------------------------------------------------

# Embedding, loadings and labels of one modality.
.putModality <- function(x, name, fitted, targets) {
    target <- c(targets[[name]], list(loadings = fitted$loadings[[name]]))
    said <- fitted$labels[[name]]
    x <- .putEmbedding(x, fitted$z[[name]], target, target$assay)
    if (is.null(said)) x else .putLabels(x, said, said$cells, target$columns)
}

# The record as an object holds it: with the names of its embeddings there.
.glueRecord <- function(model, embeddings) {
    model@provenance$embeddings <- embeddings
    model
}

.intoMany <- function(x, parts, fitted, targets, call) {
    done <- lapply(setNames(names(parts), names(parts)), function(name) {
        target <- targets[[name]]
        one <- .withoutOldFit(parts[[name]]$x, target$record)
        one <- .putModality(one, name, fitted, targets)
        one <- .setRecord(one, target$record, .glueRecord(fitted$model, setNames(target$name, name)))
        if (.isSeurat(one)) .logSeurat(one, "runGLUE", target$assay, fitted$settings, call) else one
    })
    if (!.isMultiAssay(x)) {
        return(done[names(x)])
    }
    for (name in names(done)) x[[name]] <- done[[name]]
    .setRecord(x, targets[[1]]$record, .glueRecord(fitted$model, NULL))
}

.intoOne <- function(x, parts, fitted, targets, call) {
    record <- targets[[1]]$record
    if (!.isSeurat(x)) x <- .asSCE(x)
    x <- .withoutOldFit(x, record)
    for (name in names(parts)) x <- .putModality(x, name, fitted, targets)
    embeddings <- vapply(targets, `[[`, "", "name")
    x <- .setRecord(x, record, .glueRecord(fitted$model, embeddings))
    if (!.isSeurat(x)) {
        return(x)
    }
    .logSeurat(x, "runGLUE", paste(vapply(targets, `[[`, "", "assay"), collapse = "."),
        fitted$settings, call)
}
