targeted <- function(...) tfTargets(..., verbose = FALSE)

# One gene and TF at a time: any linked peak may be any other, so counts are binomial.
# @param group of each peak: those that may stand for one another.
slowTargets <- function(links, m, group = rep(1, nrow(m))) {
    m <- as.matrix(m) != 0
    genes <- sort(unique(links$gene))
    table <- expand.grid(gene = genes, tf = colnames(m), stringsAsFactors = FALSE)
    for (i in seq_len(nrow(table))) {
        rows <- match(links$peak[links$gene == table$gene[i]], rownames(m))
        held <- m[, table$tf[i]]
        table$n_peaks[i] <- sum(held[rows])
        shares <- tapply(held, group, mean)[as.character(group[rows])]
        table$pvalue[i] <- poissonBinomial(shares, table$n_peaks[i])
    }
    table$qvalue <- p.adjust(table$pvalue, "BH")
    table <- table[table$n_peaks > 0, ]
    table$rank <- stats::ave(table$pvalue, table$tf, FUN = rank)
    table <- table[order(match(table$tf, colnames(m)), table$rank, table$gene), ]
    data.frame(table[c("tf", "gene", "n_peaks", "pvalue", "qvalue", "rank")], row.names = NULL)
}

# The probability of k successes or more: over all that can happen.
poissonBinomial <- function(p, k) {
    all <- as.matrix(expand.grid(rep(list(0:1), length(p))))
    chance <- apply(all, 1L, function(way) prod(ifelse(way == 1, p, 1 - p)))
    sum(chance[rowSums(all) >= k])
}

# --- what reaches the core ---------------------------------------------------

mockTargets <- function(verb, study, params) {
    list(targets = data.frame(tf = "GATA1", gene = "a", n_peaks = 1L, pvalue = 1, qvalue = 1, rank = 1))
}

sentBy <- function(...) {
    log <- localCore(core = mockTargets, env = parent.frame())
    targeted(...)
    lastCall(log)
}

test_that("a sparse matrix is sent as it is, settings as Python knows them", {
    m <- motifMatrix()
    sent <- sentBy(motifLinks(m), m)
    expect_identical(sent$verb, "tf_targets")
    study <- sent$study$studies$motifs
    expect_identical(study$assays$motifs, m)
    expect_identical(rownames(study$obs), colnames(m))
    expect_identical(rownames(study$var), rownames(m))
    expect_length(study$var, 0L)
    expect_identical(sent$study$tables, list(links = motifLinks(m)))
    expect_identical(sent$params, list(seed = 0L, match = I(character())))
    sent <- sentBy(motifLinks(m), m, n_draws = 1000, seed = 7, match = "gc")
    expect_identical(sent$params, list(n_draws = 1000L, seed = 7L, match = I("gc")))
})

test_that("the GRanges of links is read, whatever else it holds", {
    table <- motifLinks()
    links <- GenomicRanges::GRanges(
        rep("chr1:1-2", nrow(table)), gene = factor(table$gene), score = 1, peak = table$peak
    )
    expect_identical(sentBy(links, motifMatrix())$study$tables$links, table)
    expect_identical(sentBy(S4Vectors::DataFrame(table), motifMatrix())$study$tables$links, table)
})

test_that("objects tell where peaks lie and what else is known of them", {
    m <- motifMatrix()
    start <- 1000L * seq_len(200L) - 1L
    known <- function(...) sentBy(motifLinks(m), ...)$study$studies$motifs$var
    matchedRows <- known(matched(m))
    expect_identical(rownames(matchedRows), rownames(m))
    expect_identical(matchedRows$chromStart, start)
    expect_identical(matchedRows$chromEnd - matchedRows$chromStart, rep(500L, 200L))
    expect_equal(matchedRows$bias, 1:200 / 200)
    ofAssay <- known(chromatinAssay(m))
    expect_identical(ofAssay$chromStart, start)
    expect_equal(ofAssay$GC.percent, 1:200 / 2)
    # Of a Motif alone, and of motifs of other peaks than the assay's, the names tell.
    expect_length(known(signacMotif(m)), 0L)
    others <- signacMotif(m[151:200, ])
    expect_identical(known(chromatinAssay(m[1:150, ], others)), known(others))
    some <- known(chromatinAssay(m, signacMotif(m[200:151, ])))
    expect_identical(some$chromStart, rev(start)[1:50])
})

