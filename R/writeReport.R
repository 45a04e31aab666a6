#' A report of an integration, as one HTML page
#'
#' @description
#' Draws and scores what was done to a reference and, if given, to a query: maps
#' before and after integration by batch and by label, scores, the query over the
#' reference with the labels it got, its coverage, the genes that support them,
#' the training curve, and how all was made. The pictures are inside the page, so
#' that it can be mailed and opened anywhere.
#'
#' @param reference an object that [runSCALEX()] or [runScDREAMER()] returned; or all that
#'   [runGLUE()] returned.
#' @param query cells that [projectCells()] placed in its embedding, if possible
#'   with labels from [transferLabels()]; or `NULL`. There is none of GLUE.
#' @param file the `.html` file to write.
#' @param labels the column of the reference's cell data with labels, or `NULL`.
#'   Where the query has a column of this name too, the labels it got are compared
#'   with it; they never play a part in the transfer. Of GLUE, modalities that lack it show
#'   the labels that the model gave them.
#' @param markers a named list of character vectors, genes by cell type or topic,
#'   whose means in the query are shown. `NULL` takes the genes that mark the
#'   labels in the reference.
#' @param batch the batches of the reference, as they were given to the fit;
#'   `NULL` takes these.
#' @param name which model, where the reference holds several: the name of its
#'   embedding.
#' @param query_values what the query's assay holds, as `values` in
#'   [projectCells()]; `NULL` means the same as in the reference.
#' @param assays,layer of GLUE what was read, as in [runGLUE()].
#' @param title the title of the page.
#' @param notes a named list of paragraphs of yours for the sections `summary`,
#'   `batches`, `labels`, `scores`, `query`, `markers` and `training`; of GLUE also
#'   `modalities`, `consistency` and `links`.
#' @param facts a named list of further rows for the last table, such as times.
#' @param overwrite whether an existing file may be replaced.
#' @param verbose whether to report progress as messages.
#'
#' @details
#' The page of GLUE shows all modalities in one map, whether linked features agree in the
#' aligned cells ([integrationConsistency()]), where labels went, and the best links
#' ([peakGeneLinks()]).
#'
#' The picture before integration shows principal components of the very values
#' that the model was fitted on. Of more than 20,000 cells a random sample is drawn
#' and scored, and the page says so. Needs matplotlib in the Python of isthmus.
#'
#' @return the path of the file, invisibly.
#' @seealso [runSCALEX()], [runGLUE()], [projectCells()], [transferLabels()] make what it shows.
#' @examples
#' if (isthmusReady()) {
#'     sim <- simulateMultiome(n_cells = 400, seed = 1)
#'     sce <- runSCALEX(sim[["rna"]], batch = "batch", max_steps = 50)
#'     file <- tempfile(fileext = ".html")
#'     writeReport(sce, file = file, labels = "cell_type")
#' }
#' @export
writeReport <- function(
    reference, query = NULL, file = "report.html", labels = NULL, markers = NULL,
    batch = NULL, name = NULL, query_values = NULL, assays = NULL, layer = NULL, title = NULL,
    notes = NULL, facts = NULL, overwrite = FALSE, verbose = TRUE) {
    .checkReportFile(file, overwrite)
    model <- isthmusModel(reference, name = name)
    .checkReported(model)
    words <- list(title = title, notes = .filled(notes),
        facts = .filled(c(facts, list(R = as.character(getRversion())))))
    if (.isMultiModal(model)) {
        .checkNoQuery(query = query, markers = markers, batch = batch, query_values = query_values)
        .reportModalities(reference, model, file, labels, assays, layer, words, verbose)
        return(invisible(file))
    }
    held <- .heldModels(reference)
    name <- if (is.null(name)) names(held)[1] else name
    below <- .reportReference(reference, model, name, labels, batch)
    above <- if (!is.null(query)) .reportQuery(query, model, labels, query_values)
    inputs <- .core("report_inputs", below$study, list(
        folder = .modelFolder(model), labels = below$label,
        among = if (!is.null(above)) I(rownames(above$study$var))
    ), verbose)
    if (is.null(markers)) markers <- inputs$markers
    study <- .reportStudy(below, above, inputs$before, unique(unlist(markers)))
    .core("report", study, c(list(
        folder = .modelFolder(model), file = normalizePath(file, mustWork = FALSE),
        markers = if (length(markers)) lapply(markers, function(genes) I(as.character(unlist(genes)))),
        coverage = above$coverage
    ), words), verbose)
    invisible(file)
}

