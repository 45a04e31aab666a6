"""Exit 0 if R can embed the Python that runs this and rpy2 can be built for it; see tools/setup.sh."""

import importlib.util
import pathlib
import sys
import sysconfig

library = sysconfig.get_config_var("INSTSONAME") or ""
folders = [sysconfig.get_config_var("LIBDIR") or "", sysconfig.get_config_var("LIBPL") or ""]
folders.append(str(pathlib.Path(folders[0], sysconfig.get_config_var("MULTIARCH") or "")))
usable = (
    sys.version_info >= (3, 11)
    and sys.prefix == sys.base_prefix  # an environment of an environment loses its packages
    and importlib.util.find_spec("ensurepip") is not None
    and pathlib.Path(sysconfig.get_path("include"), "Python.h").exists()
    and ".so" in library
    and any(pathlib.Path(folder, library).exists() for folder in folders)
)
sys.exit(not usable)
