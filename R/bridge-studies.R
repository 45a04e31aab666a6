# Several studies in one call: a bundle, list(studies, tables). The tables reach the
# verb as settings; a data.frame of many rows has no place among those in JSON.

# @param studies named list of studies.
# @param tables named list of data.frames; NULL is not given.
.bundle <- function(studies, tables = list()) {
    list(studies = studies, tables = Filter(Negate(is.null), tables))
}

.isBundle <- function(x) is.list(x) && "studies" %in% names(x)

# What a call works on, as a list of studies: one, several or none.
.studiesOf <- function(x) {
    if (is.null(x)) list() else if (.isBundle(x)) x$studies else list(x)
}

# Stop unless everything in a study, or in several, can cross.
.refuseRequest <- function(x) {
    if (!.isBundle(x)) {
        return(.refuseStudy(x))
    }
    .refuseListNames(x$studies, "studies")
    for (name in names(x$studies)) {
        .refuseStudy(x$studies[[name]], sprintf("the modality %s", .quoted(name)))
    }
    for (name in names(x$tables)) .refuseFrame(x$tables[[name]], name)
}

.plainRequest <- function(x, matrix = .plainMatrix) {
    if (!.isBundle(x)) {
        return(.plainStudy(x, matrix))
    }
    list(
        studies = lapply(x$studies, .plainStudy, matrix = matrix),
        tables = .namedApply(x$tables, .plainFrame)
    )
}
