# SPDX-License-Identifier: Apache-2.0
"""Kills lm_store sync at random points, beside writers, a server and a verifier.

    store_sync_test.py PROGRAMS

PROGRAMS is the directory of the programs. The remote store is a directory, so that
nothing else must be installed; bucket_test.py has one in a bucket. LMSERVE_KILLS is
the number of kills, by default 200.
"""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from store_programs import Programs, Server, files, problems_of_version

if len(sys.argv) != 2:
  sys.exit(__doc__)
PROGRAMS = Programs(sys.argv[1])
KILLS = int(os.environ.get("LMSERVE_KILLS", "200"))
BASES = 5  # different models
SEED = 20261201
TEXT = "the cat is small"


def versions_of(model):
  return sorted(int(entry.name) for entry in model.iterdir()
                if entry.name.isdigit()) if model.is_dir() else []


class Publisher:
  """Pushes one version after the other, moves aliases and removes old versions."""

  def __init__(self, directory, bases, remote):
    self._store = directory / "source"
    self._bases = bases
    self._remote = remote
    self.newest = 0
    self._stop = threading.Event()
    self.errors = []
    self._thread = threading.Thread(target=self._run)

  def publish(self):
    """The version is a base under another number, with a manifest of its own."""
    number = self.newest + 1
    model = self._store / "m"
    target = model / str(number)
    shutil.copytree(self._bases / "m" / str(1 + number % BASES), target)
    manifest = json.loads((target / "manifest.json").read_text("utf-8"))
    manifest["properties"]["number"] = str(number)
    (target / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    (model / "aliases.json").write_text(json.dumps(
        {"versions": {"stable": str(max(1, number - 1)), "new": str(number)}}),
                                        "utf-8")
    for old in versions_of(model)[:-3]:
      shutil.rmtree(model / str(old))
    for command in (("push", self._store, self._remote),
                    ("gc", self._remote, "--keep", "3")):
      code, _, errors = PROGRAMS.run("lm_store", *command)
      if code != 0:
        self.errors.append(errors)
    self.newest = number

  def _run(self):
    while not self._stop.is_set():
      self.publish()
      self._stop.wait(0.05)

  def __enter__(self):
    self._thread.start()
    return self

  def __exit__(self, *_):
    self._stop.set()
    self._thread.join()


class Watcher:
  """Looks at a store again and again, as a reader does."""

  def __init__(self, store):
    self._model = store / "m"
    self._stop = threading.Event()
    self._thread = threading.Thread(target=self._run)
    self.looks = 0
    self.problems = []

  def _check_versions(self):
    for number in versions_of(self._model):
      directory = self._model / str(number)
      problems = problems_of_version(directory)
      # One that was removed meanwhile is no problem.
      if problems and directory.is_dir():
        self.problems += problems_of_version(directory)

  def _aliases(self):
    try:
      text = (self._model / "aliases.json").read_text("utf-8")
    except FileNotFoundError:
      return {}
    return json.loads(text)["versions"]

  def _check_aliases(self):
    for alias, version in self._aliases().items():
      # An alias may have moved before its version was removed.
      if (not (self._model / version).is_dir() and
          self._aliases().get(alias) == version):
        self.problems.append(f"{alias} = {version}, which does not exist")

  def _run(self):
    while not self._stop.is_set():
      self.looks += 1
      try:
        self._check_versions()
        self._check_aliases()
      except Exception as error:  # pylint: disable=broad-except
        self.problems.append(repr(error))

  def __enter__(self):
    self._thread.start()
    return self

  def __exit__(self, *_):
    self._stop.set()
    self._thread.join()


class StoreSyncTest(unittest.TestCase):

  def setUp(self):
    # pylint: disable=consider-using-with
    self._temporary = tempfile.TemporaryDirectory()
    self.addCleanup(self._temporary.cleanup)
    self.directory = pathlib.Path(self._temporary.name)
    self.bases = self.directory / "bases"
    for number in range(BASES):
      PROGRAMS.train(self.bases, "m", ["cat", "dog", "small"] +
                     [f"word{i}" for i in range(20 + 20 * number)])
    self.remote = self.directory / "remote"
    self.local = self.directory / "local"

  def expected_scores(self):
    with Server(PROGRAMS, self.bases, "--keep", "all") as server:
      scores = [server.score(f"m@{1 + i}", TEXT)[1] for i in range(BASES)]
    self.assertEqual(len(set(scores)), BASES)
    return lambda version: scores[version % BASES]

  def sync(self, *options, interval=0.01):
    return PROGRAMS.start(
        "lm_store", "sync", self.local, self.remote, "--interval", interval,
        "--newest", "2", "--remove-old", *options, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)

  def test_killed_at_random_points(self):
    expected = self.expected_scores()
    draw = random.Random(SEED)
    publisher = Publisher(self.directory, self.bases, self.remote)
    publisher.publish()
    # A whole pull takes this long, on this machine and beside the others.
    begin = time.monotonic()
    code, _, errors = PROGRAMS.run("lm_store", "pull", self.local, self.remote,
                                   "--require", "m@stable")
    longest = 4 * (time.monotonic() - begin)
    self.assertEqual(code, 0, errors)
    log = self.directory / "log"
    answered = set()
    waits = 0
    with (log.open("wb") as log_file,
          Server(PROGRAMS, self.local, "--poll-seconds", "0.02",
                 log=log_file) as server,
          Watcher(self.local) as watcher, publisher):
      for _ in range(KILLS):
        process = self.sync()
        time.sleep(draw.uniform(0, longest))
        process.kill()
        process.wait()
        for name in ("m", "m@stable"):
          answer = server.score(name, TEXT)
          # Under versions that live for a tenth of a second, a server can
          # lose an alias until its next look at the store.
          end = time.monotonic() + 5
          while answer is None and time.monotonic() < end:
            waits += 1
            answer = server.score(name, TEXT)
          self.assertIsNotNone(answer, name)
          self.assertEqual(answer[1], expected(answer[0]))
          answered.add(answer[0])
    self.assertEqual(publisher.errors, [])
    self.assertEqual(watcher.problems, [])
    # A version can be removed while it is loaded.
    self.assertEqual([line for line in log.read_text("utf-8").splitlines()
                      if " refused " in line and "has no version" not in line],
                     [])
    print(f"{KILLS} kills, {publisher.newest} versions published, "
          f"{len(answered)} of them answered, {watcher.looks} looks, "
          f"{waits} answers that an alias is missing")
    self.assertGreater(len(answered), 3)
    # The next one finishes what the others have begun, and tidies up.
    code, _, errors = PROGRAMS.run("lm_store", "pull", self.local, self.remote)
    self.assertEqual((code, errors), (0, ""))
    self.assertEqual([name.name for name in (self.local / "m").iterdir()
                      if name.name.startswith(".pull")], [])
    code, output, errors = PROGRAMS.run("lm_store", "verify", self.local,
                                        self.remote)
    self.assertEqual((code, errors), (0, ""), output)
    here, there = files(self.local), files(self.remote)
    self.assertEqual({path: here.get(path) for path in there}, there)

  def test_ends_with_code_0(self):
    Publisher(self.directory, self.bases, self.remote).publish()
    for stop in (signal.SIGTERM, signal.SIGINT):
      process = self.sync(interval=1000)
      end = time.monotonic() + 60
      while not (self.local / "m" / "aliases.json").exists():
        self.assertLess(time.monotonic(), end)
        time.sleep(0.01)
      begin = time.monotonic()
      process.send_signal(stop)
      self.assertEqual(process.wait(60), 0)
      self.assertLess(time.monotonic() - begin, 5)
      shutil.rmtree(self.local)

  def test_waits_for_a_remote_store(self):
    process = PROGRAMS.start(
        "lm_store", "sync", self.local, self.remote, "--interval", "0.01",
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(0.5)
    Publisher(self.directory, self.bases, self.remote).publish()
    lines = [process.stdout.readline() for _ in range(3)]
    self.assertEqual(sorted(lines), ["m@new = m@1\n", "m@stable = m@1\n",
                                     "pulled m@1\n"])
    process.terminate()
    _, errors = process.communicate(timeout=60)
    self.assertEqual(process.returncode, 0)
    # The problem is reported once, not each time.
    self.assertEqual(errors, "lm_store: the remote store has no model; is its "
                     "address correct?\n")

  def test_exit_codes(self):
    for code, arguments in (
        (2, ("pull", "x")), (2, ("gc", "x")), (2, ("gc", "x", "--keep", "0")),
        (2, ("pull", "x", "y", "--remove-old")), (2, ("throw",)), (2, ()),
        (2, ("push", "x", "y", "--model", "../z")),
        (1, ("push", self.directory / "nothing", self.remote)),
        (1, ("pull", self.local, self.remote)),
        (1, ("gc", self.remote, "--keep", "1")),
        (1, ("export-oci", self.bases, "x", self.directory / "layout"))):
      found, output, errors = PROGRAMS.run("lm_store", *arguments)
      self.assertEqual((found, output), (code, ""), arguments)
      self.assertEqual(errors.count("\n"), 1, errors)
      self.assertTrue(errors.startswith("lm_store: "), errors)

  def test_require(self):
    Publisher(self.directory, self.bases, self.remote).publish()
    for required, code in (("m", 0), ("m@stable", 0), ("m@1", 0), ("m@7", 1),
                           ("m,x", 1)):
      found, _, errors = PROGRAMS.run("lm_store", "pull", self.local,
                                      self.remote, "--require", required)
      self.assertEqual(found, code, errors)


if __name__ == "__main__":
  unittest.main(argv=sys.argv[:1])
