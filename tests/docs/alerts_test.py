# SPDX-License-Identifier: Apache-2.0
"""Tests that the alerts of docs/operations.md can fire, and are explained.

    alerts_test.py SOURCES PROGRAMS
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import page as pages
import running_server

try:
  import yaml
except ImportError as missing:
  print(f"skipped: {missing}")
  sys.exit(77)
if shutil.which("openssl") is None:
  print("skipped: no openssl")
  sys.exit(77)

SOURCES, PROGRAMS = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
PAGE = SOURCES / "docs/operations.md"
KEYWORDS = {"and", "or", "unless", "bool", "offset"}


def rules():
  """Returns pairs (name, expression) of the alerts."""
  blocks = pages.parse(PAGE.read_text(encoding="utf-8"))
  file = next(block for block in blocks if block.argument.endswith("alerts.yaml"))
  groups = yaml.safe_load("\n".join(file.lines))["groups"]
  return [(rule["alert"], rule["expr"]) for group in groups
          for rule in group["rules"]]


def metric_names(expression):
  """Returns the names of the metrics of an expression of Prometheus."""
  text = re.sub(r'"[^"]*"', "", expression)
  text = re.sub(r"\{[^}]*\}|\[[^]]*\]", "", text)
  text = re.sub(r"\b(by|without|on|ignoring)\s*\([^)]*\)", "", text)
  names = re.findall(r"(?<![\w.])[a-zA-Z_:][\w:]*\b(?!\s*\()", text)
  return set(names) - KEYWORDS


def labels_of(expression):
  """Returns pairs (metric, label) of the selectors of an expression."""
  return {(metric, label)
          for metric, selector in re.findall(r"([\w:]+)\{([^}]*)\}", expression)
          for label in re.findall(r"(\w+)\s*[=!]", selector)}


def served_metrics():
  """Returns /metrics of a server to which something of everything happened."""
  with tempfile.TemporaryDirectory() as name:
    directory = pathlib.Path(name)
    store = directory / "store"
    shutil.copytree(SOURCES / "tests/golden/0.1/store", store)
    with (store / "gru/1/vocabulary.txt").open("a") as damaged:
      damaged.write("more\n")
    (directory / "tokens").write_text("read 0123456789abcdef\n")
    (directory / "token").write_text("0123456789abcdef\n")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", directory / "key.pem",
         "-out", directory / "certificate.pem"], check=True, capture_output=True)
    with running_server.run_server(
        PROGRAMS, ["--store", store, "--tokens", directory / "tokens",
                   "--tls-certificate", directory / "certificate.pem",
                   "--tls-key", directory / "key.pem"]) as server:
      client = [PROGRAMS / "lm_client", "--server", server.address,
                "--tls-ca", directory / "certificate.pem"]
      token = ["--token-file", directory / "token"]
      subprocess.run([*client, *token, "score", "--model", "lstm", "the cat"],
                     check=True, stdout=subprocess.DEVNULL)
      refused = subprocess.run([*client, "score", "--model", "lstm", "the cat"],
                               check=False, capture_output=True)
      assert refused.returncode == 1, refused
      return server.metrics()


class AlertsTest(unittest.TestCase):

  def test_their_metrics_exist(self):
    metrics = served_metrics()
    names = set(re.findall(r"^([\w:]+)[{ ]", metrics, re.M))
    labels = {(name, label)
              for name, series in re.findall(r"^([\w:]+)\{([^}]*)\}", metrics, re.M)
              for label in re.findall(r"(\w+)=", series)}
    for alert, expression in rules():
      with self.subTest(alert):
        # Prometheus itself makes `up`.
        self.assertLessEqual(metric_names(expression) - {"up"}, names)
        self.assertLessEqual({pair for pair in labels_of(expression)
                              if pair[0] != "up"}, labels)

  def test_each_says_what_to_do(self):
    text = PAGE.read_text(encoding="utf-8")
    explained = re.findall(r"\*\*(\w+)\*\*", text.split("## What to do")[1])
    self.assertEqual([alert for alert, _ in rules()], explained)

  def test_names_are_found(self):
    self.assertEqual(
        metric_names('sum by (a) (rate(m1_total{code=~"X|Y"}[5m])) / 4e9 '
                     '> on(b) m2 unless m3'), {"m1_total", "m2", "m3"})
    self.assertEqual(labels_of('m1{a="x", b!~"y"} + m2'),
                     {("m1", "a"), ("m1", "b")})


if __name__ == "__main__":
  unittest.main(argv=sys.argv[:1])
