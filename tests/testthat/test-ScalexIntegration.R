test_that("the method takes an assay and gives a named list of one reduction", {
    localCore()
    x <- smallSeurat()
    groups <- x$donor
    value <- suppressMessages(ScalexIntegration(
        object = x[["RNA"]], assay = "RNA", features = paste0("gene", 1:10),
        groups = groups, new.reduction = "integrated.model", n_features = 10, n_latent = 2
    ))
    expect_named(value, "integrated.model")
    reduction <- value$integrated.model
    expect_identical(rownames(SeuratObject::Embeddings(reduction)), colnames(x))
    expect_identical(colnames(SeuratObject::Embeddings(reduction)), paste0("integratedmodel_", 1:2))
    x[["integrated.model"]] <- reduction
    expect_s4_class(isthmusModel(x), "IsthmusModel")
    expect_identical(attr(ScalexIntegration, "Seurat.method"), "integration")
})

test_that("a data frame of groups must cover the cells", {
    x <- smallSeurat()
    localCore()
    table <- data.frame(group = rev(x$donor), row.names = rev(colnames(x)))
    log <- localCore()
    suppressMessages(ScalexIntegration(x[["RNA"]], "RNA", groups = table, n_features = 5, n_latent = 2))
    expect_identical(as.character(lastCall(log)$study$obs$batch_values), unname(x$donor))
    expect_snapshot(refusal(ScalexIntegration(x[["RNA"]], "RNA", groups = table[1:3, , drop = FALSE])))
})

test_that("IntegrateLayers runs it on a split assay", {
    skip_if_not_installed("Seurat", "5.0.0")
    log <- localCore()
    x <- smallSeurat(split = TRUE)
    # Seurat warns that there is no scale.data, which nobody needs here.
    y <- suppressWarnings(suppressMessages(Seurat::IntegrateLayers(
        x,
        method = ScalexIntegration, orig.reduction = NULL, features = rownames(x)[1:12],
        new.reduction = "scalex", n_features = 12, n_latent = 2
    )))
    expect_identical(rownames(embeddingOf(y)), colnames(x))
    expect_identical(as.character(lastCall(log)$study$obs$batch_values), unname(x$donor))
    query <- suppressMessages(projectCells(smallSCE(), y))
    expect_equal(unname(embeddingOf(query)), unname(embeddingOf(y)))
})

test_that("scDREAMER is one too, with labels or without", {
    log <- localCore()
    x <- smallSeurat()
    labels <- rep(c("T", NA), length.out = ncol(x))
    value <- suppressMessages(ScdreamerIntegration(
        object = x[["RNA"]], assay = "RNA", features = paste0("gene", 1:10),
        groups = x$donor, labels = labels, n_features = 10, n_latent = 2
    ))
    expect_named(value, "integrated.scdreamer")
    expect_identical(lastCall(log)$params$system, "scdreamer")
    expect_false(is.null(lastCall(log)$params$labels_key))
    x[["integrated.scdreamer"]] <- value[[1]]
    expect_identical(isthmusModel(x)@system, "scdreamer")
    expect_identical(attr(ScdreamerIntegration, "Seurat.method"), "integration")
})
