# Verbs of a model of RNA and ATAC: what of an object is shown to it.

# What such a model sees of a cell.
.shownRoles <- list(sailerx = "atac", sci2cl = c("rna", "atac"))

.rolesOf <- function(model) .shownRoles[[model@system]]

# What such a model has to be told, and what it has no use for.
# @param settings of the verb; `rna` and `atac` among them say where the two are.
# @return list(settings without these two, place with them).
.pairedPlace <- function(settings, place, model) {
    title <- .pairedSystems[[model@system]]
    if (!is.null(place$batch)) {
        .stopInput(
            sprintf("no batch of new cells for a model of %s, whose encoder knows none", title),
            "batch =", "leave it out"
        )
    }
    if (!is.null(place$values) && !identical(place$values, "counts")) {
        .stopInput(
            sprintf("counts for a model of %s", title),
            sprintf("values = %s", .listed(.quotedEach(place$values), 3L)),
            "name the assay with counts with assay = or layer ="
        )
    }
    named <- intersect(c("rna", "atac"), names(settings))
    place[named] <- lapply(settings[named], .checkPlace)
    place$values <- NULL
    list(settings = settings[setdiff(names(settings), named)], place = place)
}

# --- what is shown -----------------------------------------------------------

# @return list(x, parts, places, shared) as of .pairedHome(). Of several objects the
#   parts are both, where there are both: each gets the embedding of its own cells.
.pairedQuery <- function(x, model, place) {
    if (.isShared(x)) {
        return(list(x = x, parts = .shownParts(x, model, place), shared = TRUE))
    }
    roles <- c("rna", "atac")
    usual <- lapply(setNames(roles, roles), function(role) {
        known <- as.character(c(model@provenance$places[role], role))
        head(intersect(known, names(x)), 1L)
    })
    named <- intersect(roles, names(place))
    places <- if (length(named)) place[named] else usual[lengths(usual) > 0L]
    if (!any(.rolesOf(model) %in% names(places))) {
        .stopInput(
            sprintf("an experiment with %s", paste(toupper(.rolesOf(model)), collapse = " or ")),
            sprintf("the experiments: %s", .listed(names(x))),
            sprintf("say what it is called, as in %s = \"my name\"", .rolesOf(model)[1])
        )
    }
    x <- .chosenOf(x, places)
    parts <- lapply(places, function(name) .partsOfMany(setNames(list(x[[name]]), name), NULL)[[1]])
    list(x = x, parts = parts, places = unlist(places), shared = FALSE)
}

# Of one object: what the user names and nothing else; or for each role the first of
# what was it in the fit, what usually is it, and the object itself that has any of its
# features.
# @return list by role of list(x, assay).
.shownParts <- function(x, model, place) {
    roles <- .rolesOf(model)
    named <- intersect(roles, names(place))
    if (length(named)) {
        return(lapply(place[named], function(name) {
            part <- .partOfOne(x, name)
            if (!.isSeurat(x)) part$assay <- place$assay
            part
        }))
    }
    itself <- list(x = x, assay = if (.isSeurat(x)) .seuratAssayName(x, place$assay) else place$assay)
    found <- lapply(setNames(roles, roles), function(role) {
        usual <- c(model@provenance$places[role], if (role == "rna") c("RNA", "main") else "ATAC")
        held <- if (.isSeurat(x)) names(slot(x, "assays")) else c("main", altExpNames(x))
        parts <- if (is.null(place$assay)) lapply(intersect(usual, held), .partOfOne, x = x)
        features <- .featuresOf(model, role)
        Find(function(part) {
            any(.modelSpelling(.partFeatures(part), features) %in% features)
        }, c(parts, list(itself)))
    })
    found <- Filter(Negate(is.null), found)
    if (length(found)) {
        return(found)
    }
    # The core says how much it lacks.
    if (length(roles) == 1L) setNames(list(itself), roles) else .refuseUnnamed(x)
}

.partFeatures <- function(part) {
    if (!.isSeurat(part$x)) {
        return(rownames(part$x))
    }
    .assayFeatures(slot(part$x, "assays")[[part$assay]])
}

