# Loading isthmus starts nothing: no Python, no download, no sub-process.
# Python starts with the first call that needs it (see bridge.R).
.onLoad <- function(libname, pkgname) {
    invisible(NULL)
}
