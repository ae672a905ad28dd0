#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts the n-grams of a text on Apache Spark; see --help."""

import sys

from lmserve_spark.command import main

if __name__ == "__main__":
  sys.exit(main())