# Those of the model that belong to a modality: the genes come first.
.featuresOf <- function(model, role) {
    sizes <- model@manifest$facts$n_features
    if (length(sizes) < 2L) {
        return(model@features)
    }
    genes <- seq_along(model@features) <= sizes[["rna"]]
    model@features[if (role == "rna") genes else !genes]
}

.refuseUnnamed <- function(x) {
    .stopInput(
        "features of the model in one of the feature sets of these cells",
        sprintf(
            "none in: %s", .listed(if (.isSeurat(x)) names(slot(x, "assays")) else c("main", altExpNames(x)))
        ),
        "check that features are named as in the reference, or say where they are with rna = and atac ="
    )
}

# @return a study, or a bundle of them for a model that sees both.
.shownStudies <- function(parts, model, layer = NULL) {
    studies <- lapply(parts[intersect(.rolesOf(model), names(parts))], function(part) {
        .queryStudy(part$x, model, part$assay, layer)
    })
    if (length(.rolesOf(model)) == 1L) studies[[1]] else .bundle(studies)
}

# Cells for labels and imputation: with the embedding that the model made of them, or
# whole. Cells without a row in it are none of them.
.pairedStudy <- function(x, model, place, settings, own) {
    z <- .embeddingBy(x, model)
    if (!is.null(z)) z <- z[!is.na(z[, 1]), , drop = FALSE]
    if (NROW(z) && !length(place) && all(names(settings) %in% own)) {
        return(.bareStudy(x, z))
    }
    .shownStudies(.shownParts(if (.isSeurat(x)) x else .asSCE(x), model, place), model, place$layer)
}

# --- project -----------------------------------------------------------------

# @param query one object, or several by name: each gets the embedding of its own cells.
.projectPaired <- function(query, model, settings, place, name, key, verbose, call = NULL) {
    told <- .pairedPlace(settings, place, model)
    home <- .pairedQuery(query, model, told$place)
    targets <- .pairedTargets(home, .nameOr(name, model), .nameOr(name, model, tolower), key)
    .checkPaired(home, targets, model)
    study <- .shownStudies(home$parts, model, place$layer)
    result <- .core("project", study, c(list(folder = .modelFolder(model)), told$settings), verbose)
    several <- .isBundle(study)
    studies <- if (several) study$studies else list(atac = study)
    z <- .pairedRows(if (several) result$embeddings else list(atac = result$embedding), studies)
    if (verbose) for (one in if (several) result$coverage else list(result$coverage)) .sayCoverage(one)
    renamed <- lapply(studies, `[[`, "renamed")
    record <- list(
        coverage = result$coverage, renamed = if (several) renamed else renamed[[1]],
        provenance = .provenance("project", model@system, told$settings, studies[[1]],
            model = .modelId(model), features = length(model@features))
    )
    # What is known of a cell holds for it in every object.
    z <- lapply(home$parts, function(part) .distinctRows(z))
    .pairedInto(home, z, .measuredTables(result$measured, studies, targets), targets, function(x, target) {
        .setProjection(x, c(list(name = target$name), record, .measuredColumn(result, target)))
    }, .pairedLog("projectCells", told$settings, call))
}

# Before anything runs: the places are free, or hold what this model made.
.checkPaired <- function(home, targets, model = NULL) {
    objects <- if (home$shared) list(home$x) else lapply(home$parts, `[[`, "x")
    for (i in seq_along(objects)) {
        name <- targets[[i]]$name
        if (!is.null(model)) .keepOtherModel(objects[[i]], name, model)
        .checkColumns(objects[[i]], paste0(tolower(name), "_measured"))
    }
}

# --- labels ------------------------------------------------------------------

# Labels of several objects by one column, of those that have it.
.labelsOfMany <- function(objects, column) {
    if (.isMultiAssay(objects)) {
        objects <- Map(function(one, name) {
            .lent(one, .lentCells(objects, name))
        }, .experiments(objects), names(objects))
    }
    has <- vapply(objects, function(one) .isShared(one) && column %in% colnames(.cellData(one)), NA)
    if (!any(has)) {
        .stopInput(
            "a label column in one of the reference's objects",
            sprintf("no column %s in %s", .quoted(column), .listed(names(objects))),
            "name one of theirs with labels ="
        )
    }
    found <- unlist(lapply(unname(as.list(objects)[has]), .namedLabels, column = column))
    found[!duplicated(names(found))]
}
