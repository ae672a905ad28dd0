# SPDX-License-Identifier: Apache-2.0
"""Tests the OpenAI dialect with the openai package of npm.

    node_client_test.py PROGRAMS PROTO CACHE

dialect.py explains PROGRAMS and PROTO; CACHE is a directory for the package. The
tests are in node_client.test.mjs, which gets the addresses of servers and what
gRPC answers. Exits with 77 if something that the test needs is missing.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
if len(sys.argv) != 4:
  sys.exit(__doc__)
CACHE = pathlib.Path(sys.argv.pop())
# pylint: disable=wrong-import-position
import dialect
import pypi


def install():
  """Installs the packages of package.json, unless they are in the cache."""
  wanted = (HERE / "package.json").read_text(encoding="utf-8")
  installed = CACHE / "installed.json"
  if not shutil.which("node") or not shutil.which("npm"):
    pypi.skip("node or npm is not installed")
  if installed.exists() and installed.read_text(encoding="utf-8") == wanted:
    return
  CACHE.mkdir(parents=True, exist_ok=True)
  (CACHE / "package.json").write_text(wanted, encoding="utf-8")
  try:
    subprocess.run(["npm", "install", "--no-audit", "--no-fund",
                    "--no-package-lock"], cwd=CACHE, check=True, timeout=200,
                   text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
  except subprocess.CalledProcessError as error:
    pypi.skip(f"npm cannot install the package: {error.output}")
  except subprocess.TimeoutExpired:
    pypi.skip("installing the package takes too long")
  installed.write_text(wanted, encoding="utf-8")


class NodeClientTest(dialect.ServedTest):

  def expected(self):
    """What gRPC answers, for the tests to compare with."""
    prompt = "the 猫 cat"
    scores = self.score("lstm", prompt, 2)
    words, end = self.generate("lstm", "the cat", seed=3, max_words=30)
    return {
        "prompt": prompt,
        "words": list(scores.words),
        "logProbs": list(scores.log_probs),
        "best": [list(best.log_probs) for best in scores.alternatives],
        "text": "".join(" " + word.word for word in words),
        "textLogProbs": [word.log_prob for word in words],
        "reason": ("stop" if end.reason == end.REASON_END_OF_SENTENCE else
                   "length"),
    }

  def test_client(self):
    tokens = self.path / "tokens"
    tokens.write_text("read 0123456789abcdef\n", encoding="utf-8")
    secured = dialect.Server(self.store, "--tokens", tokens)
    self.addCleanup(secured.stop)
    busy = dialect.Server(self.store, "--max-calls-per-client", "1",
                          "--max-message-bytes", "65536")
    self.addCleanup(busy.stop)
    result = subprocess.run(
        ["node", "--test", HERE / "node_client.test.mjs"], check=False, env={
            **os.environ, "LMSERVE_MODULES": str(CACHE / "node_modules"),
            "LMSERVE_URL": self.server.url, "LMSERVE_SECURED_URL": secured.url,
            "LMSERVE_BUSY": busy.http,
            "LMSERVE_EXPECTED": json.dumps(self.expected())})
    self.assertEqual(result.returncode, 0)


if __name__ == "__main__":
  install()
  unittest.main(argv=sys.argv[:1])
