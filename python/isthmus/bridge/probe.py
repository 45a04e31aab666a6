"""Tells R what this Python has; run as a script, by any Python, so it uses the standard library only.

Prints one line of JSON: the version, whether it is a shared build, and the versions of the packages,
``null`` for those that are missing. Nothing is imported to find out, so it is quick even beside torch.
"""

from __future__ import annotations

import json
import sys
import sysconfig

PACKAGES = (
    "torch",
    "anndata",
    "scanpy",
    "h5py",
    "scipy",
    "pandas",
    "numpy",
    "pydantic",
    "safetensors",
    "lightning-fabric",
    "rpy2",
    "rpy2-rinterface",
    "anndata2ri",
    "isthmus",
)


def _version(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def probe() -> dict[str, object]:
    """What R asks: ``version``, ``executable``, ``shared``, ``packages``."""
    return {
        "version": ".".join(map(str, sys.version_info[:3])),
        "executable": sys.executable,
        "shared": bool(sysconfig.get_config_var("Py_ENABLE_SHARED")) or sys.platform == "win32",
        "packages": {package: _version(package) for package in PACKAGES},
    }


if __name__ == "__main__":
    sys.path.pop(0)  # this folder: its modules are not meant to be seen by name
    sys.stdout.write(json.dumps(probe()) + "\n")
