"""R for the tests of the bridge: Python is the host here; the R tests cover the other way round."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def ri():
    """``rpy2.rinterface`` with R started; skipped where there is no R or no rpy2."""
    rinterface = pytest.importorskip("rpy2.rinterface", reason="needs rpy2 and R")
    rinterface.initr()
    return rinterface


@pytest.fixture(scope="session")
def r(ri):
    """Evaluate R code and give the R object."""

    def evaluate(code: str):
        expression = ri.baseenv["parse"](text=ri.StrSexpVector([code]))
        return ri.baseenv["eval"](expression, ri.baseenv["globalenv"]())

    return evaluate


@pytest.fixture(scope="session")
def bioconductor(r):
    """R with SingleCellExperiment and Matrix loaded."""
    found = r('suppressMessages(require("SingleCellExperiment") && require("Matrix"))')
    if not found[0]:
        pytest.skip("needs the R package SingleCellExperiment")
    return r


@pytest.fixture
def sce(bioconductor):
    """A SingleCellExperiment with something of everything, as the R variable ``sce``."""
    bioconductor("""{
        set.seed(1)
        m <- round(abs(Matrix::rsparsematrix(30, 12, 0.3)) * 10)
        dimnames(m) <- list(paste0("g_", 1:30), paste0("cell", 1:12))
        sce <- SingleCellExperiment(
            list(counts = m, logcounts = log1p(m), dense = as.matrix(m)),
            colData = DataFrame(
                logical = c(NA, rep(c(TRUE, FALSE), length.out = 11)), integer = c(NA, 1:11),
                double = c(NA, NaN, 3:12), character = c(NA, letters[1:11]),
                factor = factor(c(NA, rep("b", 11)), levels = c("a", "b")),
                ordered = factor(rep("lo", 12), levels = c("lo", "hi"), ordered = TRUE),
                date = as.Date("2020-02-28") + 0:11,
                time = as.POSIXct("2020-01-01 10:00:00.5", tz = "Europe/Berlin") + 0:11
            ),
            rowData = DataFrame(symbol = paste0("S", 1:30))
        )
        reducedDim(sce, "PCA") <- matrix(rnorm(24), 12, dimnames = list(colnames(sce), c("PC1", "PC2")))
        altExp(sce, "ADT") <- SingleCellExperiment(list(counts = m[1:3, ]))
        metadata(sce) <- list(note = "mine", numbers = 1:3)
    }""")
    return bioconductor("sce")