test_that("all kinds of peaks become one table", {
    m <- motifMatrix()
    ranges <- motifRanges(m)
    bed <- data.frame(
        chrom = rep(c("chr1", "chr2"), 100), chromStart = 1000L * seq_len(200L) - 1L,
        chromEnd = 1000L * seq_len(200L) + 499L, row.names = rownames(m)
    )
    frame <- as.data.frame(ranges)
    given <- list(
        ranges = ranges, unnamed = unname(ranges), se = matched(m), frame = frame, bed = bed,
        counted = data.frame(frame, row.names = NULL), S4 = S4Vectors::DataFrame(bed),
        assay = chromatinAssay(m)
    )
    for (name in names(given)) {
        table <- sentBy(motifLinks(m), m, given[[name]])$study$tables$peaks
        expected <- if (name == "assay") gsub(":", "-", rownames(m)) else rownames(m)
        expect_identical(rownames(table), expected, info = name)
        expect_equal(table[names(bed)], bed, ignore_attr = TRUE, info = name)
    }
    for (peaks in list(rownames(m), data.frame(gc = 1:200, row.names = rownames(m)))) {
        table <- sentBy(motifLinks(m), m, peaks)$study$tables$peaks
        expect_identical(rownames(table), rownames(m))
        expect_identical(names(table), if (is.data.frame(peaks)) "gc" else character())
    }
})

test_that("TFs have the names of their motifs, those that share one their id, too", {
    m <- motifMatrix()
    tfs <- function(motifs) rownames(sentBy(motifLinks(m), motifs)$study$studies$motifs$obs)
    expect_identical(tfs(signacMotif(m)), colnames(m))
    expect_identical(tfs(signacMotif(m, list("A", "A", "B"))), c("A_MA1", "A_MA2", "B"))
    nameless <- signacMotif(m)
    attr(nameless, "motif.names") <- list(MA2 = "SPI1", MA3 = "")
    expect_identical(tfs(nameless), c("MA1", "SPI1", "MA3"))
    attr(nameless, "motif.names") <- list()
    expect_identical(tfs(nameless), paste0("MA", 1:3))
    expect_identical(tfs(matched(m)), colnames(m))
    expect_identical(tfs(matched(m, c("A", "B", "A"))), c("A_MA1", "B", "A_MA3"))
    bare <- matched(m)
    SummarizedExperiment::colData(bare)$name <- NULL
    expect_identical(tfs(bare), paste0("MA", 1:3))
})

test_that("what is no link, motif or peak is refused before anything runs", {
    log <- localCore(core = mockTargets)
    m <- motifMatrix()
    links <- motifLinks(m)
    scores <- matched(m)
    SummarizedExperiment::assayNames(scores) <- c("motifScores", "motifCounts")
    twice <- m[c(1, 1, 2), ]
    nameless <- unname(as.matrix(m))
    empty <- chromatinAssay(m, motifs = NULL)
    seurat <- glueSeurat(foreign = TRUE)
    expect_snapshot({
        refusal(tfTargets("links.csv", m))
        refusal(tfTargets(links["gene"], m))
        refusal(tfTargets(glueGenes(), m))
        refusal(tfTargets(links, "motifs.tsv"))
        refusal(tfTargets(links, seurat))
        refusal(tfTargets(links, data.frame(peak = "a", motif = "b")))
        refusal(tfTargets(links, data.frame(peak = rownames(m), tf = "CTCF")))
        refusal(tfTargets(links, nameless))
        refusal(tfTargets(links, `dimnames<-`(nameless, list(NULL, colnames(m)))))
        refusal(tfTargets(links, m[, c(1, 1)]))
        refusal(tfTargets(links, twice))
        refusal(tfTargets(links, scores))
        refusal(tfTargets(links, empty))
        refusal(tfTargets(links, m, peaks = 1))
        refusal(tfTargets(links, m, peaks = seurat))
        refusal(tfTargets(links, m, peaks = data.frame(gc = 1)))
        refusal(tfTargets(links, m, peaks = c("a", "a")))
        refusal(tfRankings(links, "gene1"))
        refusal(tfRankings(1, "gene1"))
        refusal(tfRankings(mockTargets()$targets, 1:3))
        refusal(tfRankings(mockTargets()$targets, "a", tfs = NA))
    })
    expect_length(log$calls, 0L)
})

# --- the real core -----------------------------------------------------------

test_that("probabilities are those of a slow version in R, on both transports", {
    skip_if_no_core()
    m <- motifMatrix()
    expected <- slowTargets(motifLinks(m), m)
    for (transport in transports) {
        local_transport(transport)
        expect_equal(targeted(motifLinks(m), m), expected)
    }
    # Links that stand twice count once, and their order is nothing.
    links <- motifLinks(m)[c(35:1, 1:5), ]
    expect_equal(targeted(links, m[200:1, ]), expected)
})

test_that("draws are those of Python, on both transports, and approach the exact ones", {
    skip_if_no_bridge("inprocess")
    m <- motifMatrix()
    links <- motifLinks(m)
    code <- "
def targets(links, motifs, seed):
    import io, pandas
    from isthmus.genomics import tf_targets
    links = pandas.read_csv(io.StringIO(links))
    motifs = pandas.read_csv(io.StringIO(motifs), index_col=0)
    return tf_targets(links, motifs, n_draws=300, seed=seed).to_csv(index=False)
"
    python <- reticulate::py_run_string(code, local = TRUE)
    text <- function(table, ...) paste(utils::capture.output(utils::write.csv(table, ...)), collapse = "\n")
    said <- python$targets(text(links, row.names = FALSE), text(as.matrix(m)), 5L)
    expected <- utils::read.csv(text = as.character(said))
    for (transport in transports) {
        local_transport(transport)
        drawn <- targeted(links, m, n_draws = 300, seed = 5)
        expect_equal(drawn, expected)
    }
    calm <- merge(targeted(links, m), targeted(links, m, n_draws = 4000), by = c("tf", "gene"))
    expect_lt(max(abs(calm$pvalue.x - calm$pvalue.y)), 0.05)
    expect_false(identical(drawn$pvalue, targeted(links, m, n_draws = 300, seed = 6)$pvalue))
})

