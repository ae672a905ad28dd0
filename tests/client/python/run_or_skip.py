# SPDX-License-Identifier: Apache-2.0
"""Runs Python with these arguments, or exits with 77 if a module is missing.

    run_or_skip.py -m pytest client_test.py
"""

import importlib
import os
import sys

for module in ("google.protobuf", "grpc", "pytest", "setuptools"):
  try:
    importlib.import_module(module)
  except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