.checkReportFile <- function(file, overwrite) {
    .checkPath(file, "file")
    if (tolower(tools::file_ext(file)) != "html") {
        .stopInput("a file that ends in .html", .quoted(basename(file)), "name it report.html, for example")
    }
    .refuseExisting(file, overwrite)
}

# Of batches of one feature set, or of modalities that share no cells.
.checkReported <- function(model) {
    if (model@system %in% c("scalex", "scdreamer", "glue")) {
        return(invisible(NULL))
    }
    .stopInput(
        "a model of SCALEX, scDREAMER or GLUE", sprintf("a model of %s", .quoted(model@system)),
        "draw its embedding with your usual plots"
    )
}

# --- modalities --------------------------------------------------------------

.checkNoQuery <- function(...) {
    given <- names(Filter(Negate(is.null), list(...)))
    if (length(given)) {
        .stopInput(
            "the modalities that the model was fitted to, without a query", sprintf("%s =", given[1]),
            sprintf("leave %s out", given[1])
        )
    }
}

.reportModalities <- function(x, model, file, labels, assays, layer, words, verbose) {
    x <- .readOne(x)
    if (!is.null(labels)) .columnOfMany(x, .alignedCells(x, model), labels, "labels")
    studies <- .fittedStudies(x, model, assays, layer)
    for (modality in names(studies)) {
        holder <- .experimentOf(x, modality)
        rows <- match(rownames(studies[[modality]]$obs), .cellKeys(holder))
        given <- .givenLabels(holder, model, if (.isShared(x)) modality)
        for (column in intersect(c(labels, given), colnames(.cellData(holder)))) {
            place <- if (column %in% given) "given" else "own"
            studies[[modality]]$obs[[place]] <- as.character(.cellData(holder)[[column]])[rows]
        }
    }
    .core("report_modalities", .bundle(studies), c(list(
        folder = .modelFolder(model), file = normalizePath(file, mustWork = FALSE),
        labels_key = if (!is.null(labels)) "own"
    ), words), verbose)
}

# The column of labels that the model gave the cells, if any.
# @param modality which, where one object holds several; else NULL.
.givenLabels <- function(x, model, modality) {
    fitted <- unlist(lapply(.copiesHeld(x, model), function(held) held@provenance$columns))
    if (!is.null(modality)) {
        return(grep(sprintf("_%s_label$", modality), fitted, value = TRUE)[1])
    }
    c(.records(x)[["labels"]][["columns"]], fitted)[1]
}

# --- cells of a report -------------------------------------------------------

# @return list(study, z, values, batch, label): along the cells of the study.
.reportReference <- function(x, model, name, labels, batch) {
    made <- model@provenance
    if (is.null(batch)) batch <- .batchesMade(x, made)
    study <- .placedStudy(x, model, name, made$assay, NULL, batch)
    cells <- rownames(study$obs)
    label <- if (!is.null(labels)) .labelColumn(x, labels)[cells]
    list(
        study = study, z = .embeddingRows(x, name, cells), values = .modelValues(model),
        batch = if (!is.null(study$batch)) study$obs[[study$batch]],
        label = if (!is.null(label)) unname(label), levels = .labelOrder(x, labels)
    )
}

# @return list(study, z, values, label, confidence, truth, coverage).
.reportQuery <- function(x, model, labels, values) {
    projection <- .projectionBy(x, model)
    if (is.null(projection)) {
        .stopInput(
            "a query that was projected onto the reference", "cells without a projection",
            "use query <- projectCells(query, reference) first"
        )
    }
    name <- projection$name
    made <- projection$provenance
    if (is.null(values)) values <- .modelValues(model)
    study <- .placedStudy(x, model, name, made$assay, values)
    cells <- rownames(study$obs)
    columns <- .records(x)[["labels"]][["columns"]]
    table <- .cellData(x)[match(cells, .cellKeys(x)), , drop = FALSE]
    numbers <- c("n_reference", "n_found", "share", "weighted")
    list(
        study = study, z = .embeddingRows(x, name, cells), values = values,
        label = if (length(columns)) as.character(table[[columns[1]]]),
        confidence = if (length(columns)) as.numeric(table[[columns[2]]]),
        truth = if (!is.null(labels) && labels %in% colnames(table)) as.character(table[[labels]]),
        coverage = lapply(projection$coverage[numbers], as.numeric)
    )
}

