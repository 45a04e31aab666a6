# RNA and ATAC of the same cells: which object holds each, what of it crosses, and
# where what is found out about the cells goes.

.pairedSystems <- c(sailerx = "SAILERX", sci2cl = "scI2CL")

.isPaired <- function(model) model@system %in% names(.pairedSystems)

# --- objects -----------------------------------------------------------------

.isShared <- function(x) .isSeurat(x) || is(x, "SummarizedExperiment")

# @param named list(rna, atac): what they are called in x; NULL for the usual names.
# @return list(x, parts, places, shared): parts is list(rna, atac) of list(x, assay, lent)
#   as of .modalities(), places their names in x, shared whether one object holds both.
.pairedHome <- function(x, named) {
    shared <- .isShared(x)
    usual <- if (.isSeurat(x)) c("RNA", "ATAC") else if (shared) c("main", "ATAC") else c("rna", "atac")
    places <- Map(function(name, usual) {
        .checkPlace(if (is.null(name)) usual else name)
    }, list(rna = named$rna, atac = named$atac), usual)
    if (places$rna == places$atac) {
        .stopInput(
            "two modalities", sprintf("%s for both RNA and ATAC", .quoted(places$rna)),
            "name the two by rna = and atac ="
        )
    }
    if (shared) {
        if (!.isSeurat(x)) x <- .asSCE(x)
        parts <- lapply(places, .partOfOne, x = x)
    } else {
        x <- .chosenOf(x, places)
        parts <- lapply(places, function(place) {
            .partsOfMany(setNames(list(x[[place]]), place), NULL)[[1]]
        })
        for (role in names(parts)) {
            .checkCellNames(parts[[role]]$x, places[[role]])
            parts[[role]]$lent <- .lentCells(x, places[[role]])
        }
    }
    list(x = x, parts = parts, places = unlist(places), shared = shared)
}

.checkPlace <- function(name, what = "an assay or experiment",
                        remedy = "write rna = \"RNA\", atac = \"peaks\"") {
    if (is.character(name) && length(name) == 1L && !is.na(name) && nzchar(name)) {
        return(name)
    }
    .stopInput(
        sprintf("the name of %s as one string", what),
        sprintf("%d values of class %s", length(name), .quoted(class(name)[1])),
        paste0(remedy, ", for example")
    )
}

.partOfOne <- function(x, place) {
    if (.isSeurat(x)) {
        return(list(x = x, assay = .seuratAssayName(x, place)))
    }
    list(x = .alternative(x, place, "name one of them with rna = or atac ="), assay = NULL)
}

# The container with both experiments in it, read where paths were given.
.chosenOf <- function(x, places) {
    several <- .isMultiAssay(x) || is.list(x) || is(x, "SimpleList") || (is.character(x) && length(x) > 1L)
    if (several) {
        for (role in names(places)) {
            if (places[[role]] %in% names(x)) next
            .stopInput(
                sprintf("an experiment %s with %s", .quoted(places[[role]]), toupper(role)),
                if (length(names(x))) sprintf("the experiments: %s", .listed(names(x))) else "no names in x",
                sprintf("say what it is called with %s =, or give list(rna = rna, atac = atac)", role)
            )
        }
    }
    if (.isMultiAssay(x)) {
        return(x)
    }
    if (!several) .experiments(x) # refuses
    x <- as.list(x)
    x[unlist(places)] <- .experiments(x[unlist(places)])
    x
}

.checkCellNames <- function(x, place, remedy = "name them: colnames(x) <- barcodes") {
    if (!is.null(.cellNames(x))) {
        return(invisible(NULL))
    }
    .stopInput(
        "cell names, as cells of the same name are the same cell",
        sprintf("none in %s", .quoted(place)), remedy
    )
}

.cellNames <- function(x) if (.isSeurat(x)) rownames(slot(x, "meta.data")) else colnames(x)

# Further cells with ATAC only, in an object of the same kind or of another.
.unpairedPart <- function(x, place) {
    if (is.character(x) && length(x) == 1L) x <- readStudy(x)
    if (!.isShared(x)) .refuseClass(x)
    if (.isSeurat(x)) {
        return(list(x = x, assay = .seuratAssayName(x, if (place %in% names(slot(x, "assays"))) place)))
    }
    x <- .asSCE(x)
    .checkCellNames(x, "unpaired")
    list(x = if (place %in% altExpNames(x)) .alternative(x, place) else x, assay = NULL)
}

# --- studies -----------------------------------------------------------------

# @param said list(batch, layer) and of scI2CL labels, as the user gave them.
# @return list(rna, atac), and unpaired where there are such cells, of studies.
.pairedStudies <- function(home, said, unpaired = NULL) {
    parts <- home$parts
    if (!is.null(unpaired)) parts$unpaired <- .unpairedPart(unpaired, home$places[["atac"]])
    said <- Map(function(given, what) {
        found <- .byModality(given, names(parts), what, cells = home$shared && what != "layer")
        # One value for every cell of one object says nothing of the cells of another.
        along <- length(given) > 1L && (is.null(names(given)) || !all(names(given) %in% names(parts)))
        if (along) found["unpaired"] <- list(NULL)
        found
    }, said, names(said))
    .oneLabelKey(.ownBatch(.studiesFor(parts, said)))
}

# Unpaired cells have their batches in a column of the same name as the others; those
# of which no batches are known are one of their own.
.ownBatch <- function(studies) {
    sides <- studies[c("atac", "unpaired")]
    known <- lapply(sides, `[[`, "batch")
    key <- .firstOf(known)
    if (is.null(studies$unpaired) || is.null(key)) {
        return(studies)
    }
    own <- c(atac = "paired", unpaired = "unpaired")
    for (side in names(sides)) {
        obs <- studies[[side]]$obs
        values <- if (is.null(known[[side]])) factor(rep(own[[side]], nrow(obs))) else obs[[known[[side]]]]
        studies[[side]]$obs[[key]] <- values
        studies[[side]]$batch <- key
    }
    studies
}

