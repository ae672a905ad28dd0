#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains the networks of `lm_trainer recurrent` with PyTorch. See --help."""

import sys

from lmserve_torch import options

parsed = options.parse(sys.argv[1:])
try:
  from lmserve_torch import main
except ImportError as error:
  print(f"error: expected PyTorch and NumPy (pip install torch numpy): {error}",
        file=sys.stderr)
  sys.exit(1)
sys.exit(main.run(parsed))
