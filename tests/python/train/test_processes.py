"""Two processes on the processor, as a launcher starts them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

SCRIPT = """
import os, sys, time, warnings
import numpy as np, torch
import isthmus as im
from isthmus.train import Losses, Model, Options, Phase, loop
from isthmus.train.devices import make_fabric
from isthmus.train.run import Run

warnings.simplefilter("ignore")
rank, folder = int(os.environ["RANK"]), sys.argv[1]
usual = {"devices": 2, "accelerator": "cpu", "max_steps": 30, "batch_size": 64, "progress": "silent"}
data = im.data.simulate(n_cells=400, n_genes=300, n_peaks=600, seed=1)
found = {"scalex": im.tl.scalex(data["rna"], "batch", **usual).latent}

class Slow(loop.Checkpoints):
    def __init__(self, *args):
        super().__init__(*args, seconds=0.0)
    def write(self, run):
        time.sleep(1.0 if run.finished else 0.0)  # the other process is ahead and would read what is not there yet
        super().write(run)

loop.Checkpoints = Slow
kept = {**usual, "checkpoint": f"{folder}/run", "early_stopping": True}
for name in ("whole", "again"):  # the second goes on from the state of the first, which has no step left
    found[name] = im.tl.scalex(data["rna"], "batch", **kept).latent
found["scdreamer"] = im.tl.scdreamer(data["rna"], "batch", labels_key="cell_type", **usual).latent
found["sailerx"] = im.tl.sailerx(data, batch_key="batch", **usual).latent
found["sci2cl"] = im.tl.sci2cl(data, batch_key="batch", **usual).latent

class Line(Model):
    def __init__(self):
        super().__init__()
        self.used, self.idle = torch.nn.Linear(3, 1), torch.nn.Linear(3, 1)
        self.register_buffer("seen", torch.tensor(float(rank)))
    def losses(self, rows):
        return (self.used(x[rows]) - y[rows]).square().mean()
    def phases(self):
        return [Phase("line", [self], lambda terms, clock: terms)]

torch.manual_seed(0)
x, y = torch.randn(10, 3), torch.randn(10, 1)
options = Options(max_steps=1, devices=2, accelerator="cpu", precision="32-true")
run = Run.start(Line(), options, make_fabric(options))
run.model(slice(rank, None, 2)).backward()
run._average_gradients(run.phases[0])
run.average_buffers()
found["gradient"] = run.model.used.weight.grad.numpy()
whole = torch.autograd.grad(run.model(slice(None)), run.model.used.weight)[0]
found["expected"], found["seen"] = whole.numpy(), run.model.seen.numpy()
np.savez(f"{folder}/{rank}.npz", **found)
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each of the two processes found."""
    folder = tmp_path_factory.mktemp("processes")
    (folder / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, str(folder / "script.py"), str(folder)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [np.load(folder / f"{rank}.npz") for rank in (0, 1)]


@pytest.mark.parametrize("system", ["scalex", "scdreamer", "sailerx", "sci2cl"])
def test_processes_end_with_one_model(found, system):
    one, other = (each[system] for each in found)
    assert np.isfinite(one).all()
    assert one.std(axis=0).max() > 0
    np.testing.assert_array_equal(one, other)


def test_every_process_goes_on_from_a_checkpoint(found):
    for each in found:
        np.testing.assert_array_equal(each["again"], each["whole"])


def test_the_gradient_is_that_of_all_cells(found):
    for each in found:
        np.testing.assert_allclose(each["gradient"], each["expected"], rtol=1e-5)
        assert each["seen"] == 0.5
