# SPDX-License-Identifier: Apache-2.0
"""Tests a rolling update of three lm_servers under load, and the loss of two.

    rolling_update_test.py dns|envoy|nginx PROGRAMS HELM ENVOY

The servers have the options that the Helm chart renders, and the names and addresses
that a headless service gives them. Clients balance calls themselves (dns), or call the
example of a proxy. PROGRAMS is the directory of the programs; HELM and ENVOY are
folders for packages of PyPI. Exits with 77 if something that the test needs is missing,
such as the right to make network namespaces.
"""

import collections
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "testing"))
import pypi  # pylint: disable=wrong-import-position

if len(sys.argv) != 5:
  sys.exit(__doc__)
pypi.enter(sys.argv[3], "helm-python-sdk==0.2.2", "kubernetes-validate==1.37.0",
           "PyYAML")

# pylint: disable=wrong-import-position
import proxies

MODE = sys.argv[1]
PROXY = None if MODE == "dns" else proxies.find(MODE, sys.argv[4])

import fleet

fleet.enter()

import charts

try:
  import lmserve
except ImportError as missing:
  pypi.skip(missing)

PROGRAMS = pathlib.Path(sys.argv[2]).resolve()

# Seconds. Connections get old soon, so that the test of it takes no minutes.
AGE = 8
VALUES = {
    "models": {"require": ["en@stable"]},
    "replicas": 3,
    "server": {"connectionAgeSeconds": AGE, "connectionAgeGraceSeconds": 600,
               "drainGraceSeconds": 3, "drainSeconds": 5},
}
MODEL = "en@stable"
CORPORA = {1: "the cat is small\n", 2: "the cat was big\n"}
TEXT = "the cat is"
# The most that calls may take that find a server which does not answer any more:
# what clients (client.cc, _connection.py) or Envoy (lmserve.yaml) need to notice it,
# and a bit. Less than the deadline of the clients, 10 s.
PATIENCE = 9.5
PAUSE = 0.02  # of a caller between two calls
# How far the calls of a server may be from the mean. The proxies prefer servers with
# fewer calls in progress, so that one with a stream gets fewer others.
DEVIATION = 0.2 if MODE == "dns" else 0.98


@dataclasses.dataclass
class Answer:
  """A call that has ended: its version, or its error."""

  kind: str
  begin: float
  seconds: float
  version: int
  error: str


