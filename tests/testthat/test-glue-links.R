mcolsOf <- S4Vectors::mcols
linked <- function(...) {
    localCore(core = mockGlue, env = parent.frame())
    suppressMessages(peakGeneLinks(glued(glueList()), ...))
}

test_that("links reach from the middle of the peak to the transcription start", {
    log <- localCore(core = mockGlue)
    done <- glued(glueList())
    asked <- list(fdr = 0.1, alternative = "two-sided", null = "shuffled", n_null = 5000)
    expect_message(links <- do.call(peakGeneLinks, c(list(done), asked)), "1 of 8 links are left out")
    expect_identical(lastCall(log)$params[names(asked)], asked)
    expect_identical(
        names(mcolsOf(links))[1:7],
        c("score", "gene", "peak", "zscore", "pvalue", "qvalue", "distance")
    )
    expect_true(all(as.character(GenomicRanges::strand(links)) == "*"))
    expect_false(is.unsorted(links$qvalue))
    # By hand, of each link: 1-based, the end in.
    for (i in seq_along(links)) {
        parts <- strsplit(links$peak[i], "-", fixed = TRUE)[[1]]
        edges <- as.integer(parts[2:3])
        expect_identical(c(links$peak_start[i], links$peak_end[i]), edges)
        body <- glueGenes()[glueGenes()$gene_name == links$gene[i]]
        start <- if (links$gene[i] == "gene1") GenomicRanges::start(body) else GenomicRanges::end(body)
        expect_identical(links$tss[i], start)
        middle <- (edges[1] - 1L + edges[2]) %/% 2L + 1L
        expect_identical(
            c(GenomicRanges::start(links)[i], GenomicRanges::end(links)[i]), range(middle, start)
        )
        expect_identical(as.character(GenomicRanges::seqnames(links))[i], parts[1])
    }
})

test_that("links are in the order of the core, also where many have the same q value", {
    table <- mockLinks(rownames(glueAtac()), list())[1:7, ]
    table$qvalue <- 0.5
    expect_true(is.unsorted(-table$score))
    expect_identical(isthmus:::.linkRanges(table)$pvalue, table$pvalue)
})

test_that("any object of the fit, its model, and the folder give the same links", {
    localCore(core = mockGlue)
    done <- glued(glueList())
    links <- suppressMessages(peakGeneLinks(done))
    folder <- file.path(withr::local_tempdir(), "model")
    saveModel(done$rna, folder)
    both <- suppressMessages(runSCALEX(done$rna, batch = "donor", n_features = 20, n_latent = 3))
    for (x in list(done$atac, isthmusModel(done), folder, glued(glueMAE()), both)) {
        expect_identical(suppressMessages(peakGeneLinks(x)), links)
    }
})

test_that("a model without links is refused", {
    localCore(core = mockGlue)
    scalex <- suppressMessages(runSCALEX(glueRna(), batch = "donor", n_features = 20, n_latent = 3))
    expect_snapshot({
        refusal(peakGeneLinks(scalex))
        refusal(peakGeneLinks(isthmusModel(scalex)))
        refusal(peakGeneLinks(glueRna()))
        refusal(peakGeneLinks(matrix(1)))
        refusal(peakGeneLinks(list(rna = glueRna())))
    })
})

test_that("no link at all is an empty GRanges", {
    empty <- mockLinks(rownames(glueAtac()), list())[0, ]
    links <- isthmus:::.linkRanges(empty)
    expect_length(links, 0L)
    expect_true(all(isthmus:::.linkColumns %in% names(mcolsOf(links))))
})

test_that("BEDPE holds both ends, from 0 and half-open", {
    links <- linked()
    path <- withr::local_tempfile(fileext = ".bedpe")
    expect_identical(writeBEDPE(links, path), path)
    table <- read.delim(path, check.names = FALSE, stringsAsFactors = FALSE)
    expect_identical(names(table)[1:10], c(
        "#chrom1", "start1", "end1", "chrom2", "start2", "end2", "name", "score", "strand1", "strand2"
    ))
    expect_identical(table$start1 + 1L, links$peak_start)
    expect_identical(table$end1, links$peak_end)
    expect_identical(table$end2, links$tss)
    expect_identical(table$end2 - table$start2, rep(1L, length(links)))
    expect_identical(table$name, paste(links$gene, links$peak, sep = "|"))
    expect_equal(table$qvalue, links$qvalue)
    packed <- withr::local_tempfile(fileext = ".bedpe.gz")
    writeBEDPE(links, packed)
    expect_identical(readBin(packed, "raw", 2L), as.raw(c(0x1f, 0x8b)))
    expect_identical(readLines(packed), readLines(path))
    writeBEDPE(links[0], path, overwrite = TRUE)
    expect_length(readLines(path), 1L)
})

