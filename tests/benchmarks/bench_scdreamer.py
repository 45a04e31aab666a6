"""Wall time of scDREAMER beside scVI with the same epochs, in one run, on the same genes.

    python tests/benchmarks/bench_scdreamer.py FOLDER --scvi PYTHON [--epochs 50] [--only NAME ...]

``--scvi`` names the Python of an environment with scvi-tools, see ``scvi_baseline.py``.
"""

from __future__ import annotations

import argparse
import subprocess
import time
import warnings
from pathlib import Path

import numpy as np
from accuracy_scdreamer import NAMES, study

import isthmus as im


def main() -> None:
    """Print seconds of both and their ratio; the better of two runs each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scvi", required=True)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--only", nargs="+", default=NAMES)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in args.only:
        adata = study(name)
        adata.obs = adata.obs[["batch"]].astype(str)
        adata.write_h5ad(args.folder / "speed.h5ad")
        command = [args.scvi, str(Path(__file__).with_name("scvi_baseline.py")), str(args.folder / "speed.h5ad")]
        command += [str(args.folder / "speed.npz"), "--epochs", str(args.epochs)]
        mine, baseline = [], []
        for _ in range(2):
            begin = time.perf_counter()
            im.tl.scdreamer(adata, "batch", max_epochs=args.epochs, features=list(adata.var_names), progress="silent")
            mine.append(time.perf_counter() - begin)
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            baseline.append(float(np.load(args.folder / "speed.npz")["seconds"]))
        print(
            f"{name}: isthmus {min(mine):.1f} s (preprocessing included), scVI {min(baseline):.1f} s, "
            f"ratio {min(mine) / min(baseline):.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