.firstOf <- function(x) Filter(Negate(is.null), x)[1][[1]]

# Types to learn from are in a column of the same name in both.
.oneLabelKey <- function(studies) {
    key <- .firstOf(lapply(studies, `[[`, "labels"))
    lapply(studies, function(study) {
        if (!is.null(study$labels)) {
            names(study$obs)[names(study$obs) == study$labels] <- key
            study$labels <- key
        }
        study
    })
}

# --- fit ---------------------------------------------------------------------

# @param system a name of .pairedSystems.
# @return x with the embedding and the model.
.fitPaired <- function(system, home, studies, settings, name, model_dir, verbose, call) {
    targets <- .pairedTargets(home, name)
    .checkPaired(home, targets)
    settings <- Filter(Negate(is.null), settings)
    of <- function(what) .givenOnly(lapply(studies[names(home$parts)], `[[`, what))
    labels <- .firstOf(of("labels"))
    folder <- .newModelFolder(model_dir)
    if (is.null(model_dir)) on.exit(unlink(folder, recursive = TRUE))
    result <- .core("fit_paired", .bundle(studies), c(
        list(system = system, folder = folder, batch_key = of("batch"), labels_key = labels), settings
    ), verbose)
    kept <- if (is.null(model_dir)) .keepFolder(folder, system) else folder
    read <- list(main = unlist(of("main")), batch = .commonKey(of("batch")), source = unlist(of("source")))
    provenance <- .provenance("fit", system, settings, read,
        seed = settings$seed, labels = labels, places = home$places)
    model <- .newModel(system, kept, result, provenance)
    z <- .pairedRows(result$embeddings, studies)
    .pairedInto(home, z, .measuredTables(result$measured, studies, targets), targets, function(x, target) {
        model@provenance$columns <- .measuredColumn(result, target)$columns
        .setRecord(.withoutOldFit(x, target$name), target$name, model)
    }, .pairedLog(paste0("run", .pairedSystems[[system]]), settings, call))
}

.pairedLog <- function(verb, settings, call) {
    function(x, assay) if (.isSeurat(x)) .logSeurat(x, verb, assay, settings, call) else x
}

# @return list of matrices with the cells as row names, by modality.
.pairedRows <- function(embeddings, studies) {
    Map(function(z, study) .checkedEmbedding(z, rownames(study$obs)), embeddings, studies[names(embeddings)])
}

# A cell's row, from whichever modality has it.
.distinctRows <- function(z) {
    z <- do.call(rbind, unname(z[intersect(c("atac", "rna"), names(z))]))
    z[!duplicated(rownames(z)), , drop = FALSE]
}

# --- what was measured of each cell ------------------------------------------

# @param measured NULL, or by modality "both", "rna" or "atac" of each cell.
# @return NULL, or a data.frame of one column with all cells as row names.
.measuredTables <- function(measured, studies, targets) {
    if (is.null(measured)) {
        return(NULL)
    }
    cells <- unlist(lapply(studies[names(measured)], function(study) rownames(study$obs)), use.names = FALSE)
    new <- !duplicated(cells)
    table <- data.frame(as.character(unlist(measured))[new], row.names = cells[new])
    setNames(table, .measuredColumn(list(measured = measured), targets[[1]])$columns)
}

# The part of a record that names the column of the object.
.measuredColumn <- function(result, target) {
    if (!is.null(result$measured)) list(columns = paste0(tolower(target$name), "_measured"))
}

# --- where results go --------------------------------------------------------

# In one object one place, in several the same in each.
# @param reduction,key of Seurat objects, where they are not made of the name.
.pairedTargets <- function(home, name, reduction = tolower(name), key = NULL) {
    lapply(if (home$shared) list(home$x) else lapply(home$parts, `[[`, "x"), function(x) {
        if (.isSeurat(x)) .seuratTarget(x, reduction, key) else .sceTarget(x, name)
    })
}

# @param z list by modality of rows named by cells.
# @param table NULL, or columns of the cells.
# @param record a function that puts what is known of the embedding into an object.
# @param log a function that logs the call in an object.
.pairedInto <- function(home, z, table, targets, record, log) {
    x <- home$x
    if (home$shared) {
        assays <- unlist(lapply(home$parts, `[[`, "assay"), use.names = FALSE)
        x <- record(x, targets[[1]])
        x <- .putCells(x, .distinctRows(z), table, targets[[1]], assays[length(assays)])
        return(log(x, paste(assays, collapse = ".")))
    }
    for (role in names(home$parts)) {
        part <- home$parts[[role]]
        one <- record(part$x, targets[[role]])
        one <- .putCells(one, z[[role]], table, targets[[role]], part$assay)
        x[[home$places[[role]]]] <- log(one, part$assay)
    }
    if (.isMultiAssay(x)) record(x, targets[[1]]) else x
}

# Rows in the order of the object's cells; NA where a cell has none. Seurat's own verbs
# take no NA: a reduction of SeuratObject 5 holds the other cells only.
.putCells <- function(x, z, table, target, assay) {
    keys <- .cellKeys(x)
    z <- z[match(keys, rownames(z)), , drop = FALSE]
    rownames(z) <- keys
    fewer <- .isSeurat(x) && "LayerData" %in% getNamespaceExports("SeuratObject")
    if (fewer) z <- z[!is.na(z[, 1]), , drop = FALSE]
    x <- .putEmbedding(x, z, target, assay)
    if (is.null(table)) x else .putColumns(x, table)
}