test_that("the file is the one that Python writes", {
    skip_if_no_bridge("inprocess")
    table <- mockLinks(rownames(glueAtac()), list())[1:7, ]
    path <- withr::local_tempfile(fileext = ".bedpe")
    writeBEDPE(isthmus:::.linkRanges(table), path)
    csv <- withr::local_tempfile(fileext = ".csv")
    write.csv(table, csv, row.names = FALSE)
    theirs <- withr::local_tempfile(fileext = ".bedpe")
    reticulate::import("isthmus.genomics")$write_bedpe(reticulate::import("pandas")$read_csv(csv), theirs)
    expect_identical(readLines(path), readLines(theirs))
})

test_that("what is no link, and taken files, are refused", {
    links <- linked()
    taken <- withr::local_tempfile(lines = "x", fileext = ".bedpe")
    expect_snapshot({
        refusal(writeBEDPE(glueGenes()[, 0], "x.bedpe"))
        refusal(writeBEDPE(data.frame(), "x.bedpe"))
        refusal(writeBEDPE(links, 1))
    })
    expect_error(writeBEDPE(links, taken), "overwrite = TRUE", class = "isthmus_input_error")
    expect_error(writeBEDPE(links, "no/such/folder/x.bedpe"), "can be written", class = "isthmus_input_error")
    expect_identical(readLines(taken), "x")
})

# --- pictures ----------------------------------------------------------------

drawn <- function(...) {
    path <- withr::local_tempfile(fileext = ".png")
    grDevices::png(path, 800, 400)
    on.exit(grDevices::dev.off())
    plotLinks(...)
}

test_that("a gene's links, or those that lie within a region, are drawn", {
    links <- linked()
    mine <- drawn(links, gene = "gene2", genes = glueGenes())
    expect_setequal(mine$peak, links$peak[links$gene == "gene2"])
    expect_false(is.unsorted(mine$score))
    ends <- range(GenomicRanges::start(links), GenomicRanges::end(links))
    region <- sprintf("chr1:%d-%d", ends[1], ends[2])
    within <- drawn(links, region = region)
    expect_setequal(within$peak, links$peak[as.character(GenomicRanges::seqnames(links)) == "chr1"])
    expect_identical(drawn(links, region = GenomicRanges::GRanges(region)), within)
    # A smaller region cuts links off, and they are not drawn.
    less <- drawn(links, region = sprintf("chr1:%d-%d", ends[1], ends[2] - 1L))
    expect_true(length(less) < length(within) || ends[2] != max(GenomicRanges::end(within)))
})

test_that("genes that would overlap are drawn in rows of their own", {
    expect_identical(isthmus:::.packed(c(1, 2, 8, 9), c(5, 6, 9, 20), 1), c(1L, 2L, 1L, 2L))
    expect_identical(isthmus:::.packed(numeric(), numeric(), 1), integer())
})

# Links of one gene on chromosome `chrom`, and what is drawn of the genes there.
linksOn <- function(chrom, gene = "gene1") {
    GenomicRanges::GRanges(
        chrom, IRanges::IRanges(c(500L, 1001L), c(1001L, 3000L)), score = c(0.5, 0.9),
        gene = gene, peak = c("a", "b"), zscore = 2:1, pvalue = 0.01, qvalue = 0.02,
        distance = c(-501L, 1999L), peak_start = c(400L, 2900L), peak_end = c(600L, 3100L),
        tss = 1001L, gene_strand = "+"
    )
}
bodiesIn <- function(genes, chrom = "chr1", region = NULL) {
    links <- linksOn(chrom)
    gene <- if (is.null(region)) "gene1"
    view <- isthmus:::.linkView(links, gene, region)
    isthmus:::.genesIn(genes, isthmus:::.linksIn(links, gene, view), view)
}

test_that("a gene without a name is called by its id, and left out without both", {
    genes <- glueGenes(9L)[c(1, 3, 5, 7)]
    GenomicRanges::end(genes) <- GenomicRanges::start(genes) + 100L
    genes <- GenomicRanges::shift(genes, -c(0L, 1500L, 3000L, 4500L))
    genes$gene_name <- c("gene1", NA, "", NA)
    genes$gene_id <- c("id1", "id2", "id3", NA)
    expect_setequal(bodiesIn(genes)$name, c("gene1", "id2", "id3"))
    expect_length(drawn(linksOn("chr1"), gene = "gene1", genes = genes), 2L)
    genes$gene_id <- NULL
    expect_identical(bodiesIn(genes)$name, "gene1")
    # Nothing has a name here: what the links tell is drawn.
    genes$gene_name <- NA_character_
    expect_identical(bodiesIn(genes), bodiesIn(NULL))
    expect_length(drawn(linksOn("chr1"), gene = "gene1", genes = genes), 2L)
})

