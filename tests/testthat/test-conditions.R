test_that("a refusal says what was expected, what was found and what to do", {
    caught <- tryCatch(
        isthmus:::.stopInput("counts", "a value of -1", "give raw counts"),
        error = identity
    )
    expect_s3_class(caught, c("isthmus_input_error", "isthmus_error", "error"))
    expect_identical(
        conditionMessage(caught),
        "Expected counts.\nFound a value of -1.\nRemedy: give raw counts."
    )
    expect_identical(caught$expected, "counts")
    expect_identical(caught$found, "a value of -1")
    expect_identical(caught$remedy, "give raw counts")
    expect_null(conditionCall(caught))
})

test_that("every error of the core has its class in R", {
    words <- list(expected = "a", found = "b", remedy = "c")
    classes <- list(
        InputError = "isthmus_input_error",
        ModelFileError = "isthmus_model_file_error",
        EnvironmentProblem = "isthmus_environment_error",
        TrainingError = "isthmus_training_error"
    )
    for (name in names(classes)) {
        condition <- isthmus:::.pythonCondition(c(list(class = name), words))
        expect_s3_class(condition, c(classes[[name]], "isthmus_error"))
        expect_identical(conditionMessage(condition), "Expected a.\nFound b.\nRemedy: c.")
        # Training that went wrong is no input error; the three others are.
        expect_identical(inherits(condition, "isthmus_input_error"), name != "TrainingError")
    }
    other <- isthmus:::.pythonCondition(list(class = "KeyError", message = "'x'", traceback = "lines"))
    expect_s3_class(other, c("isthmus_python_error", "isthmus_error"))
    expect_identical(conditionMessage(other), "KeyError in Python: 'x'")
    expect_identical(other$traceback, "lines")
})

test_that("an interrupt can be caught as one, and is an error where nobody watches", {
    expect_identical(
        tryCatch(isthmus:::.raiseInterrupt(), interrupt = function(condition) "caught"), "caught"
    )
    skip_if(interactive())
    expect_error(isthmus:::.raiseInterrupt(), "interrupted; nothing was changed")
})
