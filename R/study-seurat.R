# Seurat 4 and 5, told apart by what the object holds and not by its version.
# Slots are read and written directly: an object saved with Signac opens without
# it, but every generic that meets its ChromatinAssay fails.

.needSeuratObject <- function() {
    if (requireNamespace("SeuratObject", quietly = TRUE)) {
        return(invisible(NULL))
    }
    .stopInput(
        "the R package SeuratObject, to read a Seurat object",
        "it is not installed", "install.packages(\"SeuratObject\")"
    )
}

# Functions that only SeuratObject 5 has cannot be written as SeuratObject::f.
.seuratFunction <- function(name) {
    if (!name %in% getNamespaceExports("SeuratObject")) {
        .stopInput(
            "SeuratObject 5 or later, for an assay with layers",
            sprintf(
                "SeuratObject %s", as.character(packageVersion("SeuratObject"))
            ),
            "update SeuratObject: install.packages(\"SeuratObject\")"
        )
    }
    getExportedValue("SeuratObject", name)
}

# @return list(matrix, main, cells, features, source, split): split is NULL, or
#   for a split layer the part that each cell came from.
.seuratMatrix <- function(x, assay = NULL, layer = NULL, values = "counts") {
    .needSeuratObject()
    name <- .seuratAssayName(x, assay)
    held <- slot(x, "assays")[[name]]
    if (is.null(layer)) {
        layer <- if (identical(values, "lognorm")) "data" else "counts"
    }
    if (is.list(attr(held, "layers"))) {
        part <- .layerV5(held, layer, name)
    } else {
        part <- .layerV4(held, layer, name)
    }
    keys <- .cellKeys(x)
    cells <- keys[keys %in% colnames(part$matrix)]
    m <- part$matrix
    if (!identical(cells, colnames(m))) m <- m[, cells, drop = FALSE]
    list(
        matrix = m, main = layer, cells = cells, features = rownames(m),
        source = class(x)[1], assay = name, split = part$split[cells]
    )
}

.seuratAssayName <- function(x, assay = NULL) {
    available <- names(slot(x, "assays"))
    if (is.null(assay)) assay <- slot(x, "active.assay")
    if (length(assay) == 1L && assay %in% available) {
        return(assay)
    }
    .stopInput(
        sprintf("an assay named %s", .quoted(assay)),
        sprintf("the assays: %s", .listed(available)),
        "name one of these assays"
    )
}

# Assay, SCTAssay, ChromatinAssay: an absent layer is a matrix of 0 x 0.
.layerV4 <- function(held, layer, name) {
    m <- attr(held, layer)
    if (is.null(m) || any(dim(m) == 0L)) {
        slots <- c("counts", "data", "scale.data")
        filled <- vapply(slots, function(s) {
            m <- attr(held, s)
            !is.null(m) && all(dim(m) > 0L)
        }, logical(1))
        .refuseLayer(layer, slots[filled], name)
    }
    .refuseBPCells(m, name)
    list(matrix = m, split = NULL)
}

# Assay5: one layer, or one for each part of a split assay. Parts are joined on
# a copy, the user's object stays split.
.layerV5 <- function(held, layer, name) {
    layers <- attr(held, "layers")
    layerData <- .seuratFunction("LayerData")
    if (layer %in% names(layers)) {
        .refuseBPCells(layers[[layer]], name)
        return(list(matrix = layerData(held, layer = layer), split = NULL))
    }
    parts <- names(layers)[startsWith(names(layers), paste0(layer, "."))]
    if (!length(parts)) .refuseLayer(layer, names(layers), name)
    for (part in parts) .refuseBPCells(layers[[part]], name)
    split <- lapply(parts, function(part) {
        cells <- SeuratObject::Cells(held, layer = part)
        label <- substring(part, nchar(layer) + 2L)
        setNames(rep(label, length(cells)), cells)
    })
    joined <- .seuratFunction("JoinLayers")(held, layers = layer)
    list(
        matrix = layerData(joined, layer = layer), split = unlist(split)
    )
}

.assayFeatures <- function(held) {
    rownames(attr(held, if (is.list(attr(held, "layers"))) "features" else "data"))
}

.refuseLayer <- function(layer, available, name) {
    .stopInput(
        sprintf("a layer %s in assay %s", .quoted(layer), .quoted(name)),
        sprintf("the layers: %s", .listed(available)),
        "name the layer to use with layer ="
    )
}

# BPCells matrices are queues of operations on disk that only BPCells can run.
.refuseBPCells <- function(m, name) {
    if (!identical(attr(class(m), "package"), "BPCells")) {
        return(invisible(NULL))
    }
    .stopInput(
        sprintf("assay %s in memory or in HDF5", .quoted(name)),
        sprintf("a BPCells matrix of class %s", .quoted(class(m)[1])),
        paste(
            "bring it into memory, object[[\"RNA\"]]$counts <-",
            "as(object[[\"RNA\"]]$counts, \"dgCMatrix\"), or use an .h5ad file"
        )
    )
}

# --- reductions --------------------------------------------------------------

.seuratTarget <- function(x, name, key = NULL) {
    .needSeuratObject()
    if (is.null(key)) {
        key <- paste0(gsub("[^[:alnum:]]", "", tolower(name)), "_")
    }
    if (!grepl("^[[:alnum:]]+_$", key)) {
        .stopInput(
            "a reduction key of letters and digits that ends in _",
            .quoted(key), "for example reduction.key = \"scalex_\""
        )
    }
    if (name %in% names(slot(x, "reductions"))) {
        if (is.null(.ownRecord(x, name))) {
            .refuseTaken(
                "reduction", name, "choose another with reduction.name ="
            )
        }
    } else if (name %in% c(.seuratNames(x), names(slot(x, "meta.data")))) {
        .refuseTaken("reduction", name, "choose another with reduction.name =")
    }
    .checkKey(x, name, key)
    list(name = name, key = key)
}

