# SPDX-License-Identifier: Apache-2.0
"""Runs the tests of trainer/spark in an environment that has Spark.

    run_tests.py CACHE PROGRAMS SOURCES [PYTEST ARGUMENT...]

Exits with 77 if there is no Java or Spark cannot be installed.
"""

import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parents[1] / "testing"))
import pypi  # noqa: E402

PACKAGES = ("pyspark==4.3.0", "pyarrow==26.0.1", "numpy==2.4.6",
            "pandas==2.3.3",
            "zstandard==0.25.0")


def main():
  cache, programs, sources = map(pathlib.Path, sys.argv[1:4])
  if shutil.which("java") is None:
    pypi.skip("no java")
  python = pypi.install(cache, *PACKAGES)
  environment = dict(
      os.environ,
      LMSERVE_PROGRAMS=str(programs),
      LMSERVE_SOURCES=str(sources),
      PATH=f"{cache / 'bin'}:{os.environ['PATH']}",
      PYSPARK_PYTHON=str(python),
      PYTHONDONTWRITEBYTECODE="1",
      PYTHONPATH=str(sources / "trainer" / "spark"),
      SPARK_LOCAL_IP="127.0.0.1")
  sys.exit(
      subprocess.run([
          python, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider",
          *(sys.argv[4:] or [HERE])
      ], env=environment, check=False).returncode)


if __name__ == "__main__":
  main()
