# SPDX-License-Identifier: Apache-2.0
"""Tests that alerts can fire and are explained, and that the dashboard has data.

    alerts_test.py SOURCES PROGRAMS
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

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
ALERTS = SOURCES / "deploy/prometheus/alerts.yaml"
DASHBOARD = SOURCES / "deploy/grafana/lmserve.json"
KEYWORDS = {"and", "or", "unless", "bool", "offset", "group_left"}


def rules():
  """Returns pairs (name, expression) of the alerts."""
  groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
  return [(rule["alert"], rule["expr"]) for group in groups
          for rule in group["rules"]]


def metric_names(expression):
  """Returns the names of the metrics of an expression of Prometheus."""
  text = re.sub(r"\$\w+", "1", expression)  # variables of Grafana
  text = re.sub(r'"[^"]*"', "", text)
  text = re.sub(r"\{[^}]*\}|\[[^]]*\]", "", text)
  text = re.sub(r"\b(by|without|on|ignoring)\s*\([^)]*\)", "", text)
  names = re.findall(r"(?<![\w.])[a-zA-Z_:][\w:]*\b(?!\s*\()", text)
  return set(names) - KEYWORDS


def labels_of(expression):
  """Returns pairs (metric, label) of the selectors of an expression."""
  return {(metric, label)
          for metric, selector in re.findall(r"([\w:]+)\{([^}]*)\}", expression)
          for label in re.findall(r"(\w+)\s*[=!]", selector)}


def wait_for(server, text):
  """Returns /metrics of a server when it has a text."""
  end = time.monotonic() + 60
  while text not in (metrics := server.metrics()):
    if time.monotonic() > end:
      raise AssertionError(f"expected {text} in {metrics}")
    time.sleep(0.05)
  return metrics


def served_metrics():
  """Returns /metrics of a server to which something of everything happened."""
  with tempfile.TemporaryDirectory() as name:
    directory = pathlib.Path(name)
    store = directory / "store"
    shutil.copytree(SOURCES / "tests/golden/0.1/store", store)
    with (store / "gru/1/vocabulary.txt").open("a") as damaged:
      damaged.write("more\n")
    (store / "late" / "1").mkdir(parents=True)  # an incomplete version
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
      with subprocess.Popen([*client, *token, "score", "--model", "lstm"],
                            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                            text=True) as stream:
        stream.stdin.write("the cat\n" * 20_000)
        stream.stdin.flush()
        wait_for(server, 'grpc_server_call_started_total{method="ScoreStream"} 3')
        stream.kill()
      return wait_for(server, "lm_cancelled_total{")


class AlertsTest(unittest.TestCase):

  def check_metrics(self, expressions):
    metrics = served_metrics()
    names = set(re.findall(r"^([\w:]+)[{ ]", metrics, re.M))
    labels = {(name, label)
              for name, series in re.findall(r"^([\w:]+)\{([^}]*)\}", metrics, re.M)
              for label in re.findall(r"(\w+)=", series)}
    # Prometheus itself makes `up`, and these labels of every metric.
    labels |= {(name, label) for name in names for label in ("job", "instance")}
    for title, expression in expressions:
      with self.subTest(title):
        self.assertLessEqual(metric_names(expression) - {"up"}, names)
        self.assertLessEqual({pair for pair in labels_of(expression)
                              if pair[0] != "up"}, labels)

  def test_their_metrics_exist(self):
    self.check_metrics(rules())

  def test_the_metrics_of_the_dashboard_exist(self):
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    self.assertGreater(len(panels), 15)
    expressions = [(panel["title"], target["expr"]) for panel in panels
                   for target in panel["targets"]]
    for variable in dashboard["templating"]["list"]:
      if variable["type"] == "query":
        query = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"])
        expressions.append((variable["name"], query[1]))
    self.check_metrics(expressions)
    # Panels do not overlap, and each has another number.
    cells = [(panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
             for panel in dashboard["panels"] for x in range(panel["gridPos"]["w"])
             for y in range(panel["gridPos"]["h"])]
    self.assertEqual(len(cells), len(set(cells)))
    self.assertLess(max(x for x, _ in cells), 24)
    numbers = [panel["id"] for panel in dashboard["panels"]]
    self.assertEqual(len(numbers), len(set(numbers)))

  def test_the_dashboard_is_what_its_program_makes(self):
    made = subprocess.run(
        [sys.executable, SOURCES / "deploy/grafana/make-dashboard"], check=True,
        capture_output=True, text=True).stdout
    self.assertEqual(DASHBOARD.read_text(encoding="utf-8"), made)

  def test_each_fires(self):
    tested = yaml.safe_load(
        ALERTS.with_name("alerts_test.yaml").read_text(encoding="utf-8"))
    fires = {test["alertname"] for group in tested["tests"]
             for test in group["alert_rule_test"] if test.get("exp_alerts")}
    self.assertEqual(fires, {alert for alert, _ in rules()})
    promtool = shutil.which("promtool")
    if promtool is None:
      self.skipTest("promtool (Debian's prometheus) is not installed")
    for command in (["check", "rules", "alerts.yaml"],
                    ["test", "rules", "alerts_test.yaml"]):
      result = subprocess.run([promtool, *command], cwd=ALERTS.parent, check=False,
                              capture_output=True, text=True)
      self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

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
