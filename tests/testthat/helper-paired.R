# RNA and ATAC of the same cells, and a core that answers as SAILERX and scI2CL do with
# numbers that can be followed. The objects with both in one are glueSeurat(), glueAlt().

pairedList <- function(nRna = 20L, nAtac = 20L) {
    list(rna = glueRna(nRna), atac = glueAtac(nAtac, "cell"))
}

pairedMAE <- function() {
    skip_if_not_installed("MultiAssayExperiment")
    studies <- pairedList()
    cells <- colnames(studies$rna)
    MultiAssayExperiment::MultiAssayExperiment(
        MultiAssayExperiment::ExperimentList(c(studies, list(adt = glueRna(20L)[1:3, ]))),
        colData = S4Vectors::DataFrame(sex = seq_along(cells), row.names = cells),
        sampleMap = S4Vectors::DataFrame(
            assay = factor(rep(c("rna", "atac", "adt"), each = 20L), c("rna", "atac", "adt")),
            primary = rep(cells, 3L), colname = rep(cells, 3L)
        )
    )
}

# --- the core ----------------------------------------------------------------

mockPaired <- function(verb, study, params) {
    switch(verb,
        fit_paired = mockFitPaired(study$studies, params),
        project = mockProjectPaired(study, mockInfo(params$folder)),
        labels = mockLabelsPaired(study, params),
        impute = mockImputePaired(study, params, mockInfo(params$folder)),
        check_labels = mockCheck(study, params),
        mockCore(verb, study, params)
    )
}

studySums <- function(study) setNames(Matrix::colSums(studyMatrix(study)), rownames(study$obs))

# A cell's number: its sum of ATAC, or of scI2CL what is there of both sums.
mockPairedNumbers <- function(studies, system) {
    sums <- lapply(unname(studies), studySums)
    cells <- unique(unlist(lapply(sums, names)))
    if (system == "sailerx") {
        return(setNames(studySums(studies$atac)[cells], cells))
    }
    total <- setNames(numeric(length(cells)), cells)
    for (one in sums) total[names(one)] <- total[names(one)] + one
    total
}

mockPairedRows <- function(studies, numbers, n) {
    lapply(studies, function(study) outer(unname(numbers[rownames(study$obs)]), seq_len(n)))
}

mockMeasured <- function(studies) {
    cells <- lapply(studies, function(study) rownames(study$obs))
    lapply(cells, function(these) {
        inRna <- these %in% cells$rna
        inAtac <- these %in% cells$atac
        ifelse(inRna & inAtac, "both", ifelse(inRna, "rna", "atac"))
    })
}

mockFitPaired <- function(studies, params) {
    message("epoch 1: loss 1.0")
    system <- params$system
    numbers <- mockPairedNumbers(studies[c("rna", "atac")], system)
    more <- if (!is.null(studies$unpaired)) studySums(studies$unpaired)
    sides <- studies[if (system == "sailerx") "atac" else c("rna", "atac")]
    features <- lapply(sides, function(study) rownames(study$var))
    model <- list(
        manifest = list(
            system = system, id = sprintf("%.3f", sum(numbers, params$seed, na.rm = TRUE)),
            facts = list(n_features = if (system == "sailerx") 30L else lapply(features, length)),
            settings = list(batch_key = params$batch_key, labels_key = params$labels_key)
        ),
        n_latent = params$n_latent, history = data.frame(epoch = 1:2, train_loss = c(2, 1)),
        features = unlist(features, use.names = FALSE),
        cells = c(names(numbers[!is.na(numbers)]), names(more)),
        sizes = list(rna = nrow(studies$rna$obs), atac = nrow(studies$atac$obs) + length(more))
    )
    dir.create(params$folder, recursive = TRUE)
    saveRDS(model, file.path(params$folder, "arrays.safetensors"))
    writeLines("{}", file.path(params$folder, "manifest.json"))
    measured <- if (system == "sci2cl") list(measured = mockMeasured(studies))
    c(list(embeddings = mockPairedRows(studies, c(numbers, more), params$n_latent)), measured, model)
}

