# SPDX-License-Identifier: Apache-2.0
"""Builds the wheel of lmserve-local and installs it in an environment.

    build_package.py SOURCE CACHE [DEFINITION...]

A definition is NAME=VALUE, of CMake. CACHE/wheels has the wheel, CACHE/installed the environment, whose other packages
are those of the interpreter. Exits with 77 if PyPI does not give what the build
needs.
"""

import pathlib
import shutil
import subprocess
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "testing"))
import pypi  # noqa: E402

BUILD = ("scikit-build-core==1.1.2", "nanobind==3.1.0")


def run(*command):
  print("+", *command, flush=True)
  subprocess.run([str(word) for word in command], check=True)


def main():
  source, cache = map(pathlib.Path, sys.argv[1:3])
  settings = [f"build-dir={cache / 'build'}"]
  settings += [f"cmake.define.{definition}" for definition in sys.argv[3:]]
  python = pypi.install(cache / "build_environment", *BUILD)
  wheels = cache / "wheels"
  shutil.rmtree(wheels, ignore_errors=True)
  run(python, "-m", "pip", "--disable-pip-version-check", "wheel", "-q",
      "--no-build-isolation", "--no-deps", "--wheel-dir", wheels,
      *(f"--config-settings={setting}" for setting in settings),
      source / "local" / "python")
  wheel, = wheels.glob("*.whl")
  environment = cache / "installed"
  run(sys.executable, "-m", "venv", "--clear", "--system-site-packages",
      environment)
  run(environment / "bin" / "python", "-m", "pip",
      "--disable-pip-version-check", "install", "-q", "--no-deps",
      "--no-index", wheel)


if __name__ == "__main__":
  main()
