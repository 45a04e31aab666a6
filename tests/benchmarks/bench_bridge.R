# From a SingleCellExperiment in R to an AnnData in Python, against anndata2ri in
# the same run; and a matrix product inside R against one outside.
#
#   Rscript tests/benchmarks/bench_bridge.R [cells=50000] [genes=20000] [per_cell=1000]
#
# Every route runs in an R of its own. Memory is the highest resident size during
# the conversion over the size just before it (Linux).

arguments <- commandArgs(trailingOnly = TRUE)
settings <- list(cells = 50000L, genes = 20000L, per_cell = 1000L, route = "")
for (argument in strsplit(arguments, "=", fixed = TRUE)) {
    settings[[argument[1]]] <- utils::type.convert(argument[2], as.is = TRUE)
}

# Two dgCMatrix assays, two columns, one reduced dimension.
experiment <- function(cells, genes, per_cell) {
    set.seed(1)
    i <- unlist(lapply(seq_len(cells), function(cell) sort.int(sample.int(genes, per_cell)))) - 1L
    m <- new("dgCMatrix",
        i = i, p = as.integer(seq(0, by = per_cell, length.out = cells + 1)),
        x = as.double(1 + i %% 7L), Dim = c(genes, cells),
        Dimnames = list(sprintf("gene%05d", seq_len(genes)), sprintf("cell%06d", seq_len(cells)))
    )
    sce <- SingleCellExperiment::SingleCellExperiment(
        list(counts = m, logcounts = log1p(m)),
        colData = S4Vectors::DataFrame(batch = gl(2, 1, cells, c("a", "b")), total = runif(cells))
    )
    SingleCellExperiment::reducedDim(sce, "PCA") <- matrix(rnorm(cells * 50), cells)
    sce
}

# All of the experiment as the verbs hand it over.
studyOf <- function(sce) {
    list(
        assays = as.list(SummarizedExperiment::assays(sce, withDimnames = FALSE)), main = "counts",
        obs = as.data.frame(SummarizedExperiment::colData(sce)),
        var = data.frame(row.names = rownames(sce)),
        reducedDims = as.list(SingleCellExperiment::reducedDims(sce, withDimnames = FALSE)),
        altExps = list()
    )
}

memory <- function(field) {
    line <- grep(paste0("^", field), readLines("/proc/self/status"), value = TRUE)
    as.numeric(gsub("[^0-9]", "", line)) / 1024
}

routes <- list(
    "isthmus, as the verbs do" = function(sce) {
        study <- studyOf(sce)
        isthmus:::.refuseStudy(study)
        assign("study", isthmus:::.plainStudy(study), envir = isthmus:::.bridge)
        reticulate::py_run_string(paste(
            "from isthmus.bridge import values", "from isthmus.bridge import study as s",
            "adata = s.assemble(values.parts_from(rvalues.tree_in(session._environment()['study'])))",
            sep = "\n"
        ))
    },
    "isthmus.bridge.to_anndata" = function(sce) {
        assign("sce", sce, envir = isthmus:::.bridge)
        reticulate::py_run_string("adata = bridge.to_anndata(session._environment()['sce'])")
    },
    "anndata2ri" = function(sce) {
        assign("sce", sce, envir = isthmus:::.bridge)
        reticulate::py_run_string(paste(
            "with (ro.default_converter + anndata2ri.converter).context():",
            "    adata = anndata2ri.converter.rpy2py(session._environment()['sce'])",
            sep = "\n"
        ))
    },
    "exchange folder" = function(sce) {
        study <- studyOf(sce)
        folder <- tempfile()
        dir.create(folder)
        on.exit(unlink(folder, recursive = TRUE))
        isthmus:::.writeRequest(folder, "echo", study, "{}")
        reticulate::py_run_string(sprintf(
            "from isthmus.bridge import exchange; _, adata, _ = exchange.read_request('%s')", folder
        ))
    }
)

