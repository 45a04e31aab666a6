#' isthmus: integration of single-cell data across batches and languages
#'
#' A fitted model turns cells of many batches into one embedding. New cells are
#' projected into it without training, labels travel from reference to query
#' with a confidence, and values can be imputed. The verbs take a
#' [SingleCellExperiment::SingleCellExperiment], a Seurat object (version 4 or
#' 5) or the path of an `.h5ad` or `.rds` file, and give the same object back
#' with what was asked added to it and nothing else changed.
#'
#' @section The verbs:
#' * [runSCALEX()] and [runScDREAMER()] fit a model and add the embedding.
#' * [runSAILERX()] and [runScI2CL()] do so for cells with RNA and chromatin, [runGLUE()] for
#'   modalities that share no cells, along a [guidanceGraph()]; [peakGeneLinks()] gives the
#'   links between peaks and genes, [plotLinks()] draws them, [tfTargets()] finds targets of
#'   transcription factors through them; [plotModalities()] draws the cells, and
#'   [integrationConsistency()] tells whether to trust their alignment.
#' * [projectCells()] places new cells in that embedding. [makeMetacells()] sums up the cells
#'   of an atlas, so that it is fitted in the time of a study before all are placed.
#' * [transferLabels()] gives them the labels of their reference neighbours;
#'   [predictLabels()] asks a model that was fitted with labels.
#' * [imputeAssay()] adds denoised, batch-free values; [geneActivity()] sums imputed peaks
#'   by gene.
#' * [isthmusModel()], [saveModel()] and [loadModel()] handle the fitted model.
#' * [writeReport()] shows it all on one HTML page.
#' * [readStudy()] and [writeStudy()] exchange `.h5ad` files with Python.
#' * [simulateMultiome()] makes example data with a known truth.
#'
#' @section Where things are kept:
#' The embedding is a `reducedDim` or a Seurat reduction. The model and the
#' record of how it was made (versions, seed, settings, features, batch, time)
#' are in `metadata(sce)$isthmus`, or in `misc$isthmus` of a Seurat object, and
#' so survive `saveRDS()`.
#'
#' @importFrom methods new is as slot slot<- slotNames setClass setGeneric
#'   setMethod setValidity validObject show callNextMethod
#' @importFrom SingleCellExperiment SingleCellExperiment reducedDim reducedDim<-
#'   reducedDims reducedDimNames altExp<- altExps altExpNames
#' @importFrom SummarizedExperiment assay assay<- assays assays<- assayNames
#'   colData colData<- rowData
#' @importClassesFrom SummarizedExperiment SummarizedExperiment
#' @importClassesFrom SingleCellExperiment SingleCellExperiment
#' @importFrom S4Vectors metadata metadata<- DataFrame
#' @importFrom stats setNames
#' @importFrom utils head packageVersion
#' @keywords internal
"_PACKAGE"
