# One simulated study, made once a run, and short fits on it by the real core.

simulated <- local({
    made <- NULL
    function() {
        if (is.null(made)) {
            made <<- suppressMessages(simulateMultiome(
                n_cells = 400, n_genes = 200, n_peaks = 50, n_types = 3, modalities = "rna",
                rna_only_pairs = 0, atac_only_pairs = 0, rna_depth = 1500, seed = 1
            )[["rna"]])
        }
        made
    }
})

# The same cells as Seurat sees them.
simulatedSeurat <- function(x = simulated(), split = FALSE) {
    skip_if_not_installed("SeuratObject")
    table <- as.data.frame(SummarizedExperiment::colData(x))
    y <- SeuratObject::CreateSeuratObject(
        as(SummarizedExperiment::assay(x, "counts"), "CsparseMatrix"), meta.data = table
    )
    if (split) y[["RNA"]] <- base::split(y[["RNA"]], f = y$batch)
    y
}

quickly <- function(x, ..., batch = "batch", max_steps = 120, run = runSCALEX) {
    run(x,
        batch = batch, n_latent = 6, n_hidden = 64, max_steps = max_steps, batch_size = 64,
        compile = FALSE, precision = "32-true", verbose = FALSE, ...
    )
}

local_transport <- function(transport, env = parent.frame()) {
    skip_if_no_bridge(transport)
    withr::local_options(isthmus.transport = transport, .local_envir = env)
}

# Three batches, of which the last plays the new one, and types that are known of
# every second cell.
halfLabelled <- function() {
    x <- simulated()
    every <- seq(1, ncol(x), by = 2)
    x$batch <- as.character(x$batch)
    x$batch[x$batch == "batch2" & seq_len(ncol(x)) %in% every] <- "batch3"
    x$known <- as.character(x$cell_type)
    x$known[withr::with_seed(1, sample(ncol(x), ncol(x) / 2))] <- NA
    x
}
