# Tests of the real core: skipped where there is none, unless it is required.
skip_if_no_core <- function() {
    if (isthmusReady()) {
        return(invisible(NULL))
    }
    if (identical(Sys.getenv("ISTHMUS_REQUIRE_CORE"), "1")) {
        stop("ISTHMUS_REQUIRE_CORE is set, but no Python with isthmus was found", call. = FALSE)
    }
    skip("no Python with isthmus was found")
}
