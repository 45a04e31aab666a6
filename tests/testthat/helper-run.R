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

# Prints the words of a refusal; how testthat prints conditions depends on its
# version, the words do not.
refusal <- function(expr) {
    words <- tryCatch(
        {
            force(expr)
            "It was not refused"
        },
        isthmus_input_error = conditionMessage
    )
    cat(words, "", sep = "\n")
}

# The same numbers but for the last bits of float32: a library may split its sums
# otherwise in another process.
expectSameNumbers <- function(object, expected) {
    testthat::expect_equal(object, expected, tolerance = 1e-5)
}
