#' @rdname runSCALEX
#' @export
setGeneric("runSCALEX", function(x, ...) standardGeneric("runSCALEX"))

#' @rdname runScDREAMER
#' @export
setGeneric("runScDREAMER", function(x, ...) standardGeneric("runScDREAMER"))

#' @rdname projectCells
#' @export
setGeneric("projectCells",
    function(query, reference, ...) standardGeneric("projectCells"),
    signature = "query"
)

#' @rdname transferLabels
#' @export
setGeneric("transferLabels",
    function(query, reference, ...) standardGeneric("transferLabels"),
    signature = "query"
)

#' @rdname predictLabels
#' @export
setGeneric("predictLabels",
    function(query, reference, ...) standardGeneric("predictLabels"),
    signature = "query"
)

#' @rdname imputeAssay
#' @export
setGeneric("imputeAssay", function(x, ...) standardGeneric("imputeAssay"))

#' @rdname geneActivity
#' @export
setGeneric("geneActivity", function(x, ...) standardGeneric("geneActivity"))

#' @rdname isthmusModel
#' @export
setGeneric("isthmusModel", function(x, ...) standardGeneric("isthmusModel"))

#' @rdname runGLUE
#' @export
setGeneric("runGLUE", function(x, ...) standardGeneric("runGLUE"))

#' @rdname runSAILERX
#' @export
setGeneric("runSAILERX", function(x, ...) standardGeneric("runSAILERX"))

#' @rdname runScI2CL
#' @export
setGeneric("runScI2CL", function(x, ...) standardGeneric("runScI2CL"))

#' @rdname checkLabels
#' @export
setGeneric("checkLabels", function(x, ...) standardGeneric("checkLabels"))

#' @rdname makeMetacells
#' @export
setGeneric("makeMetacells", function(x, ...) standardGeneric("makeMetacells"))
