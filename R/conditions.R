# Conditions that teach: the same words in R and in Python, and a class to catch.

# Stop because something the user gave cannot be used.
# @param expected What the call needs, without a closing full stop.
# @param found What was there instead, with a value.
# @param remedy What the user can do about it.
.stopInput <- function(expected, found, remedy, call = NULL) {
    stop(.teachingCondition("isthmus_input_error", expected, found, remedy, call))
}

# Stop because the machine lacks something: a package, a Python, a version.
.stopEnvironment <- function(expected, found, remedy, call = NULL) {
    classes <- c("isthmus_environment_error", "isthmus_input_error")
    stop(.teachingCondition(classes, expected, found, remedy, call))
}

.teachingCondition <- function(classes, expected, found, remedy, call = NULL) {
    message <- sprintf(
        "Expected %s.\nFound %s.\nRemedy: %s.", expected, found, remedy
    )
    structure(
        class = c(classes, "isthmus_error", "error", "condition"),
        list(
            message = message, call = call,
            expected = expected, found = found, remedy = remedy
        )
    )
}

# Classes of R for the core's errors; all of them are isthmus_error.
.errorClasses <- list(
    InputError = "isthmus_input_error",
    ModelFileError = c("isthmus_model_file_error", "isthmus_input_error"),
    EnvironmentProblem = c("isthmus_environment_error", "isthmus_input_error"),
    TrainingError = "isthmus_training_error"
)

# The R condition for an error that Python described.
# @param error list(class, expected, found, remedy) or list(class, message,
#   traceback).
.pythonCondition <- function(error, call = NULL) {
    classes <- .errorClasses[[error$class]]
    if (!is.null(classes)) {
        return(.teachingCondition(
            classes, error$expected, error$found, error$remedy, call
        ))
    }
    structure(
        class = c("isthmus_python_error", "isthmus_error", "error", "condition"),
        list(
            message = sprintf("%s in Python: %s", error$class, error$message),
            call = call, traceback = error$traceback
        )
    )
}

# Interrupt R as Ctrl-C does: a handler for "interrupt" may take it, else R
# goes back to its prompt.
.raiseInterrupt <- function() {
    condition <- structure(
        class = c("isthmus_interrupt", "interrupt", "condition"),
        list(message = "interrupted; nothing was changed", call = NULL)
    )
    signalCondition(condition)
    if (!interactive()) {
        stop("interrupted; nothing was changed", call. = FALSE)
    }
    invokeRestart("abort")
}
