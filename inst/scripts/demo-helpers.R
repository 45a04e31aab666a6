# Behind demo.R: what to run on, and words for the terminal.

# --- arguments ---------------------------------------------------------------

demoOptions <- c(
    "data", "batch", "query", "labels", "out", "values", "query_values",
    "min_coverage", "seed"
)

# "--name=value" as a named list; empty values are not given.
demoArguments <- function(args) {
    form <- "^--([a-z_]+)=(.*)$"
    wrong <- args[!grepl(form, args) | !sub(form, "\\1", args) %in% demoOptions]
    if (length(wrong)) {
        refuse(
            sprintf("arguments like --data=cells.h5ad, named %s", paste(demoOptions, collapse = ", ")),
            paste(wrong, collapse = " "), "see the top of demo.R, or make help"
        )
    }
    values <- as.list(sub(form, "\\2", args))
    names(values) <- sub(form, "\\1", args)
    values <- values[nzchar(unlist(values))]
    values$seed <- demoNumber(values, "seed", 0)
    values$min_coverage <- demoNumber(values, "min_coverage", NULL)
    for (name in intersect(c("values", "query_values"), names(values))) {
        if (!values[[name]] %in% c("counts", "lognorm")) {
            refuse(sprintf("%s to be counts or lognorm", name), values[[name]], "use one of these words")
        }
    }
    values
}

demoNumber <- function(values, name, default) {
    if (is.null(values[[name]])) {
        return(default)
    }
    number <- suppressWarnings(as.numeric(values[[name]]))
    if (is.na(number)) {
        refuse(sprintf("a number for %s", name), values[[name]], sprintf("for example --%s=0", name))
    }
    number
}

refuse <- function(expected, found, remedy) {
    stop(sprintf("Expected %s.\nFound %s.\nRemedy: %s.", expected, found, remedy), call. = FALSE)
}

# --- what to run on ----------------------------------------------------------

# @return list(reference, batch, values, labels, query, query_batch, query_values,
#   min_coverage, seed, out, impute, and markers, title, notes of the report).
demoJob <- function(given) {
    given$out <- if (is.null(given$out)) "demo-output" else given$out
    job <- if (is.null(given$data)) bundledJob(given) else ownJob(given)
    dir.create(given$out, recursive = TRUE, showWarnings = FALSE)
    job$out <- normalizePath(given$out)
    job$seed <- given$seed
    job$impute <- featuresThatFit
    job
}

# Real cells that the dependencies bring along: other donors, other labs.
bundledJob <- function(given) {
    alone <- setdiff(names(given), c("out", "seed"))
    if (length(alone)) {
        refuse(
            "--data with your own cells", sprintf("--%s without --data", alone[1]),
            "make demo DATA=x.h5ad BATCH=column, or leave the other arguments out"
        )
    }
    if (!requireNamespace("SeuratObject", quietly = TRUE)) {
        refuse("the R package SeuratObject, which brings the query", "it is not installed",
            "install.packages(\"SeuratObject\")")
    }
    file <- tempfile(fileext = ".h5ad")
    python <- isthmusEnvironment()$python$path
    script <- system.file("scripts", "pbmc-reference.py", package = "isthmus")
    status <- system2(python, shQuote(c("-W", "ignore", script, file)))
    stopifnot("scanpy's data could not be read" = status == 0L)
    home <- new.env()
    utils::data("pbmc_small", package = "SeuratObject", envir = home)
    list(
        reference = readStudy(file), batch = "channel", values = "lognorm", labels = "bulk_labels",
        query = home$pbmc_small, query_values = "counts", min_coverage = 0.1,
        markers = bundledMarkers, title = "The isthmus demo: 700 PBMC and a query from another lab",
        notes = bundledNotes
    )
}

bundledMarkers <- list(
    B = c("MS4A1", "CD79A"), T = c("CD3D", "IL7R", "CD8A"), NK = c("GNLY", "NKG7"),
    Monocyte = c("LYZ", "S100A8", "CD14", "FCGR3A"), Dendritic = "FCER1A", Platelet = "PPBP"
)

