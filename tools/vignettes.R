# usage: Rscript vignettes.R FOLDER FILE    renders vignettes/*.Rmd into FOLDER and writes the closing line into FILE
arguments <- commandArgs(TRUE)
sources <- list.files("vignettes", pattern = "[.]Rmd$", full.names = TRUE)
built <- vapply(sources, function(source) {
    message("rendering ", source)
    tryCatch(
        {
            rmarkdown::render(
                source,
                output_dir = arguments[1], intermediates_dir = tempfile("vignette"),
                quiet = TRUE, envir = new.env()
            )
            TRUE
        },
        error = function(e) {
            message("FAILED ", source, ": ", conditionMessage(e))
            FALSE
        }
    )
}, logical(1))
writeLines(sprintf("vignettes: %d passed, %d failed", sum(built), sum(!built)), arguments[2])
quit(status = as.integer(!all(built)))
