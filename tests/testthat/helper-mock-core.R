# A core in R that does something simple and exact with what it is given, so that
# the handling of objects can be tested in milliseconds and without Python.

# @param log an environment: the calls are recorded in log$calls.
localCore <- function(log = new.env(), core = mockCore, env = parent.frame()) {
    log$calls <- list()
    replacement <- function(verb, study, params = list(), transport = NULL) {
        log$calls <- c(log$calls, list(list(verb = verb, study = study, params = params)))
        core(verb, study, params)
    }
    namespace <- asNamespace("isthmus")
    original <- get(".callCore", namespace)
    put <- function(value) {
        base::unlockBinding(".callCore", namespace)
        assign(".callCore", value, envir = namespace)
        base::lockBinding(".callCore", namespace)
    }
    put(replacement)
    withr::defer(put(original), envir = env)
    invisible(log)
}

lastCall <- function(log) log$calls[[length(log$calls)]]

mockCore <- function(verb, study, params) {
    switch(verb,
        fit = mockFit(study, params),
        info = mockInfo(params$folder),
        project = mockProject(study, params),
        labels = mockLabels(study, params),
        predict = mockPredict(study, params),
        impute = mockImpute(study, params),
        read = list(study = readRDS(params$path)),
        write = {
            saveRDS(study, params$path)
            list(path = params$path)
        },
        stop("no such verb: ", verb)
    )
}

studyMatrix <- function(study) {
    m <- as.matrix(study$assays[[study$main]])
    dimnames(m) <- list(rownames(study$var), rownames(study$obs))
    m
}

mockId <- function(study, features) {
    sprintf("%.6f", sum(studyMatrix(study)[features, ] * seq_along(features)))
}

# Column j of the embedding: sum over features of counts times cos(j * their rank).
mockEmbedding <- function(study, features, n_latent) {
    m <- studyMatrix(study)[features, , drop = FALSE]
    rank <- seq_along(features)
    z <- vapply(seq_len(n_latent), function(j) colSums(m * cos(j * rank)), numeric(ncol(m)))
    matrix(z, ncol(m), n_latent, dimnames = list(colnames(m), NULL))
}

mockFit <- function(study, params) {
    message("epoch 1: loss 1.0")
    features <- sort(head(rownames(study$var), params$n_features))
    folder <- params$folder
    dir.create(folder, recursive = TRUE)
    taught <- if (!is.null(params$labels_key)) study$obs[[params$labels_key]]
    model <- list(
        manifest = list(system = params$system, id = mockId(study, features)),
        history = data.frame(epoch = 1:2, train_loss = c(2, 1)),
        cells = rownames(study$obs), features = features,
        batches = if (!is.null(params$batch_key)) levels(study$obs[[params$batch_key]]),
        labels = levels(taught), n_latent = params$n_latent
    )
    saveRDS(model, file.path(folder, "arrays.safetensors"))
    writeLines("{}", file.path(folder, "manifest.json"))
    result <- c(list(embedding = mockEmbedding(study, features, params$n_latent)), model)
    if (is.null(taught)) result else c(result, mockTypes(taught))
}

# A cell's own label where it has one, for certain; else the first, by half.
mockTypes <- function(taught) {
    known <- !is.na(taught)
    list(
        label = ifelse(known, as.character(taught), levels(taught)[1]),
        confidence = ifelse(known, 1, 0.5)
    )
}

mockInfo <- function(folder) {
    path <- file.path(folder, "arrays.safetensors")
    if (!file.exists(path)) {
        isthmus:::.stopInput("a saved model", "a folder without arrays.safetensors", "save it again")
    }
    readRDS(path)
}

mockProject <- function(study, params) {
    model <- mockInfo(params$folder)
    shared <- intersect(model$features, rownames(study$var))
    result <- list(
        embedding = mockEmbedding(study, shared, model$n_latent),
        coverage = list(
            n_reference = length(model$features), n_found = length(shared),
            missing = setdiff(model$features, shared)
        )
    )
    if (model$manifest$system == "scalex") {
        return(result)
    }
    batches <- if (!is.null(params$batch_key)) levels(study$obs[[params$batch_key]])
    c(result, list(
        known_batches = intersect(batches, model$batches), new_batches = setdiff(batches, model$batches)
    ))
}

# By the first coordinate of the cell: which of the model's labels.
mockPredict <- function(study, params) {
    model <- mockInfo(params$folder)
    z <- study$reducedDims$embedding
    if (is.null(z)) z <- mockEmbedding(study, model$features, model$n_latent)
    share <- unname(abs(z[, 1])) %% 1
    list(label = model$labels[1 + floor(share * length(model$labels))], confidence = share)
}

# The label of the cell of the same name, else "unknown".
mockLabels <- function(study, params) {
    model <- mockInfo(params$folder)
    hit <- match(rownames(study$obs), model$cells)
    label <- unlist(params$labels)[hit]
    list(
        label = ifelse(is.na(label), "unknown", label),
        confidence = as.numeric(!is.na(label))
    )
}

# The first coordinate of the cell times the rank of the feature.
mockImpute <- function(study, params) {
    model <- mockInfo(params$folder)
    features <- if (is.null(params$features)) model$features else unlist(params$features)
    z <- study$reducedDims$embedding
    if (is.null(z)) z <- mockEmbedding(study, model$features, model$n_latent)
    values <- outer(match(features, model$features), unname(z[, 1]))
    if (!is.null(params$file)) {
        unlink(params$file)
        rhdf5::h5createFile(params$file)
        rhdf5::h5write(values, params$file, "values")
        return(list(file = params$file, dataset = "values", features = features))
    }
    list(values = values, features = features)
}
