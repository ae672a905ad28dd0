# SPDX-License-Identifier: Apache-2.0
"""The package as it is installed: types, version, time of its import, README."""

import importlib.metadata
import importlib.util
import inspect
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

import lmserve_local
from lmserve_local import Model, State, States, kenlm

SOURCE = pathlib.Path(os.environ.get("LMSERVE_SOURCE", "."))
PACKAGE = pathlib.Path(lmserve_local.__file__).parent


def test_version():
  assert importlib.metadata.version("lmserve-local") == (
      lmserve_local.__version__)
  project = (SOURCE / "CMakeLists.txt").read_text(encoding="utf-8")
  assert f"VERSION {lmserve_local.__version__} " in project


def test_it_is_typed():
  assert (PACKAGE / "py.typed").exists() and (PACKAGE / "_core.pyi").exists()


def test_everything_has_a_docstring():
  for cls in (Model, State, States, kenlm.Model, kenlm.FullScoreReturn):
    assert inspect.getdoc(cls)
  for name in dir(Model):
    if not name.startswith("_") and name != "closed":
      assert inspect.getdoc(getattr(Model, name)), name


def test_mypy_strict():
  if importlib.util.find_spec("mypy") is None:
    pytest.skip("no mypy")
  config = SOURCE / "local" / "python" / "pyproject.toml"
  subprocess.run([sys.executable, "-m", "mypy", "--config-file", config,
                  "--cache-dir", os.devnull,
                  "-p", "lmserve_local"], check=True, cwd="/")


def test_stubtest():
  if importlib.util.find_spec("mypy") is None:
    pytest.skip("no mypy")
  subprocess.run([sys.executable, "-m", "mypy.stubtest", "--concise",
                  "--ignore-missing-stub", "--allowlist",
                  pathlib.Path(__file__).parent / "stubtest_allowlist.txt",
                  "lmserve_local._core"],
                 check=True, cwd="/")


def test_import_takes_less_than_100_ms():
  # Processor time, because other programs may keep the machine busy.
  code = ("import time; t = time.process_time(); import lmserve_local; "
          "print(time.process_time() - t)")
  times = [float(subprocess.run([sys.executable, "-c", code], check=True,
                                text=True, stdout=subprocess.PIPE).stdout)
           for _ in range(7)]
  assert min(times) < 0.1, times


def test_readme(store, arpa, tmp_path):
  """Runs the Python of the README in a folder with its files."""
  shutil.copytree(store, tmp_path / "store")
  shutil.copy(arpa, tmp_path / "en.arpa")
  readme = SOURCE / "local" / "python" / "README.md"
  code = "\n".join(re.findall(r"```python\n(.*?)```",
                              readme.read_text(encoding="utf-8"), re.S))
  assert "Model.open" in code
  subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
