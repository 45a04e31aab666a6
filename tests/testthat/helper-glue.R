# A multiome of a few cells with known positions, and a core that answers as GLUE does
# with numbers that can be followed.

glueGenes <- function(n = 30L) {
    GenomicRanges::GRanges(
        rep(c("chr1", "chr2"), length.out = n),
        IRanges::IRanges(1000L * seq_len(n) + 1L, width = 500L),
        strand = rep(c("+", "-", "+"), length.out = n), gene_name = paste0("gene", seq_len(n))
    )
}

# Two studies that share neither cells nor features.
glueRna <- function(n = 20L, placed = TRUE) {
    x <- smallSCE(nCells = n, nGenes = 30L)
    if (placed) {
        ranges <- glueGenes()
        names(ranges) <- ranges$gene_name
        S4Vectors::mcols(ranges) <- SummarizedExperiment::rowData(x)
        SummarizedExperiment::rowRanges(x) <- ranges
    }
    x
}

glueAtac <- function(n = 16L, prefix = "nucleus") {
    x <- smallSCE(nCells = n, nGenes = 30L, seed = 5L)
    colnames(x) <- paste0(prefix, seq_len(n))
    rownames(x) <- sprintf("chr%d-%d-%d", rep(1:2, 15), 500L * (1:30) + 1L, 500L * (1:30) + 200L)
    x
}

glueList <- function() list(rna = glueRna(), atac = glueAtac())

glueMAE <- function() {
    skip_if_not_installed("MultiAssayExperiment")
    studies <- glueList()
    cells <- unlist(lapply(studies, colnames), use.names = FALSE)
    MultiAssayExperiment::MultiAssayExperiment(
        MultiAssayExperiment::ExperimentList(studies),
        colData = S4Vectors::DataFrame(sex = seq_along(cells), row.names = cells),
        sampleMap = S4Vectors::DataFrame(
            assay = factor(rep(names(studies), lengths(lapply(studies, colnames))), names(studies)),
            primary = cells, colname = cells
        )
    )
}

# A MultiAssayExperiment that alone knows the cells, under names of its own. Its rows
# are in the order of no experiment, and those of a cell are the first study's.
outerMAE <- function(studies) {
    skip_if_not_installed("MultiAssayExperiment")
    cells <- unlist(lapply(studies, colnames), use.names = FALSE)
    table <- do.call(rbind, unname(lapply(studies, SummarizedExperiment::colData)))
    table <- table[!duplicated(rownames(table)), ]
    table <- table[order(rownames(table), decreasing = TRUE), ]
    rownames(table) <- paste0("sample_", rownames(table))
    bare <- lapply(studies, function(x) {
        SummarizedExperiment::colData(x) <- NULL
        x
    })
    MultiAssayExperiment::MultiAssayExperiment(
        MultiAssayExperiment::ExperimentList(bare), colData = table,
        sampleMap = S4Vectors::DataFrame(
            assay = factor(rep(names(studies), vapply(studies, ncol, 1L)), names(studies)),
            primary = paste0("sample_", cells), colname = cells
        )
    )
}

# Both modalities of the same cells in one object.
glueSeurat <- function(foreign = FALSE) {
    skip_if_not_installed("SeuratObject")
    x <- suppressWarnings(SeuratObject::CreateSeuratObject(
        SummarizedExperiment::assay(glueRna(), "counts"),
        meta.data = as.data.frame(SummarizedExperiment::colData(glueRna()))
    ))
    counts <- SummarizedExperiment::assay(glueAtac(20L, "cell"), "counts")
    peaks <- SeuratObject::CreateAssayObject(counts)
    attr(peaks, "key") <- "peaks_"
    if (foreign) {
        ranges <- GenomicRanges::GRanges(sub("-", ":", rownames(counts)))
        attr(peaks, "ranges") <- ranges
        # Signac's annotation has parts of genes, one a row, and no genes.
        parts <- rep(glueGenes(), each = 2L)
        GenomicRanges::end(parts)[c(TRUE, FALSE)] <- GenomicRanges::start(parts)[c(TRUE, FALSE)] + 10L
        GenomicRanges::start(parts)[c(FALSE, TRUE)] <- GenomicRanges::end(parts)[c(FALSE, TRUE)] - 10L
        parts$type <- "exon"
        attr(peaks, "annotation") <- parts
        attr(peaks, "class") <- structure("ChromatinAssay", package = "Signac")
    }
    assays <- attr(x, "assays")
    assays$peaks <- peaks
    attr(x, "assays") <- assays
    x
}

