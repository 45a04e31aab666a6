# Verbs of a fitted model that knows several modalities: which of them a query is.

.isMultiModal <- function(model) length(model@provenance$modalities) > 1L && !.isPaired(model)

# The settings of a verb, with the modality of the query among them.
.withModality <- function(settings, query, model, batch = NULL) {
    if (!.isMultiModal(model)) {
        return(settings)
    }
    known <- names(model@provenance$modalities)
    if (is.null(settings$modality)) settings$modality <- .modalityOf(query, model)
    if (length(settings$modality) != 1L || !settings$modality %in% known) {
        .stopInput(
            sprintf("the modality of these cells, one of %s", .quoted(known)),
            if (is.null(settings$modality)) "none" else .quoted(settings$modality),
            sprintf("name it with modality = %s, for example", .quoted(known[length(known)]))
        )
    }
    if (!is.null(batch)) {
        .stopInput(
            "no batch of new cells for a model of GLUE, whose encoders know none",
            "batch =", "leave it out"
        )
    }
    settings
}

# Cells that the model was fitted on know their modality, where they are of one.
.modalityOf <- function(query, model) {
    for (record in .copiesHeld(query, model)) {
        places <- names(record@provenance$embeddings)
        if (length(places) == 1L) {
            return(places)
        }
    }
    .projectionBy(query, model)$provenance$settings$modality
}

# The first of the modalities that is another one than this.
.otherModality <- function(given, modality, model) {
    known <- setdiff(names(model@provenance$modalities), modality)
    if (is.null(given)) {
        return(known[1])
    }
    if (length(given) != 1L || !given %in% names(model@provenance$modalities)) {
        .stopInput(
            sprintf("a modality of the model, such as %s", .quoted(known[1])), .quoted(given),
            "give the name of one of its modalities"
        )
    }
    given
}

# A model that remembers the reference cells of one modality only.
.votersOf <- function(model, modality) {
    sizes <- model@provenance$modalities
    model@cells <- model@cells[rep(names(sizes), sizes) == modality]
    model
}

# The object that holds a modality, of a reference of several, to read its cell data.
.experimentOf <- function(reference, modality) {
    several <- .isMultiAssay(reference) || (is.list(reference) && modality %in% names(reference))
    if (several) .lent(reference[[modality]], .lentCells(reference, modality)) else reference
}

# Cells with all their values, and the embedding that this model made of them.
.modalityStudy <- function(x, model, place, settings) {
    study <- .queryStudy(x, model, place$assay, place$layer, place$values, NULL, settings$modality)
    z <- if (!length(place)) .embeddingBy(x, model, settings$modality)
    if (!is.null(z)) study$reducedDims <- list(embedding = z[rownames(study$obs), , drop = FALSE])
    study
}
