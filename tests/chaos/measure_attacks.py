# SPDX-License-Identifier: Apache-2.0
"""Measures what each attack of http2_attacks.py does to lm_server.

    measure_attacks.py --programs build/quickstart/bin [--tls] [--tokens]
        [ATTACK...]

For each attack, starts a server, calls it from a well-behaved client, and lets
one attacking client without a token attack it. Prints a table in Markdown:
memory and open descriptors before the attack, at their peak and after it, and
how long the good client's calls took during the attack, over one kept
connection and over new ones. Exits with 1 if an attack ended the server, made
an answer wrong or a call fail, added 256 MB or more, made the 99th percentile
of either kind 100 ms or more, or had effects for more than 5 s after its end.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

import grpc

import good_client
import http2_attacks
import messages as lm
import server_process
from server_process import MEGABYTE

HERE = pathlib.Path(__file__).resolve().parent
LARGEST_GROWTH = 256 * MEGABYTE
LARGEST_P99 = 0.1
RECOVERY = 5.0
# An attack is stopped at this growth, so that it does not harm the machine.
STOPPED_AT = 1500 * MEGABYTE
TOKEN = "0123456789abcdef-good"


def percentile(values, fraction):
  values = sorted(values)
  return values[min(len(values) - 1, int(fraction * len(values)))] if values \
      else float("nan")


class GoodClient:
  """Runs good_client.py and collects its lines."""

  def __init__(self, address, ca, token, expect):
    command = [sys.executable, HERE / "good_client.py", "--target", address]
    for option, value in (("--tls-ca", ca), ("--token", token),
                          ("--expect", expect)):
      if value:
        command += [option, value]
    self._process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    self._calls, self._mutex = [], threading.Lock()
    self._thread = threading.Thread(target=self._read)
    self._thread.start()

  def _read(self):
    for line in self._process.stdout:
      kind, due, seconds, code = line.split()
      with self._mutex:
        self._calls.append((kind, float(due), float(seconds), code))

  def calls(self, begin, end):
    """Returns the (kind, due, seconds, code) of calls due in the interval."""
    with self._mutex:
      return [call for call in self._calls if begin <= call[1] < end]

  def close(self):
    self._process.stdin.close()
    self._thread.join()
    self._process.wait()
    self._process.stdout.close()


class Peaks(threading.Thread):
  """Watches a server's memory and descriptors."""

  def __init__(self, server):
    super().__init__()
    self._server, self._ended = server, threading.Event()
    self.resident = self.descriptors = 0

  def run(self):
    while not self._ended.wait(0.02):
      self.resident = max(self.resident, self._server.resident())
      self.descriptors = max(self.descriptors, self._server.descriptors())

  def end(self):
    self._ended.set()
    self.join()


def expected_score(address, ca, token):
  """Asks a quiet server for the answer that must stay the same."""
  metadata = [("authorization", f"Bearer {token}")] if token else []
  with good_client.connect(address, ca) as channel:
    reply = channel.unary_unary(lm.SCORE)(
        lm.score_request("en", [good_client.TEXT]), timeout=10,
        metadata=metadata)
  return lm.first(reply, 2).hex()


class Measurement:
  """The programs, the store and the options of the servers."""

  def __init__(self, arguments, directory):
    self.arguments = arguments
    self.directory = pathlib.Path(directory)
    self.store = self.directory / "store"
    server_process.train(arguments.programs, directory, self.store, "en")
    self.options = ["--admin-listen", "", "--log-level", "error"]
    self.ca = self.token = None
    if arguments.tls:
      self.ca = self.directory / "tls.pem"
      key = self.directory / "tls.key"
      subprocess.run(
          ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
           "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
           "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
           "-keyout", key, "-out", self.ca], check=True, capture_output=True)
      self.options += ["--tls-certificate", self.ca, "--tls-key", key]
    if arguments.tokens:
      tokens = self.directory / "tokens"
      tokens.write_text(f"read {TOKEN}\n", encoding="ascii")
      tokens.chmod(0o600)
      self.token = TOKEN
      self.options += ["--tokens", tokens]
    self.options += arguments.server_option

  def run(self, name):
    """Runs one attack and returns the row of the table."""
    server = server_process.ServerProcess(
        self.arguments.programs, self.store, self.options,
        descriptors=self.arguments.descriptors)
    expect = expected_score(server.address, self.ca, self.token)
    client = GoodClient(server.address, self.ca, self.token, expect)
    time.sleep(1.5)
    row = {"attack": name, "before": server.resident(),
           "fds": server.descriptors()}
    peaks = Peaks(server)
    peaks.start()
    begin = time.time()
    row["did"] = self._attack(name, server, row["before"])
    end = time.time()
    row["seconds"] = end - begin
    row["recovery"] = self._recovery(server, client, row, end)
    peaks.end()
    row["peak"], row["peak_fds"] = peaks.resident, peaks.descriptors
    row["after"], row["after_fds"] = server.resident(), server.descriptors()
    row["alive"] = server.alive()
    if not row["alive"]:
      row["exit"] = server.process.returncode
    time.sleep(0.1)
    client.close()  # waits for the calls that were made
    calls = client.calls(begin, end)
    for kind in ("kept", "new"):
      seconds = [call[2] for call in calls if call[0] == kind]
      row[kind] = (percentile(seconds, 0.5), percentile(seconds, 0.99))
    row["calls"] = len(calls)
    row["errors"] = {}
    for call in calls:
      if call[3] != "OK":
        row["errors"][call[3]] = row["errors"].get(call[3], 0) + 1
    server.kill()
    row["failed"] = failures(row)
    return row

  def _attack(self, name, server, before):
    """Runs the attack as a process; returns what it did."""
    command = [sys.executable, HERE / "http2_attacks.py", "--target",
               server.address, "--seconds", str(self.arguments.seconds), name]
    if self.arguments.tls:
      command.append("--tls")
    # The attacker stands for another machine, so it leaves the processors to
    # the server and the good client.
    process = subprocess.Popen(["nice", "-n", "10", *command],
                               stdout=subprocess.PIPE, text=True)
    end = time.monotonic() + self.arguments.seconds + 20
    while process.poll() is None and time.monotonic() < end:
      if server.resident() > before + STOPPED_AT or not server.alive():
        break
      time.sleep(0.01)
    if process.poll() is None:
      process.kill()
    output, _ = process.communicate()
    return json.loads(output) if output.strip() else {"stopped": True}

  @staticmethod
  def _recovery(server, client, row, end):
    """Returns the seconds until all is as before; None if it takes too long."""
    for _ in range(100):
      now = time.time()
      recent = client.calls(now - 0.5, now)
      kinds = {call[0] for call in recent}
      if (kinds == {"kept", "new"} and
          all(call[3] == "OK" and call[2] < 0.1 for call in recent) and
          server.descriptors() <= row["fds"] + 5 and
          server.resident() < row["before"] + LARGEST_GROWTH):
        return max(0, now - 0.5 - end)
      if not server.alive():
        return None
      time.sleep(0.1)
    return None


