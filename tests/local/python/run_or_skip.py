# SPDX-License-Identifier: Apache-2.0
"""Runs a test file with pytest in the environment that build_package.py made.

    run_or_skip.py CACHE FILE

Exits with 77 if there is none, or if pytest or numpy is missing.
"""

import os
import pathlib
import subprocess
import sys


def main():
  cache, test = map(pathlib.Path, sys.argv[1:])
  python = cache / "installed" / "bin" / "python"
  for module in ("pytest", "numpy", "lmserve_local"):
    if not python.exists() or subprocess.run(
        [python, "-c", f"import {module}"], check=False,
        stderr=subprocess.DEVNULL).returncode:
      print(f"skipped: no {module} for {python}")
      sys.exit(77)
  # Not from the folder of the sources, which has no extension module.
  os.chdir(cache)
  os.execv(python, [str(python), "-m", "pytest", "-q", "-rs",
                    "-p", "no:cacheprovider", str(test)])


if __name__ == "__main__":
  main()
