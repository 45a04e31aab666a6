# Where features lie. R's objects count from 1 and have the end in; what crosses to
# the core is BED, which counts from 0 and leaves the end out.

# --- genes -------------------------------------------------------------------

# @param genes GRanges, EnsDb, data.frame or path; NULL where the genes bring their
#   positions themselves.
# @return NULL, the path of an existing file, or a data.frame of .bedColumns,
#   gene_name and gene_id.
.genesFor <- function(genes) {
    if (is.null(genes)) {
        return(NULL)
    }
    if (is.character(genes)) {
        return(.annotationFile(genes))
    }
    if ("EnsDb" %in% class(genes)) {
        genes <- .packageFunction("ensembldb", "genes")(genes)
    }
    if (is(genes, "GRanges")) {
        return(.genesFromRanges(genes))
    }
    if (is.data.frame(genes) || is(genes, "DataFrame")) {
        return(.genesFromFrame(as.data.frame(genes, optional = TRUE)))
    }
    .stopInput(
        "genes as a GRanges, an EnsDb, a data.frame or the path of a GTF, GFF3 or BED file",
        sprintf("an object of class %s", .quoted(class(genes)[1])), "give one of these"
    )
}

# How what .genesFor() returns crosses: a path among the settings, positions as a table.
.sentGenes <- function(genes) {
    if (is.character(genes)) list(path = genes) else list(table = genes)
}

.annotationFile <- function(path) {
    .checkPath(path, "file")
    if (!file.exists(path)) {
        .stopInput(
            "the path of a GTF, GFF3 or BED file of genes", sprintf("no file %s", .quoted(path)),
            "check the path and the working directory"
        )
    }
    normalizePath(path)
}

# A function of a package that only users of its classes have.
.packageFunction <- function(package, name) {
    if (!requireNamespace(package, quietly = TRUE)) {
        .stopEnvironment(
            sprintf("the R package %s", package), "none",
            sprintf("BiocManager::install(\"%s\")", package)
        )
    }
    getExportedValue(package, name)
}

# Columns that name a gene, by those who make annotations in R.
.geneNames <- c("gene_name", "symbol", "SYMBOL", "Name", "name", "gene")
.geneIds <- c("gene_id", "gene_ids", "ID", "ensembl_gene_id")

.genesFromRanges <- function(ranges) {
    table <- S4Vectors::mcols(ranges)
    type <- as.character(table[["type"]])
    if ("gene" %in% type) {
        # A whole annotation, as rtracklayer imports it: the lines of genes only.
        ranges <- ranges[type %in% "gene"]
        table <- S4Vectors::mcols(ranges)
    }
    genes <- .bedOf(ranges)
    genes$gene_name <- .firstColumn(table, .geneNames)
    genes$gene_id <- .firstColumn(table, .geneIds)
    # Signac's annotation has exons and no genes: a gene reaches over all of its own.
    ofParts <- length(type) > 0L && !"gene" %in% type
    # The names of parts that know their gene are not the gene's.
    if (is.null(genes$gene_name) && !(ofParts && length(genes$gene_id))) {
        genes$gene_name <- names(ranges)
    }
    .checkGenes(genes, names(table))
    if (ofParts) .spanned(genes) else genes
}

.firstColumn <- function(table, names) {
    found <- intersect(names, colnames(table))
    if (length(found)) as.character(table[[found[1]]])
}

.checkGenes <- function(genes, columns) {
    named <- intersect(c("gene_name", "gene_id"), names(genes))
    if (!nrow(genes) || !length(named)) {
        .stopInput(
            "genes with names (as names, or in a column gene_name, symbol or gene_id)",
            if (nrow(genes)) sprintf("the columns: %s", .listed(columns)) else "no gene",
            "name them: names(genes) <- genes$symbol"
        )
    }
}

# One stretch for each gene and chromosome, from its parts.
.spanned <- function(genes) {
    key <- do.call(paste, c(genes[setdiff(names(genes), c("chromStart", "chromEnd"))], sep = "\r"))
    first <- function(values) order(key, values)
    rows <- first(genes$chromStart)
    starts <- rows[!duplicated(key[rows])]
    rows <- first(-genes$chromEnd)
    ends <- rows[!duplicated(key[rows])]
    genes$chromEnd[starts] <- genes$chromEnd[ends]
    genes[sort(starts), ]
}

.genesFromFrame <- function(table) {
    ranges <- .rangesFromFrame(table)
    if (is.null(ranges)) {
        .stopInput(
            paste(
                "a table of genes with columns seqnames, start, end (from 1, as in R) or",
                "chrom, chromStart, chromEnd (from 0, as in BED)"
            ),
            sprintf("the columns: %s", .listed(names(table))),
            "rename the columns, or give a GRanges"
        )
    }
    .genesFromRanges(ranges)
}

# @return GRanges, the other columns among its own, or NULL where no columns are positions.
.rangesFromFrame <- function(table) {
    if (all(.bedColumns[1:3] %in% names(table))) {
        ranges <- .rangesFromBed(table)
        S4Vectors::mcols(ranges) <- table[setdiff(names(table), c(.bedColumns, .reservedColumns))]
    } else {
        ranges <- tryCatch(
            GenomicRanges::makeGRangesFromDataFrame(table, keep.extra.columns = TRUE),
            error = function(condition) NULL
        )
    }
    # Rows that are only counted have no names, also where some were left out.
    if (!is.null(ranges) && is.integer(.row_names_info(table, 0L))) names(ranges) <- NULL
    ranges
}

# --- features of a modality --------------------------------------------------

# Table of features for the core: positions where the object knows them, ids where
# it has them. Peaks without either tell their position by name.
# @param features names of the features, in the order of the study.
.featurePositions <- function(x, assay, features) {
    var <- data.frame(row.names = features)
    if (.isSeurat(x)) {
        bed <- .bedOfAssay(slot(x, "assays")[[assay]], length(features))
    } else {
        bed <- if (is(x, "RangedSummarizedExperiment")) .bedFromRanges(x)
        table <- rowData(x)
        if (is.null(bed) && all(.bedColumns[1:3] %in% names(table))) {
            # As .featureTable() has called it where a position lacks.
            names(table)[names(table) == "feature_strand"] <- "strand"
            bed <- as.data.frame(table[intersect(.bedColumns, names(table))])
        }
        ids <- .firstColumn(table, .geneIds)
        if (!is.null(ids)) var$gene_ids <- ids
    }
    var[names(bed)] <- bed
    var
}

# Signac's ChromatinAssay, told without Signac; the ranges of a GRanges are none themselves.
.isChromatin <- function(held) is(attr(held, "ranges"), "GRanges")

.bedOfAssay <- function(held, size) {
    if (.isChromatin(held) && length(attr(held, "ranges")) == size) .bedOf(attr(held, "ranges"))
}

# The annotation of a ChromatinAssay, for users who give no genes.
.assayAnnotation <- function(x) {
    if (!.isSeurat(x)) {
        return(NULL)
    }
    found <- lapply(slot(x, "assays"), attr, "annotation")
    found <- Filter(function(ranges) is(ranges, "GRanges") && length(ranges), found)
    if (length(found)) found[[1]]
}