class Load:
  """Calls from several clients until the end of the `with` block.

  Attributes:
    answers: The answers of all calls that have ended.
  """

  def __init__(self, target, expected):
    self._target = target
    self._expected = expected  # results by (kind, version)
    self._stop = threading.Event()
    self._threads = []
    self._processes = []
    self._stack = contextlib.ExitStack()
    self.answers = collections.deque()

  def __enter__(self):
    plain, healthy = (
        self._stack.enter_context(lmserve.Client(self._target, **options))
        for options in ({}, {"health_service": "en"} if MODE == "dns" else {}))
    tasks = [lambda client=client: self._score(client)
             for client in (plain, plain, healthy, healthy)]
    tasks += [self._score_once, *self._stream("score", 256, 0.2),
              *self._stream("predict", 4, PAUSE)]
    self._threads = [threading.Thread(target=task) for task in tasks]
    for thread in self._threads:
      thread.start()
    return self

  def __exit__(self, *error):
    self._stop.set()
    end = time.monotonic() + 30
    for thread in self._threads:
      thread.join(max(0, end - time.monotonic()))
    for process in self._processes:
      process.kill()  # if it hangs
    for thread in self._threads:
      thread.join()
    self._stack.close()

  def failures(self):
    """Returns the calls that have failed."""
    return [answer for answer in list(self.answers) if answer.error]

  def _add(self, kind, begin, version, error=""):
    self.answers.append(Answer(kind, begin, time.monotonic() - begin, version,
                               error))

  def _version(self, kind, result):
    """Returns the version that has this result, or 0."""
    for version in CORPORA:
      if self._expected[kind, version] == result:
        return version
    return 0

  def _score(self, client):
    """Makes calls by a Python client."""
    while not self._stop.wait(PAUSE):
      begin = time.monotonic()
      try:
        response = client.score(MODEL, [TEXT])
      except lmserve.LmserveError as error:
        self._add("python", begin, 0, str(error))
        continue
      version = self._version("python", round(response.scores[0].log_prob, 4))
      is_right = version == response.model.version
      self._add("python", begin, version,
                "" if is_right else f"not the result of {response.model}")

  def _score_once(self):
    """Makes calls by new processes of lm_client."""
    while not self._stop.wait(0.2):
      begin = time.monotonic()
      result = subprocess.run(
          [*self._client("score"), TEXT], check=False, text=True,
          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
      self._add_line("score", begin, result.stdout, result.returncode,
                     result.stderr)

  def _client(self, command):
    return [PROGRAMS / "lm_client", "--json", "--server", self._target, command,
            "--model", MODEL]

  def _add_line(self, kind, begin, line, code=0, message=""):
    version = self._version(kind, line.strip()) if code == 0 else 0
    self._add(kind, begin, version, "" if version else f"{code}: {message}{line}")

  def _stream(self, kind, lines, pause):
    """Returns two tasks, with a process of lm_client that answers lines.

    Args:
      kind: The command. `score` sends lines in a stream, `predict` makes calls.
      lines: How many lines the command puts into a message.
      pause: Seconds between two messages.
    """
    options = ["-k", str(50_000 // lines)] if kind == "predict" else []
    # pylint: disable=consider-using-with
    process = subprocess.Popen(
        [*self._client(kind), *options], text=True, bufsize=1,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    self._processes.append(process)
    begins = collections.deque()

    def write():
      with contextlib.suppress(BrokenPipeError):
        while not self._stop.wait(pause):
          if len(begins) > lines:
            continue  # what waits in a pipe would count as slow
          begins.extend([time.monotonic()] * lines)
          process.stdin.write(f"{TEXT}\n" * lines)
        process.stdin.close()

    def read():
      for line in process.stdout:
        self._add_line(kind, begins.popleft(), line)
      process.wait()
      message = process.stderr.read()
      if process.returncode != 0 or begins:
        self._add(kind, time.monotonic(), 0,
                  f"{process.args}: exit code {process.returncode}, "
                  f"{len(begins)} without answer: {message}")
      process.stdout.close()
      process.stderr.close()

    return write, read


class RollingUpdateTest(unittest.TestCase):

  def setUp(self):
    # pylint: disable=consider-using-with
    temporary = tempfile.TemporaryDirectory()
    self.addCleanup(temporary.cleanup)
    self.directory = pathlib.Path(temporary.name)
    self.directory.chmod(0o755)
    self.log = open(self.directory / "log", "w", encoding="utf-8")
    self.addCleanup(self.log.close)
    values = charts.merge(charts.example("claim"), VALUES)
    objects, notes = charts.render(values)
    self.options = dict(charts.find(objects, "ConfigMap")["data"])
    self.options["LM_SERVER_STORE"] = str(self.directory / "store")
    self.grace = charts.find(objects, "Deployment")[
        "spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    self.target = re.search(r"dns:///\S+", notes)[0]
    name = re.fullmatch(r"dns:///(\S+):\d+", self.target)[1]
    self.dns = fleet.Dns(name, self.directory)
    self.addCleanup(self.dns.end)
    self.numbers = iter(range(10, 250))
    self.pods = []
    for version in CORPORA:
      self.train(version)
    self.program("lm_trainer", "alias", "stable", "--store",
                 self.options["LM_SERVER_STORE"], "--model", "en@1")

  def program(self, name, *arguments, text=None):
    result = subprocess.run(
        [PROGRAMS / name, *map(str, arguments)], input=text, text=True,
        check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    self.assertEqual(result.returncode, 0, result.stderr)
    return result.stdout

  def train(self, version):
    self.program("lm_trainer", "ngram", "--corpus", "-", "--order", 2,
                 "--smoothing", "witten-bell", "--store",
                 self.options["LM_SERVER_STORE"], "--model", "en",
                 text=CORPORA[version] * 9)

  def start(self):
    """Starts a pod and waits until it is ready and has its name."""
    pod = self.start_without_name()
    self.pods.append(pod)
    self.dns.add(pod)
    self.on_change()
    return pod

  def start_without_name(self):
    namespace = fleet.Namespace(next(self.numbers))
    pod = fleet.Pod(namespace, PROGRAMS / "lm_server", self.options, self.log)
    self.addCleanup(pod.end)
    with lmserve.Client(pod.address, attempts=1) as client:
      def is_ready():
        with contextlib.suppress(lmserve.LmserveError):
          return client.health()
        return False
      fleet.wait_until(is_ready, 60, f"{pod.address} is ready")
    return pod

  def start_idle_stream(self):
    """Opens a stream on a server of its own, and returns a step of it.

    Its client sends keepalive pings while the stream waits, which the server must
    permit.
    """
    client = lmserve.Client(self.start_without_name().address)
    self.addCleanup(client.close)
    session = client.decode("en@1", ["the"])
    session.__enter__()
    return lambda: session.extend([session.start.handle], session.start.ids)

  def forget(self, pod):
    self.pods.remove(pod)
    self.dns.remove(pod)
    self.on_change()

  def on_change(self):
    if MODE == "nginx" and self.proxy is not None:
      time.sleep(0.2)
      self.proxy.send_signal(1)  # SIGHUP: it resolves names only then

  proxy = None

  def start_proxy(self):
    namespace = fleet.Namespace(2)
    self.target = f"{namespace.host}:50051"
    self.proxy = namespace.start(
        proxies.command(MODE, PROXY, self.directory), log=self.log)
    self.addCleanup(self.proxy.stdout.close)
    self.addCleanup(self.proxy.wait)
    self.addCleanup(self.proxy.kill)

  def expected(self):
    """Returns what each version answers, by kind of client."""
    found = {}
    pod = self.pods[0]
    with lmserve.Client(pod.address) as client:
      for version in CORPORA:
        model = f"en@{version}"
        score = client.score(model, [TEXT]).scores[0].log_prob
        found["python", version] = round(score, 4)
        for kind, options in (("score", []), ("predict", ["-k", "12500"])):
          found[kind, version] = self.program(
              "lm_client", "--json", "--server", pod.address, kind, *options,
              "--model", model, TEXT).strip()
    self.assertEqual(len(set(found.values())), len(found))
    return found

  def shares(self, seconds, method="Score"):
    """Returns the calls that each pod gets in some seconds."""
    before = [pod.calls(method) for pod in self.pods]
    time.sleep(seconds)
    return [pod.calls(method) - old for pod, old in zip(self.pods, before)]

  def check_spread(self):
    # A proxy sends the few calls of one client where few others are.
    for method in ("Score", "Predict") if MODE == "dns" else ("Score",):
      shares = self.shares(5, method)
      print(f"calls of {method}: {shares}")
      mean = sum(shares) / len(shares)
      self.assertGreater(mean, 10)
      for share in shares:
        self.assertGreater(share, (1 - DEVIATION) * mean, shares)
        if MODE == "dns":
          self.assertLess(share, (1 + DEVIATION) * mean, shares)

  def has_share(self, pod):
    shares = self.shares(1)
    mean = sum(shares) / len(shares)
    return shares[self.pods.index(pod)] > (1 - DEVIATION) * mean

  def check_no_failure(self, load, what):
    failures = load.failures()
    answers = list(load.answers)
    longest = {kind: round(max(answer.seconds for answer in answers
                               if answer.kind == kind), 2)
               for kind in ("python", "score", "predict")}
    print(f"{what}: {len(answers)} calls, {len(failures)} failed; the longest "
          f"took {longest} s")
    self.assertEqual(failures[:5], [])

  def pod_of_stream(self):
    """Returns the pod that answers the stream of `score`."""
    found = []
    def has_one():
      found[:] = [pod for pod in self.pods if pod.calls_in_progress("ScoreStream")]
      return len(found) == 1
    fleet.wait_until(has_one, 10, "one pod has the stream")
    return found[0]

  def replace(self, old):
    """Replaces a pod as the chart's rolling update does."""
    new = self.start()
    old.terminate()
    self.forget(old)
    self.assertEqual(old.process.wait(self.grace), 0)
    fleet.wait_until(lambda: self.has_share(new), 1.1 * AGE + 5,
                     "a new server has its share")

  def check_versions(self, load, moved, settled):
    """Checks that versions change once, while the alias moves."""
    found = collections.Counter()
    for answer in load.answers:
      if answer.begin + answer.seconds < moved:
        self.assertEqual(answer.version, 1)
      if answer.begin > settled:
        self.assertEqual(answer.version, 2)
      found[answer.version] += 1
    print(f"answers of each version: {dict(found)}")
    self.assertEqual(set(found), {1, 2})

  def move_alias(self):
    """Returns the times before which all, and after which no server has 1."""
    moved = time.monotonic()
    self.program("lm_trainer", "alias", "stable", "--store",
                 self.options["LM_SERVER_STORE"], "--model", "en@2")
    for pod in self.pods:
      with lmserve.Client(pod.address) as client:
        fleet.wait_until(
            lambda client=client: client.get_model(MODEL).version == 2, 20,
            f"{pod.address} has the new version")
    return moved, time.monotonic()

  def test_update_and_losses(self):
    for _ in range(VALUES["replicas"]):
      self.start()
    if MODE != "dns":
      self.start_proxy()
    self.wait_for_target()
    begin, step = time.monotonic(), self.start_idle_stream()
    with Load(self.target, self.expected()) as load:
      fleet.wait_until(
          lambda: all(self.has_share(pod) for pod in self.pods), 30,
          "calls spread")
      self.check_spread()
      for old in list(self.pods):
        self.replace(old)
      self.check_no_failure(load, "rolling update")
      self.check_spread()

      new = self.start()
      seconds = fleet.wait_until(lambda: self.has_share(new), 1.1 * AGE + 5,
                                 "a further server has its share")
      print(f"a further server has its share after {seconds:.1f} s")
      moved, settled = self.move_alias()
      time.sleep(2)
      self.check_no_failure(load, "scaled up, alias moved")

      killed = self.pod_of_stream()
      killed.kill()
      time.sleep(1)
      self.forget(killed)
      time.sleep(3)
      self.check_no_failure(load, "a server was killed")
      # nginx notices it only when its system ends the connections, which takes
      # minutes.
      if MODE != "nginx":
        cut_off = self.pod_of_stream()
        cut = time.monotonic()
        cut_off.cut_off()
        time.sleep(PATIENCE + 4)
        self.check_no_failure(load, "a server was cut off")
    self.check_no_failure(load, "all clients have ended")
    for answer in load.answers:
      self.assertLess(answer.seconds, PATIENCE, answer)
      if MODE != "nginx" and answer.begin > cut + PATIENCE:
        self.assertLess(answer.seconds, 3, answer)  # nobody asks it any more
    self.check_versions(load, moved, settled)
    self.assertGreater(time.monotonic() - begin, 35)  # six pings
    self.assertEqual(len(step().handles), 1)

  def wait_for_target(self):
    with lmserve.Client(self.target, attempts=1) as client:
      def works():
        with contextlib.suppress(lmserve.LmserveError):
          return client.health()
        return False
      fleet.wait_until(works, 60, self.target)


if __name__ == "__main__":
  unittest.main(argv=sys.argv[:1])