# A Seurat object finds assays, reductions and graphs by name: one name each.
.seuratNames <- function(x) {
    homes <- c("assays", "reductions", "graphs", "images")
    unlist(lapply(homes, function(home) names(attr(x, home))))
}

.checkKey <- function(x, name, key) {
    holders <- c(slot(x, "assays"), slot(x, "reductions"))
    holders <- holders[names(holders) != name]
    keys <- vapply(holders, function(held) {
        key <- attr(held, "key")
        if (length(key)) as.character(key)[1] else ""
    }, character(1))
    if (!key %in% keys) {
        return(invisible(NULL))
    }
    .stopInput(
        sprintf("a key that nothing else uses for reduction %s", .quoted(name)),
        sprintf("%s, the key of %s", .quoted(key), .quoted(names(keys)[keys == key])),
        "choose another with reduction.key ="
    )
}

.putReduction <- function(x, z, target, assay) {
    colnames(z) <- paste0(target$key, seq_len(ncol(z)))
    loadings <- new("matrix")
    if (!is.null(target$loadings)) loadings <- .namedLoadings(target$loadings, colnames(z))
    slot(x, "reductions")[[target$name]] <- SeuratObject::CreateDimReducObject(
        embeddings = z, loadings = loadings, key = target$key, assay = assay,
        stdev = unname(apply(z, 2L, stats::sd))
    )
    x
}

# --- imputed values ----------------------------------------------------------

# Seurat forbids "_" in feature names; the originals are kept beside the assay.
# @param values matrix, features x cells, with dimnames.
.putImputedSeurat <- function(x, values, name) {
    original <- rownames(values)
    dashed <- gsub("_", "-", original, fixed = TRUE)
    if (anyDuplicated(dashed)) {
        .stopInput(
            "feature names that stay unique when _ becomes -, as Seurat asks",
            .listed(original[dashed %in% dashed[duplicated(dashed)]], 4L),
            "impute a subset of them with features ="
        )
    }
    key <- paste0("imputed", gsub("[^[:alnum:]]", "", tolower(name)), "_")
    .checkKey(x, name, key)
    dimnames(values) <- list(dashed, colnames(values))
    assay <- .dataAssay(values)
    attr(assay, "key") <- key
    slot(x, "assays")[[name]] <- assay
    changed <- dashed != original
    if (any(changed)) {
        map <- data.frame(seurat = dashed[changed], original = original[changed])
        x <- .setRecord(x, "featureNames", unique(rbind(.records(x)$featureNames, map)))
    }
    x
}

# An Assay5 where there is one. It stores sparse matrices only, and cannot hold a
# single feature (SeuratObject 5.0 drops its dimension).
.dataAssay <- function(values) {
    five <- "CreateAssay5Object" %in% getNamespaceExports("SeuratObject")
    if (five && nrow(values) > 1L) {
        return(.seuratFunction("CreateAssay5Object")(
            data = as(values, "CsparseMatrix")
        ))
    }
    SeuratObject::CreateAssayObject(data = values)
}

# --- log ---------------------------------------------------------------------

# The entry that LogSeuratCommand() would make; it reads its caller's frame,
# which here is ours and not the user's.
.logSeurat <- function(x, verb, assay, settings, call) {
    text <- paste(trimws(deparse(call, width.cutoff = 500L)), collapse = " ")
    name <- paste(verb, assay, sep = ".")
    class <- methods::getClass(
        "SeuratCommand", where = asNamespace("SeuratObject")
    )
    slot(x, "commands")[[name]] <- new(class,
        name = name, time.stamp = Sys.time(), assay.used = assay,
        call.string = text, params = settings
    )
    x
}

# --- whole objects -----------------------------------------------------------

.wholeStudySeurat <- function(x) {
    .needSeuratObject()
    main <- slot(x, "active.assay")
    study <- .assayStudy(x, main)
    cells <- rownames(study$obs)
    study$obs <- slot(x, "meta.data")[cells, , drop = FALSE]
    others <- setdiff(names(slot(x, "assays")), main)
    others <- lapply(setNames(others, others), function(name) .assayStudy(x, name))
    study$altExps <- Filter(
        function(other) identical(rownames(other$obs), cells), others
    )
    study$reducedDims <- lapply(slot(x, "reductions"), function(held) {
        z <- attr(held, "cell.embeddings")
        z[match(cells, rownames(z)), , drop = FALSE]
    })
    study
}

.assayStudy <- function(x, name) {
    kinds <- .layerKinds(slot(x, "assays")[[name]])
    if (!length(kinds)) kinds <- "counts"
    found <- lapply(setNames(kinds, kinds), function(kind) {
        .seuratMatrix(x, name, kind)
    })
    list(
        assays = lapply(found, `[[`, "matrix"), main = names(found)[1],
        obs = data.frame(row.names = found[[1]]$cells),
        var = data.frame(row.names = found[[1]]$features),
        reducedDims = list(), altExps = list()
    )
}

# Layers of an assay that go into files; scaled values are made anew.
.layerKinds <- function(held) {
    kinds <- c("counts", "data")
    layers <- attr(held, "layers")
    present <- if (is.list(layers)) {
        vapply(kinds, function(kind) {
            any(names(layers) == kind | startsWith(names(layers), paste0(kind, ".")))
        }, logical(1))
    } else {
        vapply(kinds, function(kind) all(dim(attr(held, kind)) > 0L), logical(1))
    }
    kinds[present]
}
