#' Is the Python core at hand?
#'
#' @description
#' `TRUE` where the verbs can run: a Python with isthmus and its packages was
#' found. Python is asked from outside and not started in this session. Examples
#' use it to run only where they can; [isthmusEnvironment()] says what is missing.
#'
#' @return `TRUE` or `FALSE`.
#' @seealso [installIsthmus()] makes such a Python.
#' @examples
#' isthmusReady()
#' @export
isthmusReady <- function() {
    tryCatch(
        {
            .findPython()
            TRUE
        },
        isthmus_error = function(condition) FALSE
    )
}