def failures(row):
  """Returns what is wrong with a row, as short words."""
  result = []
  if not row["alive"]:
    result.append("ended")
  if "WRONG" in row["errors"]:
    result.append("wrong")
  if row["peak"] - row["before"] >= LARGEST_GROWTH:
    result.append("memory")
  if not row["kept"][1] < LARGEST_P99:
    result.append("p99")
  if not row["new"][1] < LARGEST_P99:
    result.append("new p99")
  if set(row["errors"]) - {"WRONG"}:
    result.append("errors")
  if row["recovery"] is None or row["recovery"] > RECOVERY:
    result.append("recovery")
  return result


HEAD = """\
| attack | RSS MB before, peak, after | descriptors | kept p50, p99 ms | \
new p50, p99 ms | errors of the good client | alive | recovery s | fails |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |"""


def line(row):
  """Returns a row of the table."""
  def milliseconds(pair):
    return ", ".join(f"{1000 * value:.1f}" for value in pair)
  errors = ", ".join(f"{count} {code}"
                     for code, count in sorted(row["errors"].items()))
  recovery = "no" if row["recovery"] is None else f"{row['recovery']:.1f}"
  return (f"| {row['attack']} | {row['before'] // MEGABYTE}, "
          f"{row['peak'] // MEGABYTE}, {row['after'] // MEGABYTE} | "
          f"{row['fds']}, {row['peak_fds']}, {row['after_fds']} | "
          f"{milliseconds(row['kept'])} | {milliseconds(row['new'])} | "
          f"{errors + ' of ' + str(row['calls']) if errors else 'none'} | "
          f"{'yes' if row['alive'] else 'no: ' + str(row['exit'])} | "
          f"{recovery} | {', '.join(row['failed'])} |")


def main():
  parser = argparse.ArgumentParser(
      description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
  parser.add_argument("--programs", default="build/quickstart/bin")
  parser.add_argument("--tls", action="store_true")
  parser.add_argument("--tokens", action="store_true")
  parser.add_argument("--seconds", type=float, default=4,
                      help="duration of each attack [4]")
  parser.add_argument("--descriptors", type=int, default=4096,
                      help="the server's limit of descriptors [4096]")
  parser.add_argument("--server-option", action="append", default=[],
                      metavar="OPTION", help="one more word for lm_server")
  parser.add_argument("--json", help="file for the rows with all details")
  parser.add_argument("attacks", nargs="*", metavar="ATTACK")
  arguments = parser.parse_args()
  unknown = set(arguments.attacks) - {*http2_attacks.ATTACKS, "none"}
  if unknown:
    parser.error(f"no such attack: {', '.join(sorted(unknown))}")
  os.environ["GRPC_VERBOSITY"] = "NONE"
  http2_attacks.allow_descriptors()
  failed = 0
  with tempfile.TemporaryDirectory() as directory:
    measurement = Measurement(arguments, directory)
    print(HEAD, flush=True)
    for name in arguments.attacks or ["none", *http2_attacks.ATTACKS]:
      row = measurement.run(name)
      print(line(row), flush=True)
      failed += bool(row["failed"])
      if arguments.json:
        with open(arguments.json, "a", encoding="utf-8") as file:
          file.write(json.dumps(row) + "\n")
  print(f"\n{failed} attacks fail")
  return 1 if failed else 0


if __name__ == "__main__":
  sys.exit(main())
