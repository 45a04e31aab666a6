test_that("settings are checked, named once, and whole numbers made integer", {
    settings <- isthmus:::.settings(n_latent = 10, kl_weight = 0.5, preset = NULL, max_steps = 1e5)
    expect_identical(settings$n_latent, 10L)
    expect_identical(settings$kl_weight, 0.5)
    expect_identical(settings$max_steps, 100000L)
    expect_snapshot({
        refusal(isthmus:::.settings(3))
        refusal(isthmus:::.settings(k = 1, k = 2))
        refusal(isthmus:::.settings(batch_key = "donor"))
        refusal(isthmus:::.settings(key_added = "z"))
        refusal(runSCALEX(smallSCE(), layer = "counts"))
    })
})

test_that("names that differ in _ and - are one feature, exact names first", {
    spell <- isthmus:::.modelSpelling
    expect_identical(spell(c("a-1", "b"), c("a_1", "b")), c("a_1", "b"))
    expect_identical(spell(c("a_1", "b"), c("a-1", "c")), c("a-1", "b"))
    # Exact match present: the near one is another feature.
    expect_identical(spell(c("a-1", "a_1"), "a_1"), c("a-1", "a_1"))
    # Two candidates on either side: left alone.
    expect_identical(spell(c("a_b-c", "a-b_c"), "a_b_c"), c("a_b-c", "a-b_c"))
    expect_identical(spell("a-b-c", c("a_b-c", "a-b_c")), "a-b-c")
    expect_identical(spell(character(), "a"), character())
})

test_that("single labels and features cross as vectors", {
    log <- localCore(core = function(verb, study, params) list())
    isthmus:::.core("labels", NULL, list(labels = "x", features = "g", k = 1L, none = NULL))
    params <- lastCall(log)$params
    expect_s3_class(params$labels, "AsIs")
    expect_s3_class(params$features, "AsIs")
    expect_identical(params$k, 1L)
    expect_false("none" %in% names(params))
})

test_that("quiet means no messages", {
    localCore(core = function(verb, study, params) message("epoch 1"))
    expect_message(isthmus:::.core("fit", NULL, list()), "epoch 1")
    expect_no_message(isthmus:::.core("fit", NULL, list(), verbose = FALSE))
})

test_that("a setting that Python does not know is refused in plain words", {
    failing <- function(words) {
        function(verb, study, params) {
            stop(structure(
                class = c("isthmus_python_error", "isthmus_error", "error", "condition"),
                list(message = words, call = NULL)
            ))
        }
    }
    localCore(core = failing("TypeError in Python: scalex() got an unexpected keyword argument 'n_latnt'"))
    expect_snapshot(refusal(isthmus:::.core("fit", NULL, list())))
    localCore(core = failing("KeyError in Python: 'n_latent'"))
    expect_error(isthmus:::.core("fit", NULL, list()), "KeyError", class = "isthmus_python_error")
})
