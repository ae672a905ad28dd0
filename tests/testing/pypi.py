# SPDX-License-Identifier: Apache-2.0
"""Packages of PyPI for tests, in virtual environments in the build folder."""

import os
import pathlib
import subprocess
import sys

SKIPPED = 77


def skip(reason):
  print(f"skipped: {reason}")
  sys.exit(SKIPPED)


def install(cache, *packages):
  """Returns the Python of an environment that has the packages.

  It also has what the interpreter of this process has. Ends the process with
  SKIPPED if the packages are not in the cache and cannot be installed.

  Args:
    cache: The directory of the environment, for these packages alone.
    packages: What pip installs, such as "openai==3.57.0".
  """
  cache = pathlib.Path(cache)
  python = cache / "bin" / "python"
  installed = cache / "installed"
  wanted = "\n".join(packages)
  if installed.exists() and installed.read_text(encoding="utf-8") == wanted:
    return python
  for command in ([sys.executable, "-m", "venv", "--clear",
                   "--system-site-packages", cache],
                  [python, "-m", "pip", "--disable-pip-version-check", "-q",
                   "--retries", "1", "--timeout", "15", "install", *packages]):
    try:
      subprocess.run(command, check=True, timeout=400, text=True,
                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except subprocess.CalledProcessError as error:
      skip(f"cannot install {', '.join(packages)}: {error.output}")
    except subprocess.TimeoutExpired:
      skip(f"installing {', '.join(packages)} takes too long")
  installed.write_text(wanted, encoding="utf-8")
  return python


def enter(cache, *packages):
  """Continues this program in the environment that install() makes."""
  if pathlib.Path(sys.prefix).resolve() != pathlib.Path(cache).resolve():
    python = install(cache, *packages)
    os.execv(python, [str(python), "-B", *sys.argv])