test_that("every form of motifs and peaks gives the same, however peaks are spelt", {
    skip_if_no_core()
    local_transport("inprocess")
    m <- motifMatrix()
    links <- motifLinks(m)
    expected <- targeted(links, m)
    holds <- which(as.matrix(m) > 0, arr.ind = TRUE)
    long <- data.frame(peak = rownames(m)[holds[, 1]], tf = colnames(m)[holds[, 2]])
    sparse <- list(logical = m > 0, pattern = as(m > 0, "nMatrix"), triplets = as(m, "TsparseMatrix"))
    dense <- list(logical = as.matrix(m > 0), numbers = as.matrix(m) * 2.5)
    forms <- c(sparse, dense, list(
        matched = matched(m), motif = signacMotif(m), assay = chromatinAssay(m)
    ))
    for (name in names(forms)) expect_equal(targeted(links, forms[[name]]), expected, info = name)
    expect_equal(targeted(links, DelayedArray::DelayedArray(m)), expected)
    for (peaks in list(rownames(m), unname(motifRanges(m)), matched(m), chromatinAssay(m))) {
        # The order of TFs in a table is that of their names.
        table <- targeted(links, long, peaks)
        expect_equal(table[order(match(table$tf, colnames(m)), table$rank), ], expected, ignore_attr = TRUE)
        expect_equal(targeted(links, signacMotif(m), peaks), expected)
    }
    dashed <- transform(links, peak = gsub(":", "_", peak))
    expect_equal(targeted(dashed, m), expected)
})

test_that("drawn peaks are alike in what is named", {
    skip_if_no_core()
    local_transport("inprocess")
    m <- motifMatrix()
    gc <- rep(c(30, 60), each = 100) + seq_len(200) / 1000
    m[1:100, "SPI1"] <- 0
    links <- motifLinks(m)
    expected <- slowTargets(links, m, group = gc > 50)
    expect_false(isTRUE(all.equal(expected$pvalue, slowTargets(links, m)$pvalue)))
    peaks <- data.frame(gc = gc, row.names = rownames(m))
    expect_equal(targeted(links, m, peaks, match = "gc"), expected)
    assay <- chromatinAssay(m)
    expect_equal(targeted(links, assay, match = "GC.percent"), expected)
    expect_equal(targeted(links, matched(m), match = "bias"), expected)
    unknown <- "'GC' of peaks.*'gc'"
    expect_error(targeted(links, m, peaks, match = "GC"), unknown, class = "isthmus_input_error")
    expect_error(targeted(links, m, match = "gc"), "no columns", class = "isthmus_input_error")
})

test_that("a planted target comes first, and every gene has a rank", {
    skip_if_no_core()
    m <- motifMatrix()
    table <- targeted(motifLinks(m), m)
    first <- table[table$tf == "GATA1", ][1, ]
    expect_identical(c(first$gene, first$n_peaks), c("target", "5"))
    expect_equal(first$pvalue, mean(m[, "GATA1"])^5)
    genes <- c("nowhere", paste0("gene", 6:1), "target", "nothing")
    for (transport in transports) {
        local_transport(transport)
        ranks <- suppressMessages(tfRankings(table, genes, tfs = c("CTCF", "GATA1", "SPI1", "none")))
        expect_identical(dimnames(ranks), list(genes, c("CTCF", "GATA1", "SPI1", "none")))
        expect_true(all(colSums(ranks) == sum(seq_along(genes))))
        expect_identical(ranks["target", "GATA1"], 1)
        expect_identical(unname(ranks[, "none"]), rep(5, 9))
        expect_identical(ranks["nowhere", ], apply(ranks, 2L, max))
    }
    some <- table[table$tf == "SPI1", ]
    expect_identical(unname(tfRankings(some, genes)[some$gene, "SPI1"]), some$rank)
})

test_that("the core's words of refusal come through", {
    skip_if_no_core()
    local_transport("inprocess")
    m <- motifMatrix()
    links <- motifLinks(m)
    expect_snapshot({
        refusal(targeted(links[0, ], m))
        refusal(targeted(data.frame(peak = "chr9:1-2", gene = "A"), m))
        refusal(targeted(links, m * 0))
        refusal(targeted(links, m, n_draws = 0))
        refusal(targeted(links, m, match = "gc"))
        refusal(targeted(links, m, peaks = "chr9:1-2"))
        refusal(tfRankings(targeted(links, m), "gene1"))
        refusal(tfRankings(targeted(links, m), c("gene1", "gene1")))
    })
})
