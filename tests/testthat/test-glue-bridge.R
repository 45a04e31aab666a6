# Several studies, and tables beside them, in one call.

severalStudies <- function() {
    m <- sparseExample()
    peaks <- sparseExample(45, 20, seed = 2L)
    list(
        rna = bridgeStudy(list(counts = m, dense = as.matrix(m)), obs = columnKinds()[1:12, ]),
        atac = bridgeStudy(list(counts = peaks), var = data.frame(
            chrom = "chr1", chromStart = 1:45, row.names = sprintf("chr1:%d-%d", 1:45, 100L)
        ))
    )
}

for (transport in transports) {
    test_that(sprintf("%s: several studies and a table cross in one call", transport), {
        skip_if_no_bridge(transport)
        studies <- severalStudies()
        genes <- data.frame(
            gene_name = c("a", NA, "\u00e9"), start = c(1, 2, 3e9), kind = factor(c("x", NA, "y"))
        )
        back <- isthmus:::.callCore(
            "echo", isthmus:::.bundle(studies, list(genes = genes, edges = NULL)), list(one = 1L), transport
        )
        expect_identical(names(back$study), c("rna", "atac"))
        for (name in names(studies)) {
            expect_identical(back$study[[name]], echo(studies[[name]], transport = transport))
        }
        expect_identical(back$params$one, 1L)
        expect_identical(names(back$params), c("one", "genes"))
        expect_equal(back$params$genes, genes, ignore_attr = "row.names")
    })

    test_that(sprintf("%s: one study among several is refused in the same words", transport), {
        studies <- severalStudies()
        studies$atac$obs <- data.frame(odd = I(as.list(1:20)), row.names = rownames(studies$atac$obs))
        expect_error(
            isthmus:::.callCore("echo", isthmus:::.bundle(studies), list(), transport),
            "column 'odd'", class = "isthmus_input_error"
        )
    })
}

test_that("HDF5-backed assays of any of the studies go to a process of their own", {
    skip_if_not_installed("HDF5Array")
    studies <- severalStudies()
    expect_false(isthmus:::.isOnDisk(isthmus:::.bundle(studies)))
    withr::local_options(isthmus.realise = 10)
    file <- withr::local_tempfile(fileext = ".h5")
    counts <- studies$atac$assays$counts
    studies$atac$assays$counts <- HDF5Array::writeHDF5Array(counts, file, "x", as.sparse = TRUE)
    expect_true(isthmus:::.isOnDisk(isthmus:::.bundle(studies)))
    expect_false(isthmus:::.isOnDisk(studies$rna))
    expect_false(isthmus:::.isOnDisk(NULL))
})