bundledNotes <- list(
    summary = paste(
        "The reference is the labelled subset of 68,000 PBMC that comes with scanpy (Zheng et al.",
        "2017): log-normalised expression of 765 genes. The query is pbmc_small, which comes with",
        "SeuratObject: counts of 230 genes in 80 cells of another donor."
    ),
    batches = paste(
        "The batches are the eight 10x channels that one sample was loaded on. They differ little",
        "from the start, so the maps before and after should look alike: this shows that nothing is",
        "lost, not that much is gained."
    ),
    labels = paste(
        "The labels were given by similarity to sorted cells, not by hand. Neighbouring kinds of T",
        "cell overlap in them; \"CD14+ Monocyte\" are mostly FCGR3A+ cells, and \"Dendritic\" are far",
        "more than blood holds: by their genes most of these are classical monocytes. A query",
        "inherits such habits with the names."
    ),
    query = paste(
        "Below 20 % projectCells() refuses unless told otherwise; the demo says min_coverage = 0.1,",
        "because the genes that both sets hold were chosen for being variable and include the",
        "classical markers. Fine kinds of T cell cannot be expected from so few genes and counts, and",
        "platelets are not in the reference at all."
    ),
    markers = paste(
        "Platelets (PPBP) have no label in the reference, which does not measure that gene either.",
        "They should be unknown; where a label's PPBP is not near zero, some of them were mistaken",
        "for it."
    )
)

# The user's own cells.
ownJob <- function(given) {
    reference <- readStudy(given$data)
    columns <- names(cellTable(reference))
    shown <- sprintf("the columns %s", paste(head(columns, 20L), collapse = ", "))
    if (is.null(given$batch)) {
        refuse(
            "a batch column, BATCH=", sprintf("none; %s has %s", given$data, shown),
            "name the one that says which batch each cell is from"
        )
    }
    for (name in c("batch", "labels")) {
        if (!is.null(given[[name]]) && !given[[name]] %in% columns) {
            refuse(sprintf("a column '%s' in %s", given[[name]], given$data), shown,
                sprintf("name one of them with %s=", toupper(name)))
        }
    }
    labels <- if (is.null(given$labels)) usualLabels(columns) else given$labels
    query <- if (!is.null(given$query)) readStudy(given$query)
    values <- if (is.null(given$values)) "counts" else given$values
    list(
        reference = reference, batch = given$batch, values = values, labels = labels, query = query,
        query_batch = if (!is.null(query) && given$batch %in% names(cellTable(query))) given$batch,
        query_values = if (is.null(given$query_values)) values else given$query_values,
        min_coverage = if (is.null(given$min_coverage)) 0.2 else given$min_coverage,
        title = sprintf("SCALEX on %s", basename(given$data))
    )
}

usualLabels <- function(columns) {
    found <- intersect(c("cell_type", "celltype", "labels"), columns)
    if (length(found)) {
        message("Labels: column \"", found[1], "\" (another with LABELS=)")
        found[1]
    }
}

cellTable <- function(x) {
    if (is(x, "SummarizedExperiment")) as.data.frame(SummarizedExperiment::colData(x)) else x[[]]
}

# All features of the model, or as many as make a result of 400 MB.
featuresThatFit <- function(reference, query, most = 5e7) {
    features <- isthmusModel(reference)@features
    if (length(features) * ncol(query) <= most) {
        return(NULL)
    }
    head(features, max(1, most %/% ncol(query)))
}

# --- words for the terminal --------------------------------------------------

steps <- new.env()
steps$started <- Sys.time()
steps$seconds <- numeric()

# Evaluate, say what it was and how long it took.
step <- function(words, value) {
    message("\n-- ", words)
    started <- Sys.time()
    force(value)
    seconds <- as.numeric(difftime(Sys.time(), started, units = "secs"))
    steps$seconds[words] <- seconds
    message(sprintf("   %.1f s", seconds))
    invisible(value)
}

# The steps so far, as rows for the report.
stepTimes <- function() {
    list(
        times = paste(sprintf("%s %.1f s", tolower(names(steps$seconds)), steps$seconds), collapse = ", "),
        date = format(Sys.time(), "%Y-%m-%d %H:%M UTC", tz = "UTC")
    )
}

described <- function(x) sprintf("%s of %d cells", class(x)[1], ncol(x))

sayWhere <- function(out, reference, query) {
    said <- c(
        "report.html" = "pictures, scores, coverage, versions: open it in a browser",
        "reference.rds" = paste(described(reference), "with its new reduction and the model"),
        "reference.h5ad" = "the same for Python",
        "query.rds" = if (!is.null(query)) {
            paste(described(query), "with reduction, labels and imputed assay")
        },
        "model/" = "loadModel() in R, isthmus.load() in Python"
    )
    total <- as.numeric(difftime(Sys.time(), steps$started, units = "secs"))
    message(sprintf("\nDone in %.0f s. In %s:", total, out))
    message(paste(sprintf("  %-15s %s", names(said), said), collapse = "\n"))
}
