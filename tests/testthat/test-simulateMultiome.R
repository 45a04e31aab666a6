test_that("a simulated multiome is deterministic and leaves R's random numbers alone", {
    skip_if_no_core()
    make <- function(seed) {
        suppressMessages(simulateMultiome(n_cells = 60, n_genes = 40, n_peaks = 80, n_types = 3, seed = seed))
    }
    set.seed(1)
    before <- .Random.seed
    first <- make(1)
    expect_identical(.Random.seed, before)
    counts <- function(sim) as.matrix(SummarizedExperiment::assay(sim[["atac"]], "counts"))
    expect_identical(counts(make(1)), counts(first))
    expect_false(identical(counts(make(2)), counts(first)))
    expect_identical(dim(first[["rna"]]), c(40L, 60L))
    expect_s4_class(SummarizedExperiment::rowRanges(first[["rna"]]), "GRanges")
    expect_true(all(c("cell_type", "batch") %in% names(SummarizedExperiment::colData(first[["rna"]]))))
    # Can be subset, which reserved column names in rowData would forbid.
    expect_identical(dim(first[["rna"]][1:3, 2:5]), c(3L, 4L))
})

test_that("the sample map is the pairing", {
    skip_if_no_core()
    skip_if_not_installed("MultiAssayExperiment")
    make <- function(pairing) {
        suppressMessages(simulateMultiome(
            n_cells = 50, n_genes = 40, n_peaks = 80, n_types = 3, pairing = pairing
        ))
    }
    shared <- function(sim) length(intersect(colnames(sim[["rna"]]), colnames(sim[["atac"]])))
    primaries <- function(sim) nrow(SummarizedExperiment::colData(sim))
    paired <- make("paired")
    expect_identical(c(shared(paired), primaries(paired)), c(50L, 50L))
    unpaired <- make("unpaired")
    expect_identical(c(shared(unpaired), primaries(unpaired)), c(0L, 100L))
    partial <- make("partial")
    expect_identical(primaries(partial), 100L - shared(partial))
    links <- S4Vectors::metadata(paired)$links
    expect_true(all(links$peak %in% rownames(paired[["atac"]])))
    expect_true(all(links$gene %in% rownames(paired[["rna"]])))
})

test_that("impossible simulations are refused in the core's words", {
    skip_if_no_core()
    expect_error(simulateMultiome(n_cells = 0), "n_cells", class = "isthmus_input_error")
    expect_error(simulateMultiome(pairing = "some"), "pairing", class = "isthmus_input_error")
    expect_error(simulateMultiome(file = "x"), "Remedy", class = "isthmus_input_error")
})