mockProjectPaired <- function(study, model) {
    coverage <- list(n_reference = 5, n_found = 5, missing = character())
    if (!"studies" %in% names(study)) {
        z <- outer(unname(studySums(study)), seq_len(model$n_latent))
        return(list(embedding = z, coverage = coverage))
    }
    numbers <- mockPairedNumbers(study$studies, "sci2cl")
    list(
        embeddings = mockPairedRows(study$studies, numbers, model$n_latent),
        measured = mockMeasured(study$studies), coverage = lapply(study$studies, function(one) coverage)
    )
}

mockPairedCells <- function(study) {
    studies <- if ("studies" %in% names(study)) study$studies else list(study)
    unique(unlist(lapply(studies, function(one) rownames(one$obs)), use.names = FALSE))
}

# The label of the reference cell of the same name.
mockLabelsPaired <- function(study, params) {
    cells <- mockPairedCells(study)
    label <- unlist(params$labels)[match(cells, mockInfo(params$folder)$cells)]
    list(
        label = ifelse(is.na(label), "unknown", label), confidence = as.numeric(!is.na(label)), cells = cells
    )
}

# The number of the cell times the rank of the feature; the two largest with top = 2.
mockImputePaired <- function(study, params, model) {
    cells <- rev(mockPairedCells(study))
    if (!"studies" %in% names(study)) cells <- rev(cells)
    features <- if (is.null(params$features)) model$features else unlist(params$features)
    values <- outer(seq_along(features), seq_along(cells))
    if (!is.null(params$top)) values <- as(values * (values > length(features) - params$top), "CsparseMatrix")
    list(values = values, features = features, cells = cells)
}

mockCheck <- function(study, params) {
    label <- as.character(study$obs[[params$labels_key]])
    list(
        wrong = ifelse(is.na(label), NaN, seq_along(label) / length(label)),
        suggestion = ifelse(is.na(label), "type1", label)
    )
}

# --- what is asked of all ----------------------------------------------------

paired <- function(run, x, ...) suppressMessages(run(x, n_latent = 3, ...))

# The object without what isthmus added.
pairedBare <- function(x) {
    columns <- c(
        "sci2cl_measured", paste0("check_", c("wrong", "suggestion")),
        as.vector(outer(c("sailerx", "sci2cl"), c("_label", "_confidence"), paste0))
    )
    if (is(x, "SingleCellExperiment")) {
        for (name in intersect(c("SAILERX", "SCI2CL"), SingleCellExperiment::reducedDimNames(x))) {
            SingleCellExperiment::reducedDim(x, name) <- NULL
        }
        kept <- setdiff(names(SummarizedExperiment::colData(x)), columns)
        SummarizedExperiment::colData(x) <- SummarizedExperiment::colData(x)[kept]
        S4Vectors::metadata(x)$isthmus <- NULL
        return(x)
    }
    x@misc <- x@reductions <- x@commands <- list()
    x@meta.data <- x@meta.data[setdiff(names(x@meta.data), columns)]
    x
}

# --- the real core -----------------------------------------------------------

# One simulated multiome, made once a run, and fits of seconds.
simulatedPair <- local({
    made <- NULL
    function() {
        if (is.null(made)) {
            made <<- suppressMessages(simulateMultiome(
                n_cells = 90, n_genes = 60, n_peaks = 200, n_types = 3, seed = 1
            ))
        }
        made
    }
})

pairApart <- function(sim = simulatedPair()) list(rna = sim[["rna"]], atac = sim[["atac"]])

pairAlt <- function(sim = simulatedPair()) {
    x <- sim[["rna"]]
    SingleCellExperiment::altExp(x, "ATAC") <- sim[["atac"]]
    x
}

pairSeurat <- function(sim = simulatedPair()) {
    skip_if_not_installed("SeuratObject")
    counts <- function(name) as(SummarizedExperiment::assay(sim[[name]], "counts"), "CsparseMatrix")
    x <- SeuratObject::CreateSeuratObject(
        counts("rna"), meta.data = as.data.frame(SummarizedExperiment::colData(sim[["rna"]]))
    )
    x[["peaks"]] <- SeuratObject::CreateAssayObject(counts("atac"))
    x
}

# The embedding, cells x dimensions, whatever holds it.
latentOf <- function(x, system) {
    z <- unname(embeddingOf(x, system = system))
    attributes(z) <- list(dim = dim(z))
    z
}
