# Every kind of column and matrix goes to Python and comes back, both ways.

for (transport in transports) {
    test_that(sprintf("%s: every kind of matrix comes back with its values", transport), {
        skip_if_no_bridge(transport)
        for (kind in names(matrixKinds())) {
            given <- matrixKinds()[[kind]]
            back <- quickEcho(bridgeStudy(list(counts = given)), transport)
            expect_identical(names(back$assays), "counts", info = kind)
            expect_identical(back$main, "counts", info = kind)
            expect_equal(plainValues(back$assays$counts), plainValues(given), info = kind, tolerance = 0)
        }
    })

    test_that(sprintf("%s: sparse stays sparse, integer stays integer", transport), {
        skip_if_no_bridge(transport)
        m <- sparseExample()
        back <- echo(bridgeStudy(list(a = m, b = as.matrix(m), c = matrix(1:360, 30))), transport = transport)
        expect_s4_class(back$assays$a, "dgCMatrix")
        expect_identical(back$assays$a@x, m@x)
        expect_identical(back$assays$a@i, m@i)
        expect_identical(back$assays$a@p, m@p)
        expect_type(back$assays$b, "double")
        expect_type(back$assays$c, "integer")
        expect_identical(names(back$assays), c("a", "b", "c"))
    })

    test_that(sprintf("%s: missing values in assays stay missing", transport), {
        skip_if_no_bridge(transport)
        sparse <- sparseExample()
        sparse@x[1:2] <- c(NA, NaN)
        whole <- matrix(c(1L, NA, 3L, 4L), 2)
        back <- echo(bridgeStudy(list(s = sparse)), transport = transport)
        expect_identical(is.nan(back$assays$s@x), is.nan(sparse@x))
        expect_identical(is.na(back$assays$s@x), is.na(sparse@x))
        back <- echo(bridgeStudy(list(i = whole)), transport = transport)
        expect_identical(is.na(plainValues(back$assays$i)), is.na(whole))
    })

    test_that(sprintf("%s: every kind of column comes back as it went", transport), {
        skip_if_no_bridge(transport)
        table <- columnKinds()
        n <- nrow(table)
        study <- bridgeStudy(list(counts = sparseExample(5, n)), obs = table)
        back <- echo(study, transport = transport)$obs
        expect_identical(names(back), names(table))
        expect_identical(rownames(back), rownames(table))
        for (name in names(table)) {
            expect_identical(back[[name]], table[[name]], info = name)
        }
        # NA and NaN are two things in R.
        expect_identical(is.nan(back$doubleNA), is.nan(table$doubleNA))
    })

    test_that(sprintf("%s: short tables and single values too", transport), {
        skip_if_no_bridge(transport)
        for (rows in list(1, 4, c(1, 5), integer())) {
            table <- columnKinds()[rows, , drop = FALSE]
            counts <- sparseExample(30, 12)[, seq_along(rows), drop = FALSE]
            study <- bridgeStudy(list(counts = counts), obs = table)
            back <- quickEcho(study, transport)$obs
            for (name in names(table)) {
                expect_identical(back[[name]], table[[name]], info = paste(name, toString(rows)))
            }
        }
    })

    test_that(sprintf("%s: reduced dimensions, altExps and names survive", transport), {
        skip_if_no_bridge(transport)
        m <- sparseExample()
        cells <- data.frame(row.names = sprintf("cell_%d", 1:12))
        pca <- matrix(rnorm(24), 12, dimnames = list(rownames(cells), c("PC1", "PC2")))
        plain <- matrix(as.numeric(1:36), 12)
        other <- bridgeStudy(list(counts = m[1:3, ], clr = as.matrix(m[1:3, ])), obs = cells)
        study <- bridgeStudy(
            list(counts = m, logcounts = log1p(m)),
            obs = cells,
            reducedDims = list(PCA = pca, X_pca = plain, odd = unname(pca)), altExps = list(ADT = other)
        )
        back <- echo(study, transport = transport)
        expect_identical(back$reducedDims$PCA, pca)
        expect_equal(unname(back$reducedDims$X_pca), plain)
        expect_null(colnames(back$reducedDims$odd))
        expect_identical(names(back$reducedDims), c("PCA", "X_pca", "odd"))
        expect_identical(names(back$altExps), "ADT")
        expect_identical(back$altExps$ADT$assays$counts@x, m[1:3, ]@x)
        expect_identical(names(back$altExps$ADT$assays), c("counts", "clr"))
        expect_identical(dimnames(back$assays$logcounts), list(rownames(study$var), rownames(cells)))
    })

    test_that(sprintf("%s: settings cross with their types", transport), {
        skip_if_no_bridge(transport)
        given <- list(
            one = 1L, real = 0.1, text = "caf\u00e9", flag = TRUE, missing = NULL,
            many = c("a", NA, "b"), single = I("alone"), numbers = c(1.5, 2), nested = list(a = 1L, b = "x")
        )
        back <- isthmus:::.callCore("echo", NULL, given, transport)$params
        expect_identical(back$one, 1L)
        expect_identical(back$real, 0.1)
        expect_identical(back$text, "caf\u00e9")
        expect_true(back$flag)
        expect_false("missing" %in% names(back))
        expect_identical(back$many, c("a", NA, "b"))
        expect_identical(back$single, "alone")
        expect_identical(back$numbers, c(1.5, 2))
        expect_identical(back$nested, list(a = 1L, b = "x"))
    })

    test_that(sprintf("%s: HDF5-backed assays come back with their values", transport), {
        skip_if_no_bridge(transport)
        skip_if_not_installed("HDF5Array")
        m <- sparseExample(40, 30)
        file <- withr::local_tempfile(fileext = ".h5")
        dense <- HDF5Array::writeHDF5Array(as.matrix(m), file, "dense")
        sparse <- HDF5Array::writeHDF5Array(m, file, "sparse", as.sparse = TRUE)
        # Blocks of a few columns, so that there are many of them.
        withr::defer(DelayedArray::setAutoBlockSize())
        suppressMessages(DelayedArray::setAutoBlockSize(40 * 8 * 7))
        study <- bridgeStudy(list(dense = dense, sparse = sparse, delayed = sparse * 2, whole = dense > 3))
        back <- echo(study, transport = transport)
        expect_equal(plainValues(back$assays$dense), plainValues(m), tolerance = 0)
        expect_s4_class(back$assays$sparse, "dgCMatrix")
        expect_equal(plainValues(back$assays$sparse), plainValues(m), tolerance = 0)
        expect_equal(plainValues(back$assays$delayed), plainValues(m) * 2, tolerance = 0)
        expect_equal(plainValues(back$assays$whole), plainValues(m > 3), tolerance = 0)
    })

    test_that(sprintf("%s: the user's object is the same afterwards", transport), {
        skip_if_no_bridge(transport)
        m <- sparseExample()
        study <- bridgeStudy(list(counts = m), obs = columnKinds()[1:12, ])
        copy <- unserialize(serialize(study, NULL))
        echo(study, transport = transport)
        expect_identical(study, copy)
        expect_length(ls(isthmus:::.bridge, all.names = TRUE), 0)
    })
}

