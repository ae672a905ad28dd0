# SPDX-License-Identifier: Apache-2.0
"""Runs a test file with pytest in the environment that build_package.py made.

    run_or_skip.py CACHE FILE

Exits with 77 if there is none, or if pytest or numpy is missing.
"""

import os
import pathlib
import subprocess
import sys


NO_TESTS = 5  # pytest's exit code


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
  code = subprocess.run(
      [python, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", test],
      check=False).returncode
  sys.exit(77 if code == NO_TESTS else code)  # all tests of the file skip


if __name__ == "__main__":
  main()
