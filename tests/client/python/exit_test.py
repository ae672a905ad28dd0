# SPDX-License-Identifier: Apache-2.0
"""Tests that programs end whose clients are not closed."""

import subprocess
import sys

import pytest

FAILED_CALL = """
import lmserve
client = lmserve.Client("localhost:1", deadline=0.3)
try:
  client.score("en", ["the cat"])
except lmserve.LmserveError as error:
  print(error.code.name)
"""

FAILED_STREAM = """
import lmserve
client = lmserve.Client("localhost:1", deadline=0.3)
try:
  list(client.with_options(priority="bulk").score_stream("en", [["the cat"]]))
except lmserve.LmserveError as error:
  print(error.code.name)
"""


@pytest.mark.parametrize("program", [FAILED_CALL, FAILED_STREAM])
def test_a_program_ends_that_has_not_closed_its_client(program):
  done = subprocess.run([sys.executable, "-c", program], capture_output=True,
                        text=True, timeout=60, check=True)
  assert done.stdout == "UNAVAILABLE\n"