measure <- function(route) {
    suppressMessages(library(isthmus))
    test <- isthmus:::.selfTest()
    if (!test$ok) stop(test$condition)
    # Modules are loaded before: the first call pays for them, whichever the route.
    reticulate::py_run_string(paste(
        "import gc, anndata2ri, rpy2.robjects as ro, h5py", "from isthmus import bridge",
        "from isthmus.bridge import rvalues, session, convert, exchange",
        sep = "\n"
    ))
    small <- experiment(50L, 100L, 10L)
    routes[[route]](small)
    sce <- experiment(settings$cells, settings$genes, settings$per_cell)
    reticulate::py_run_string("adata = None; gc.collect()")
    invisible(gc(full = TRUE))
    writeLines("5", "/proc/self/clear_refs") # the highest size starts again from now
    before <- memory("VmRSS")
    seconds <- system.time(routes[[route]](sce), gcFirst = FALSE)[["elapsed"]]
    extra <- memory("VmHWM") - before
    shape <- reticulate::py_eval("'%d x %d, %d layers' % (*adata.shape, len(adata.layers))")
    cat(sprintf("RESULT %.3f %.1f %s\n", seconds, extra, shape))
}

product <- "
import time, torch
a = torch.randn(1500, 1500)
times = []
for _ in range(5):
    t = time.perf_counter(); a @ a; times.append(time.perf_counter() - t)
print('RESULT', min(times), 0)
"

inR <- function(deepbind) {
    suppressMessages(library(isthmus))
    if (deepbind) {
        isthmus:::.selfTest()
    } else {
        reticulate::use_python(isthmus:::.findPython()$path, required = TRUE)
    }
    reticulate::py_run_string(product)
}

child <- function(route) {
    out <- suppressWarnings(system2(
        file.path(R.home("bin"), "Rscript"),
        shQuote(c(
            this, sprintf("route=%s", route), sprintf("cells=%d", settings$cells),
            sprintf("genes=%d", settings$genes), sprintf("per_cell=%d", settings$per_cell)
        )),
        stdout = TRUE, stderr = FALSE
    ))
    answer(out)
}

answer <- function(out) {
    line <- grep("^RESULT", out, value = TRUE)
    if (length(line)) as.numeric(strsplit(line, " ")[[1]][2:3]) else c(NA, NA)
}

this <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))

if (settings$route %in% names(routes)) {
    measure(settings$route)
} else if (startsWith(settings$route, "product")) {
    inR(settings$route == "product isthmus")
} else {
    cat(sprintf(
        "%d cells x %d genes, %.1f %% dense, two assays\n\n", settings$cells, settings$genes,
        100 * settings$per_cell / settings$genes
    ))
    found <- vapply(names(routes), child, numeric(2))
    cat("| route | seconds | MiB more | time / anndata2ri |\n| --- | --- | --- | --- |\n")
    for (route in names(routes)) {
        cat(sprintf(
            "| %s | %.2f | %.0f | %.2f |\n", route, found[1, route], found[2, route],
            found[1, route] / found[1, "anndata2ri"]
        ))
    }
    python <- isthmus:::.findPython()$path
    script <- tempfile(fileext = ".py")
    writeLines(product, script)
    outside <- answer(system2(python, script, stdout = TRUE, env = isthmus:::.cleanEnvironment()))[1]
    cat("\n| product of 1500 x 1500 float32 | seconds | outside R = 1 |\n| --- | --- | --- |\n")
    cat(sprintf("| Python alone | %.3f | 1.0 |\n", outside))
    for (route in c("product isthmus", "product plain")) {
        inside <- child(route)[1]
        label <- switch(route,
            "product isthmus" = "inside R, as isthmus loads torch",
            "inside R, plain import"
        )
        cat(sprintf("| %s | %.3f | %.1f |\n", label, inside, inside / outside))
    }
}