glueAlt <- function() {
    x <- glueRna()
    peaks <- glueAtac(20L, "cell")
    SummarizedExperiment::colData(peaks) <- NULL
    SingleCellExperiment::altExp(x, "ATAC") <- peaks
    x
}

# A cell's embedding is its sum of counts times 1, 2, ..., a feature's its length of name.
mockGlue <- function(verb, study, params) {
    switch(verb,
        fit_glue = mockFitGlue(study, params),
        links = list(links = mockLinks(mockGlueModel(params)$features, params)),
        project = list(
            embedding = mockSums(study, mockGlueModel(params)$n_latent),
            coverage = list(n_reference = 5, n_found = 5, missing = character())
        ),
        labels = mockVotes(study, params),
        predict = mockNames(mockGlueModel(params)$labels, nrow(study$obs)),
        impute = list(
            features = c("gene1", "gene2"), values = rbind(study$reducedDims$embedding[, 1], 2)
        ),
        info = mockGlueModel(params),
        report_modalities = list(file = params$file),
        umap = list(umap = unname(study$reducedDims$embedding[, 1:2])),
        consistency = list(consistency = data.frame(
            n_metacells = as.numeric(params$n_metacells), consistency = 0.1, n_shared = 3L
        )),
        genes = list(genes = data.frame(
            chrom = "chr1", chromStart = 0, chromEnd = 10, strand = "+", gene_name = basename(params$path)
        )),
        mockCore(verb, study, params)
    )
}

mockSums <- function(study, n) outer(unname(Matrix::colSums(studyMatrix(study))), seq_len(n))

mockGlueModel <- function(params) readRDS(file.path(params$folder, "arrays.safetensors"))

# The label of the reference cell whose number is the query's, and its rank in the source.
mockVotes <- function(study, params) {
    known <- unlist(params$labels)
    n <- nrow(study$obs)
    list(label = known[seq_len(n)], confidence = seq_len(n) / n)
}

# The labels in turn, less and less sure.
mockNames <- function(labels, n) list(label = rep_len(labels, n), confidence = 1 / seq_len(n))

mockFitGlue <- function(bundle, params) {
    message("epoch 1: loss 1.0")
    n <- params$n_latent
    z <- lapply(bundle$studies, mockSums, n)
    features <- lapply(bundle$studies, function(study) rev(rownames(study$var))[-1])
    features <- unlist(features, use.names = FALSE)
    described <- list(
        manifest = list(system = "glue", id = sprintf("%.3f", sum(unlist(z))), settings = list(
            batch_key = params$batch_key, seed = params$seed
        )),
        n_latent = n, history = data.frame(epoch = 1:2, train_loss = c(2, 1)),
        modalities = names(bundle$studies),
        cells = lapply(bundle$studies, function(study) rownames(study$obs)), features = features,
        labels = mockTaught(bundle, params$labels_key)
    )
    dir.create(params$folder)
    saveRDS(described, file.path(params$folder, "arrays.safetensors"))
    writeLines("{}", file.path(params$folder, "manifest.json"))
    result <- c(list(embeddings = z, feature_embedding = outer(nchar(features), seq_len(n))), described)
    if (!length(described$labels)) {
        return(result)
    }
    said <- lapply(described$cells, function(cells) mockNames(described$labels, length(cells)))
    c(result, list(label = lapply(said, `[[`, "label"), confidence = lapply(said, `[[`, "confidence")))
}

# Labels that any modality has.
mockTaught <- function(bundle, keys) {
    given <- lapply(names(keys), function(name) as.character(bundle$studies[[name]]$obs[[keys[[name]]]]))
    sort(unique(unlist(given)))
}

# Every peak with the first two genes; the last link has no place.
mockLinks <- function(features, params) {
    peaks <- utils::head(grep("^chr", features, value = TRUE), 4L)
    table <- data.frame(peak = rep(peaks, 2L), gene = rep(c("gene1", "gene2"), each = length(peaks)))
    parts <- do.call(rbind, strsplit(table$peak, "-", fixed = TRUE))
    k <- seq_len(nrow(table))
    cbind(table, data.frame(
        score = cos(k), zscore = k, pvalue = k / 1000, qvalue = k / 100, distance = 100 * k, n_null = 1000,
        sign = 1L, weight = 0.5, chrom = factor(parts[, 1]), peak_start = as.integer(parts[, 2]) - 1L,
        peak_end = as.integer(parts[, 3]), tss = c(rep(c(1000L, 2499L), each = length(peaks))[-8], NA),
        strand = rep(c("+", "-"), each = length(peaks))
    ))
}

glued <- function(x, ...) suppressMessages(runGLUE(x, n_latent = 3, ...))
