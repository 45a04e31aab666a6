"""scVI or scANVI at their defaults, as a baseline. Runs in an environment of its own, which needs scvi-tools:

    python tests/benchmarks/scvi_baseline.py IN.h5ad OUT.npz [--seed 0] [--epochs N] [--labels COLUMN] [--model FOLDER]

``IN.h5ad`` holds counts of the chosen genes and ``obs["batch"]``. With ``--labels`` (missing ones are "Unknown")
scANVI follows scVI, and predictions are written too.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import anndata as ad
import numpy as np


def main() -> None:
    """Fit, and write the embedding (``z``), the seconds from data to embedding, and predicted labels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input")
    parser.add_argument("output")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--labels")
    parser.add_argument("--model", help="folder to keep the scVI model in, or to take it from instead of training")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    import scvi

    scvi.settings.seed, scvi.settings.verbosity = args.seed, 40
    quiet = {"enable_progress_bar": False, "accelerator": "cpu"}
    adata = ad.read_h5ad(args.input)
    begin = time.perf_counter()
    if args.model and Path(args.model).is_dir():
        model = scvi.model.SCVI.load(args.model, adata, accelerator="cpu")
    else:
        scvi.model.SCVI.setup_anndata(adata, batch_key="batch")
        model = scvi.model.SCVI(adata)
        model.train(max_epochs=args.epochs, **quiet)
        if args.model:
            model.save(args.model)
    out = {}
    if args.labels:
        model = scvi.model.SCANVI.from_scvi_model(model, unlabeled_category="Unknown", labels_key=args.labels)
        model.train(**quiet)
        out["labels"] = np.asarray(model.predict(), dtype=str)
    out["z"] = model.get_latent_representation()
    np.savez(args.output, seconds=time.perf_counter() - begin, **out)


if __name__ == "__main__":
    main()