.modelValues <- function(model) {
    values <- model@provenance$settings$values
    if (is.null(values)) model@manifest$settings$values else values
}

# The study that an embedding was made from.
# @param main what the record calls its assay: of an SCE, or the layer of Seurat.
.placedStudy <- function(x, model, name, main, values, batch = NULL) {
    if (!.isSeurat(x)) {
        return(.queryStudy(x, model, main, NULL, values, batch))
    }
    used <- attr(slot(x, "reductions")[[name]], "assay.used")
    .queryStudy(x, model, if (length(used)) used, main, values, batch)
}

.embeddingRows <- function(x, name, cells) {
    z <- if (.isSeurat(x)) {
        attr(slot(x, "reductions")[[name]], "cell.embeddings")
    } else if (name %in% reducedDimNames(x)) {
        reducedDim(x, name)
    }
    if (is.null(z)) {
        .stopInput(
            sprintf("the embedding %s in the object", .quoted(name)), "no such embedding",
            "keep it, or fit or project again"
        )
    }
    z <- as.matrix(z)
    keys <- if (is.null(rownames(z))) .cellKeys(x) else rownames(z)
    unname(z[match(cells, keys), , drop = FALSE])
}

# The user's order of the labels, if they have one.
.labelOrder <- function(x, labels) {
    if (is.null(labels)) {
        return(NULL)
    }
    values <- .cellData(x)[[labels]]
    if (is.factor(values)) levels(values) else sort(unique(as.character(values)))
}

# --- one study of both -------------------------------------------------------

# Reference and query below each other, with their marker genes as features.
.reportStudy <- function(below, above, before, genes) {
    sides <- Filter(Negate(is.null), list(reference = below, query = above))
    n <- vapply(sides, function(side) nrow(side$z), integer(1))
    role <- rep(names(sides), n)
    obs <- data.frame(
        role = role, row.names = paste(role, unlist(lapply(n, seq_len)), sep = ".")
    )
    column <- function(field) {
        unlist(lapply(names(sides), function(side) {
            values <- sides[[side]][[field]]
            if (is.null(values)) rep(NA, n[[side]]) else as.vector(values)
        }))
    }
    for (field in c("batch", "label", "confidence", "truth")) obs[[field]] <- column(field)
    if (!is.null(below$batch)) obs$batch <- factor(obs$batch, levels(below$batch))
    order <- c(below$levels, setdiff(sort(unique(obs$label)), below$levels))
    obs$label <- factor(as.character(obs$label), order)
    obs <- obs[vapply(obs, function(values) !all(is.na(values)), logical(1))]
    expression <- do.call(cbind, lapply(sides, .markerRows, genes = genes))
    # NaN and not NA, which Python cannot narrow to four bytes without a warning.
    absent <- matrix(NaN, nrow(obs) - nrow(before), ncol(before))
    list(
        assays = list(X = expression), main = "X", obs = obs,
        var = data.frame(row.names = genes),
        reducedDims = list(
            embedding = do.call(rbind, lapply(unname(sides), `[[`, "z")),
            before = rbind(unname(before), absent)
        ),
        altExps = list()
    )
}

# Log-normalised expression of some genes, genes x cells; NaN where not measured.
.markerRows <- function(side, genes) {
    m <- side$study$assays[[1]]
    features <- rownames(side$study$var)
    hit <- match(genes, features)
    out <- matrix(NaN, length(genes), ncol(m), dimnames = list(genes, NULL))
    if (all(is.na(hit))) {
        return(out)
    }
    rows <- as.matrix(m[hit[!is.na(hit)], , drop = FALSE])
    if (!identical(side$values, "lognorm")) {
        depth <- if (.isDelayed(m)) DelayedArray::colSums(m) else Matrix::colSums(m)
        rows <- log1p(rows / rep(pmax(depth, 1), each = nrow(rows)) * 1e4)
    }
    out[!is.na(hit), ] <- rows
    out
}

# Texts and numbers for Python: without what is not there.
.filled <- function(x) {
    x <- Filter(Negate(is.null), as.list(x))
    if (length(x)) x
}
