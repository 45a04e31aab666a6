# The main job of isthmus, from R: integrate the batches of a reference, project new
# cells onto it, give them labels, impute their expression, and look at it all.
#
#   Rscript demo.R                                    on cells that come with the dependencies
#   Rscript demo.R --data=x.h5ad --batch=donor        on yours (.h5ad or .rds)
#     [--query=y.rds] [--labels=cell_type] [--out=folder] [--values=lognorm]
#     [--query_values=counts] [--min_coverage=0.2] [--seed=0]

suppressPackageStartupMessages(library(isthmus))
source(system.file("scripts", "demo-helpers.R", package = "isthmus"))

job <- demoJob(demoArguments(commandArgs(TRUE)))

# 1. Integrate. The encoder never sees the batch, so what the batches share ends up
#    in the same place. The object comes back with one reduction more.
reference <- step("Fit SCALEX", runSCALEX(job$reference,
    batch = job$batch, values = job$values, seed = job$seed
))

# 2. New cells. Nothing is trained: the model that travels with the reference embeds
#    them, and their neighbours there name them. Genes that they lack are masked.
query <- job$query
if (!is.null(query)) {
    query <- step("Project the query", projectCells(query, reference,
        batch = job$query_batch, values = job$query_values, min_coverage = job$min_coverage
    ))
    if (!is.null(job$labels)) {
        query <- step("Transfer labels", transferLabels(query, reference, labels = job$labels))
        print(sort(table(label = query$scalex_label), decreasing = TRUE))
    }
    query <- step("Impute the query", imputeAssay(query,
        model = reference, features = job$impute(reference, query)
    ))
}

# 3. Keep. Each object holds its reduction, the reference also the model; the folder
#    of the model opens in R with loadModel(), in Python with isthmus.load().
step("Write the results", {
    saveModel(reference, file.path(job$out, "model"), overwrite = TRUE)
    writeStudy(reference, file.path(job$out, "reference.rds"), overwrite = TRUE)
    # The files above hold what an .h5ad file has no place for.
    suppressWarnings(writeStudy(reference, file.path(job$out, "reference.h5ad"), overwrite = TRUE))
    if (!is.null(query)) writeStudy(query, file.path(job$out, "query.rds"), overwrite = TRUE)
})

# 4. Look.
step("Write the report", writeReport(reference, query, file.path(job$out, "report.html"),
    labels = job$labels, markers = job$markers, query_values = job$query_values,
    title = job$title, notes = job$notes, facts = stepTimes(), overwrite = TRUE
))

sayWhere(job$out, reference, query)
