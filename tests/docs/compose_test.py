# SPDX-License-Identifier: Apache-2.0
"""Tests that what docker/compose.yaml starts is what lm_server accepts.

    compose_test.py SOURCES PROGRAMS
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import running_server

try:
  import yaml
except ImportError as missing:
  print(f"skipped: {missing}")
  sys.exit(77)
if shutil.which("openssl") is None:
  print("skipped: openssl is not installed")
  sys.exit(77)

SOURCES, PROGRAMS = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
MOUNT = "/run/secrets/"


def interpolate(text):
  """Replaces ${NAME:-default} by its default."""
  return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def make_secrets(directory):
  """Writes the files that the head of compose.yaml lists."""
  subprocess.run(
      ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
       "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost", "-addext",
       "subjectAltName=DNS:localhost", "-keyout", directory / "server.key",
       "-out", directory / "server.pem"], check=True, capture_output=True)
  shutil.copy(directory / "server.pem", directory / "ca.pem")
  (directory / "tokens").write_text("read 0123456789abcdef\n")
  (directory / "token").write_text("0123456789abcdef\n")


class ComposeTest(unittest.TestCase):

  def setUp(self):
    text = (SOURCES / "docker/compose.yaml").read_text(encoding="utf-8")
    self._file = yaml.safe_load(text)
    self._service = self._file["services"]["lmserve"]

  def test_secrets_are_defined_and_mounted(self):
    mounted = set(self._service["secrets"])
    self.assertEqual(mounted, set(self._file["secrets"]))
    used = [*self._service["command"], *self._service["environment"].values()]
    self.assertEqual({value[len(MOUNT):] for value in used
                      if value.startswith(MOUNT)}, mounted)
    for name, secret in self._file["secrets"].items():
      self.assertTrue(secret["file"].endswith("/" + name), secret)

  def test_prometheus_asks_the_metrics_port(self):
    command = self._service["command"]
    port = command[command.index("--metrics-listen") + 1].split(":")[-1]
    jobs = yaml.safe_load((SOURCES / "docker/prometheus.yaml").read_text())
    self.assertEqual(jobs["scrape_configs"][0]["static_configs"][0]["targets"],
                     [f"lmserve:{port}"])

  def test_the_server_starts_and_is_healthy(self):
    with tempfile.TemporaryDirectory() as name:
      directory = pathlib.Path(name)
      make_secrets(directory)

      def local(text):
        return interpolate(text).replace(MOUNT, f"{directory}/")

      health = {key: local(value)
                for key, value in self._service["environment"].items()}
      with running_server.run_server(
          PROGRAMS, ["--store", SOURCES / "tests/golden/0.1/store",
                     *map(local, self._service["command"])]) as server:
        def client(*arguments):
          return subprocess.run(
              [PROGRAMS / "lm_client", *arguments], check=False,
              capture_output=True, text=True,
              env={**os.environ, "LMSERVE_SERVER": server.address, **health})

        self.assertEqual(client("health").returncode, 0, client("health").stderr)
        score = ("score", "--model", "ngram", "the cat")
        self.assertIn("UNAUTHENTICATED", client(*score).stderr)
        self.assertEqual(client("--token-file", directory / "token",
                                *score).returncode, 0)


if __name__ == "__main__":
  unittest.main(argv=sys.argv[:1])