test_that("an annotation may call chromosomes in another style than the links", {
    table <- data.frame(
        seqnames = "chr1", start = c(1001, 2001), end = c(1500, 2500), strand = c("+", "-"),
        gene_name = c("gene1", "other")
    )
    same <- bodiesIn(table)[c("name", "start", "end", "strand", "side", "row")]
    expect_identical(same$name, c("gene1", "other"))
    for (pair in list(c("chr1", "1"), c("1", "chr1"), c("chr1", "Chr1"), c("chrM", "MT"), c("MT", "chrM"))) {
        table$seqnames <- pair[2]
        expect_identical(bodiesIn(table, pair[1])[names(same)], same)
        expect_length(drawn(linksOn(pair[1]), gene = "gene1", genes = table), 2L)
    }
    table$seqnames <- "11"
    expect_identical(bodiesIn(table), bodiesIn(NULL))
})

test_that("a region may call its chromosome in another style than the links", {
    for (pair in list(c("chr1", "1"), c("1", "chr1"), c("chr1", "Chr1"), c("chrM", "MT"), c("MT", "chrM"))) {
        links <- linksOn(pair[1])
        region <- paste0(pair[2], ":1-4000")
        expect_length(drawn(links, region = region), 2L)
        expect_length(drawn(links, region = GenomicRanges::GRanges(region)), 2L)
        expect_identical(isthmus:::.linkView(links, NULL, region)$chrom, pair[1])
        other <- "11:1-4000"
        expect_error(drawn(links, region = other), "none within 11: 1 - 4,000", class = "isthmus_input_error")
    }
    both <- suppressWarnings(c(linksOn("chr1"), linksOn("1")[1])) # they share no chromosome
    expect_length(drawn(both, region = "1:1-4000"), 1L)
})

test_that("a gene that the links call by its id is drawn once, by its name", {
    table <- data.frame(
        seqnames = "chr1", start = c(1001, 2001), end = c(1500, 2500), strand = c("+", "-"),
        gene_id = c("ENSG1.2", "ENSG2.1"), gene_name = c("A", NA)
    )
    gtf <- withr::local_tempfile(lines = "x", fileext = ".gtf")
    known <- data.frame(
        chrom = "chr1", chromStart = table$start - 1, chromEnd = table$end, strand = table$strand,
        gene_id = table$gene_id, gene_name = c("A", "")
    )
    localCore(core = function(...) list(genes = known))
    for (gene in c("ENSG1", "ENSG1.2", "ENSG1.7")) {
        links <- linksOn("chr1", gene)
        views <- list(
            isthmus:::.linkView(links, gene, NULL), isthmus:::.linkView(links, NULL, "chr1:1-4000")
        )
        for (genes in list(table, gtf)) {
            for (view in views) {
                bodies <- isthmus:::.genesIn(genes, links, view)
                expect_identical(bodies$name, c("A", "ENSG2.1"))
                expect_identical(isthmus:::.isGene(bodies, gene), c(TRUE, FALSE))
            }
            expect_length(drawn(links, gene = gene, genes = genes), 2L)
        }
    }
    # An annotation that knows no id cannot tell that they are one.
    expect_setequal(bodiesIn(table[c(1:4, 6)])$name, c("gene1", "A"))
})

test_that("the start of a gene that the annotation lacks is drawn from its links", {
    table <- data.frame(seqnames = "1", start = 2001, end = 2500, strand = "-", gene_name = "other")
    expect_identical(bodiesIn(NULL)$start, 1001L)
    for (region in list(NULL, "chr1:1-4000")) {
        bodies <- bodiesIn(table, region = region)
        expect_identical(bodies$name, c("gene1", "other"))
        expect_equal(bodies$start, c(1001, 2001))
        expect_equal(bodies$end, c(1001, 2500))
        expect_identical(bodies$strand, c("+", "-"))
    }
})

test_that("genes of a path are read by the core", {
    links <- linked()
    log <- localCore(core = mockGlue)
    path <- withr::local_tempfile(lines = "x", fileext = ".bed")
    drawn(links, gene = "gene1", genes = path)
    expect_identical(lastCall(log)$verb, "genes")
})

test_that("a gene or region without links is refused, and graphics settings come back", {
    links <- linked()
    grDevices::png(withr::local_tempfile(fileext = ".png"))
    withr::defer(grDevices::dev.off())
    before <- graphics::par("mar", "mgp", "tcl")
    plotLinks(links, gene = "gene1")
    expect_identical(graphics::par("mar", "mgp", "tcl"), before)
    expect_snapshot({
        refusal(plotLinks(links))
        refusal(plotLinks(links, gene = "gene1", region = "chr1:1-2"))
        refusal(plotLinks(links, gene = "GATA1"))
        refusal(plotLinks(links, region = "chr1"))
        refusal(plotLinks(links, region = "chr1:20-10"))
        refusal(plotLinks(links, region = "chr7:1-1,000"))
        refusal(plotLinks(links, region = 1:2))
        refusal(plotLinks(1, gene = "gene1"))
    })
})
