# The same call without settings gives the same numbers in R and in Python.

pythonDefaults <- function(...) {
    isthmus:::.pythonSession()
    code <- "
def plain_defaults(path):
    import inspect, json
    import isthmus
    verb = isthmus
    for name in path.split('.'):
        verb = getattr(verb, name)
    found = {n: p.default for n, p in inspect.signature(verb).parameters.items()}
    return json.dumps({n: d for n, d in found.items() if isinstance(d, (bool, int, float, str))})
"
    env <- reticulate::py_run_string(code, local = TRUE)
    found <- lapply(c(...), function(path) jsonlite::fromJSON(as.character(env$plain_defaults(path))))
    do.call(c, found)
}

rDefaults <- function(verb, class) {
    method <- methods::unRematchDefinition(methods::selectMethod(verb, class))
    Filter(function(default) is.atomic(default) && !is.null(default), as.list(formals(method)))
}

test_that("settings that R names have Python's defaults", {
    skip_if_no_bridge("inprocess")
    verbs <- list(
        runSCALEX = "tl.scalex", runScDREAMER = "tl.scdreamer", runSAILERX = "tl.sailerx",
        runScI2CL = "tl.sci2cl", checkLabels = "tl.check_labels",
        runGLUE = c("genomics.guidance_graph", "tl.glue"), geneActivity = "genomics.guidance_graph"
    )
    counts <- vapply(names(verbs), function(verb) {
        python <- pythonDefaults(verbs[[verb]])
        r <- rDefaults(verb, "ANY")
        # the core has another word for the reference "PCA"
        shared <- setdiff(intersect(names(r), names(python)), "reference")
        for (name in shared) expect_equal(r[[name]], python[[name]], info = paste(verb, name))
        length(shared)
    }, numeric(1))
    expect_gte(min(counts), 2)
})