test_that("a time without a zone is the same instant, in UTC", {
    skip_if_no_bridge("inprocess")
    m <- sparseExample(3, 2)
    local <- withr::with_timezone("America/New_York", as.POSIXct(c("2024-01-01 10:00:00", NA)))
    attr(local, "tzone") <- NULL
    obs <- data.frame(t = local, row.names = c("a", "b"))
    back <- echo(bridgeStudy(list(counts = m), obs = obs), transport = "inprocess")$obs$t
    expect_identical(as.numeric(back), as.numeric(local))
    expect_identical(attr(back, "tzone"), "UTC")
})

test_that("what cannot cross is refused before anything runs", {
    m <- sparseExample()
    refuse <- function(study) refusal(isthmus:::.refuseStudy(study))
    table <- function(column) {
        out <- data.frame(row.names = sprintf("cell%d", 1:12))
        out$x <- column
        out
    }
    expect_snapshot({
        refuse(bridgeStudy(list(counts = m), obs = table(as.list(1:12))))
        refuse(bridgeStudy(list(counts = m), obs = table(complex(12))))
        refuse(bridgeStudy(list(counts = m), obs = table(as.difftime(1:12, units = "mins"))))
        refuse(bridgeStudy(list(counts = m), obs = table(factor(c(NA, 1:11), exclude = NULL))))
        refuse(bridgeStudy(list(counts = m), obs = table(matrix(1, 12, 2))))
        refuse(bridgeStudy(list(counts = m[, 1:5]), obs = table(1:12)))
        refuse(bridgeStudy(list(counts = matrix("a", 30, 12))))
        refuse(bridgeStudy(list(counts = matrix(1i, 30, 12))))
        refuse(bridgeStudy(list(counts = m, counts = m)))
        refuse(bridgeStudy(list(counts = m), reducedDims = list(PCA = matrix(1, 3, 2))))
        refuse(bridgeStudy(list(counts = m), altExps = list(ADT = bridgeStudy(list(a = matrix("a", 2, 12))))))
        refuse(bridgeStudy(list(counts = m))[1:3])
    })
})

test_that("a matrix of BPCells is refused by its class alone", {
    setClass("IterableMatrix", contains = "VIRTUAL", where = environment())
    setClass("MemoryIterable", contains = "IterableMatrix", slots = c(dim = "integer"), where = environment())
    foreign <- new("MemoryIterable", dim = c(30L, 12L))
    expect_error(
        isthmus:::.refuseAssay(foreign, "counts", c(30L, 12L)), "BPCells",
        class = "isthmus_input_error"
    )
})

test_that("duplicate names are refused in either direction of the table", {
    expect_error(
        isthmus:::.refuseNames(c("a", "b", "a"), "feature", "the study"), "make.unique",
        class = "isthmus_input_error"
    )
    expect_silent(isthmus:::.refuseNames(c("a", "b"), "cell", "the study"))
})

test_that("a matrix of too many non-zeros is refused where it would be realised", {
    skip_if_not_installed("DelayedArray")
    x <- DelayedArray::DelayedArray(sparseExample())
    local_mocked_limit(20)
    expect_error(isthmus:::.realise(x), "isthmus.transport", class = "isthmus_input_error")
})

test_that("the bridge's own names are unique settings, not positions", {
    expect_identical(isthmus:::.paramsJson(list()), "{}")
    expect_identical(isthmus:::.paramsJson(list(a = NULL)), "{}")
    expect_identical(isthmus:::.paramsJson(list(a = 1L, b = I("x"))), "{\"a\":1,\"b\":[\"x\"]}")
    expect_identical(isthmus:::.paramsJson(list(a = factor(c("u", NA)))), "{\"a\":[\"u\",null]}")
})
