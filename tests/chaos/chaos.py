# SPDX-License-Identifier: Apache-2.0
"""Does to a running lm_server what users, disks and attackers do, all at once.

    chaos.py --programs build/quickstart/bin [--seconds 600] [--seed N]

Clients call the server all the time and compare each answer with that of an
undisturbed server. Meanwhile rounds of some ten seconds mix, at random times:
new versions, aliases, loading and unloading; damage to the store; attacks with
HTTP/2 frames; signals and restarts; logs that nobody reads; jumps of the clock
(if libfaketime is installed); and files of TLS and tokens that are written in
place (in every second seed). After each round the server must be as before
within 5 s.

Invariants: no answer differs in a bit from the right one of the version that it
names; a call fails only during an event that justifies it, and only with the
codes of that event; nothing hangs, and hardly a call takes 2 s; memory stays
below the start plus 256 MB; descriptors do not grow; the lock of one model
stops no other; the log is JSON; SIGTERM ends with exit code 0. Prints each
event and each broken invariant, and exits with 1 if there was one. --seed,
--first-round and --seconds 1 repeat one round with the same events.

As root it also fills small file systems, and runs the server as a user without
rights.
"""

import argparse
import collections
import fcntl
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import grpc

import checked_calls
import good_client
import http2_attacks
import server_process
import store_damage
from server_process import MEGABYTE

HERE = pathlib.Path(__file__).resolve().parent
ROUND = 8.0  # seconds in which events begin
RECOVERY = 5.0
LARGEST_GROWTH = 256 * MEGABYTE
MORE_DESCRIPTORS = 50
NOBODY = 65534
DRAIN = 3  # seconds
MODELS = ("steady", "swap", "swap@stable", "lstm", "hurt")
TOKEN = "0123456789abcdef-good"
FAKETIME = pathlib.Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
# What a call may end with while the server is not there.
LOST = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "SLOW")
CONTENTS = {"first": 1, "second": 2, "third": 3}  # and the seeds of their texts


def free_port():
  """Returns a port that no outgoing connection will get."""
  while True:
    port = random.randrange(20000, 30000)
    with socket.socket() as probe:
      try:
        probe.bind(("127.0.0.1", port))
        return port
      except OSError:
        pass


class LogReader:
  """Reads the server's log from a pipe, and can stop to do so."""

  def __init__(self, report):
    self._report = report
    self._read_end, self.write_end = os.pipe()
    self._reads = threading.Event()
    self._reads.set()
    self.lines = collections.deque(maxlen=40)
    self._thread = threading.Thread(target=self._run, daemon=True)
    self._thread.start()

  def _run(self):
    rest = b""
    with open(self._read_end, "rb", buffering=0, closefd=False) as file:
      while part := file.read(65536):
        self._reads.wait()
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
          self._check(line)

  def _check(self, line):
    try:
      event = json.loads(line.decode())
      if event.get("level") != "debug":
        self.lines.append(line.decode())
    except ValueError:
      self.lines.append(repr(line))
      # A program that is killed may leave half a line.
      if line.startswith(b"{"):
        self._report("log", f"expected JSON in UTF-8, found {line[:200]!r}")

  def stall(self, seconds):
    self._reads.clear()
    time.sleep(seconds)
    self._reads.set()

  def close_writer(self):
    os.close(self.write_end)

  def close(self):
    """Closes the read end, so that the writer gets SIGPIPE or EPIPE."""
    self._reads.set()
    # The thread may wait in read(): only a null device wakes it up.
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, self._read_end)
    os.close(null)


class Window:
  """The time in which an event justifies that calls fail."""

  def __init__(self, event, codes, models=None):
    self.event, self.codes, self.models = event, set(codes), models
    self.begin, self.end = time.time(), None

  def justifies(self, failed):
    end = float("inf") if self.end is None else self.end + RECOVERY
    return (failed["code"] in self.codes and
            failed["begin"] <= end and failed["end"] >= self.begin and
            (self.models is None or failed["model"] in self.models))


class Chaos:
  """The server, the store, the clients and everything that happens to them."""

  def __init__(self, arguments, work):
    self.arguments = arguments
    self.begin = time.time()
    self.work = pathlib.Path(work)
    self.work.chmod(0o755)
    self.root = os.geteuid() == 0
    self.user = NOBODY if self.root else None
    self.secure = arguments.seed % 2 == 1
    self.windows, self.failed, self.seen, self.broken = [], [], [], []
    self.mutex = threading.Lock()
    self.events = collections.Counter()
    self.calls = self.peak = 0
    self.only = set(arguments.only.split(",")) if arguments.only else None
    # Held while the server cannot start, or is not meant to run.
    self.restarting = threading.RLock()
    # Held by what needs the store and its files of aliases as they are.
    self.files = threading.RLock()
    self.last_alias = 1
    self.mounted = []
    self.log = None
    self.programs = self.work / "programs"
    self.programs.mkdir()
    for name in ("lm_server", "lm_client", "lm_trainer"):
      shutil.copy(pathlib.Path(arguments.programs) / name, self.programs)
    self.address = f"127.0.0.1:{free_port()}"
    self.admin = f"127.0.0.1:{free_port()}"
    self.environment = {}
    self.clock = self.work / "clock"
    if FAKETIME.exists():
      self._set_clock("+0")
      self.environment = {
          "LD_PRELOAD": str(FAKETIME), "FAKETIME_NO_CACHE": "1",
          "FAKETIME_TIMESTAMP_FILE": str(self.clock),
          "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
          "NO_FAKE_STAT": "1"}
    else:
      self.say("skipped: jumps of the clock (libfaketime is not installed)")
    if not self.root:
      self.say("skipped: full file systems (only root can mount small ones)")

  # ---- Reports.

  def say(self, text):
    with self.mutex:
      print(f"{time.time() - self.begin:8.2f}  {text}", flush=True)

  def break_invariant(self, name, text):
    with self.mutex:
      self.broken.append((name, text))
    self.say(f"BROKEN {name}: {text}")

  # ---- Setting up.

  def mount(self, path, size):
    """Makes a small file system at the path, if permitted."""
    path.mkdir()
    if self.root and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "chaos", path],
        stderr=subprocess.DEVNULL, check=False).returncode == 0:
      self.mounted.append(path)
    return path

  def set_up(self):
    clean = self.work / "clean"
    for name, seed in CONTENTS.items():
      server_process.train(self.programs, self.work, clean, name, seed)
    corpus = self.work / "corpus-1.txt"
    subprocess.run(
        [self.programs / "lm_trainer", "recurrent", "--units", "16",
         "--embedding", "8", "--epochs", "1", "--corpus", corpus, "--valid",
         corpus, "--store", clean, "--model", "lstm"],
        check=True, capture_output=True)
    self.expected = self._expected(clean)
    contents = {name: clean / name / "1" for name in [*CONTENTS, "lstm"]}
    disk = self.mount(self.work / "disk", "64m")
    self.logs = self.mount(self.work / "logs", "1m")
    if self.root:
      os.chown(self.logs, self.user, self.user)
    self.store = store_damage.Store(
        disk / "store",
        {name: contents[name] for name in CONTENTS}, self.user)
    for model in ("steady", "swap", "hurt", http2_attacks.MODEL):
      self.store.publish(model, "first")
    lstm = self.store.path / "lstm"
    lstm.mkdir()
    shutil.copytree(contents["lstm"], lstm / "1")
    self.store.own_tree(lstm)
    self.store.book["lstm", 1] = "lstm"
    if self.secure:
      self._make_secrets()
    self.start_server(random.Random(self.arguments.seed))
    self.admin_call("alias", "swap@1", "stable", must=True)
    self._start_load()
    time.sleep(5)
    self.start_resident = self.server.resident()
    self.start_descriptors = self.server.descriptors()
    self.say(f"started with {self.start_resident // MEGABYTE} MB and "
             f"{self.start_descriptors} descriptors{self.variant}")

  def _expected(self, clean):
    """Asks an undisturbed server for all answers."""
    server = server_process.ServerProcess(
        self.programs, clean, ["--admin-listen", ""])
    try:
      with good_client.connect(server.address, None) as channel:
        result = {name: {kind: call(channel, name, timeout=10)[1]
                         for kind, call in checked_calls.CALLS.items()}
                  for name in [*CONTENTS, "lstm"]}
    finally:
      server.kill()
    if len({answers["Score"] for answers in result.values()}) < len(result):
      raise AssertionError("expected that all contents have other scores")
    return result

  def _make_secrets(self):
    self.certificate, self.key = self.work / "tls.pem", self.work / "tls.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2000", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", self.key, "-out", self.certificate],
        check=True, capture_output=True,
        # Valid at all times to which the server's clock may jump.
        env={**os.environ, **self.environment, "FAKETIME": "-500d",
             "FAKETIME_TIMESTAMP_FILE": ""})
    self.tokens = self.work / "tokens"
    self.tokens.write_text(f"read {TOKEN}\nadmin {TOKEN}-admin\n",
                           encoding="ascii")
    (self.work / "admin-token").write_text(TOKEN + "-admin", encoding="ascii")
    (self.work / "ca.pem").write_bytes(self.certificate.read_bytes())
    for path in (self.certificate, self.key, self.tokens):
      path.chmod(0o600)
      if self.user is not None:
        os.chown(path, self.user, self.user)

  def ca(self):
    return str(self.work / "ca.pem") if self.secure else None

  def start_server(self, random_):
    """Starts the server with a log that goes somewhere."""
    options = ["--admin-listen", self.admin, "--log-format", "json",
               "--log-level", "debug", "--drain-seconds", str(DRAIN)]
    if self.secure:
      options += ["--tls-certificate", self.certificate, "--tls-key", self.key,
                  "--tokens", self.tokens]
    options += self.arguments.server_option
    if self.log is not None:
      self.log.close()
    # Few descriptors, so that attackers reach the limit; and descriptors that
    # a careless service manager has closed, so that other files get their
    # numbers.
    limit = random_.choice([None, 1024])
    closed = random_.choice([(), (), (0,), (2,), (0, 2)])
    to_file = self.logs in self.mounted and random_.random() < 0.3
    if 2 in closed:
      self.log = None
      log = open(os.devnull, "wb")
    elif to_file:
      self.log = None
      path = self.logs / "log"
      log = open(path, "ab")
      os.chown(path, self.user, self.user)
    else:
      self.log = LogReader(self.break_invariant)
      log = os.fdopen(self.log.write_end, "wb")
    with log:
      self.server = server_process.ServerProcess(
          self.programs, self.store.path, options, listen=self.address,
          descriptors=limit, log=log, closed=closed, user=self.user,
          environment=self.environment)
    kind = "closed" if 2 in closed else "full" if to_file else "read"
    self.variant = (f"; {limit or 'many'} descriptors, log {kind}"
                    f"{', no standard input' if 0 in closed else ''}")

  def _start_load(self):
    configuration = {
        "target": self.address, "ca": self.ca(),
        "token": TOKEN if self.secure else None, "models": MODELS,
        "expected": self.expected, "seed": self.arguments.seed}
    self.load = subprocess.Popen(
        [sys.executable, HERE / "load_client.py"], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True)
    self.load.stdin.write(json.dumps(configuration) + "\n")
    self.load.stdin.flush()
    self.load_reader = threading.Thread(target=self._read_load)
    self.load_reader.start()

  def _read_load(self):
    for line in self.load.stdout:
      event = json.loads(line)
      if "failed" in event:
        with self.mutex:
          self.failed.append(event["failed"])
      elif "seen" in event:
        self._check_answer(*event["seen"], event["call"])
      elif "hangs" in event:
        self.break_invariant("hang", str(event["hangs"]))
      else:
        self.calls = event["calls"]

  def _check_answer(self, model, version, contents, call):
    published = self.store.book.get((model, version))
    if published is None:
      self.break_invariant(
          "wrong answer", f"{call} was answered by {model}@{version}, which "
          "was never published")
    elif published not in contents:
      self.break_invariant(
          "wrong answer", f"{call} of {model}@{version}: expected the answer "
          f"of content {published}, found that of {contents or 'no content'}")

  # ---- Events.

  def window(self, event, codes, models=None):
    result = Window(event, codes, models)
    with self.mutex:
      self.windows.append(result)
    return result

  def admin_call(self, *arguments, must=False):
    """Runs lm_client against the admin address; returns its last line."""
    command = [self.programs / "lm_client", "--server", self.admin,
               "--deadline", "5"]
    environment = {**os.environ, "LMSERVE_ADMIN": self.admin}
    if self.secure:
      command += ["--tls-ca", self.ca(), "--tls-server-name", "localhost",
                  "--token-file", self.work / "admin-token"]
    try:
      result = subprocess.run([*command, *arguments], capture_output=True,
                              text=True, check=must, env=environment,
                              timeout=10)
    except subprocess.TimeoutExpired:
      return "DEADLINE_EXCEEDED: lm_client did not end 5 s after its deadline"
    return (result.stdout + result.stderr).strip().split("\n")[-1][:150]

  def publish(self, random_):
    content = random_.choice(list(CONTENTS))
    with self.files:
      try:
        return f"swap@{self.store.publish('swap', content)} is {content}"
      except OSError as error:
        return f"could not: {error}"[:100]

  def alias(self, random_):
    with self.files:
      versions = self._versions_of_swap()
      if not versions:
        return "no store"
      self.last_alias = random_.choice(versions)
      return self.admin_call("alias", f"swap@{self.last_alias}", "stable")

  def unload(self, random_):
    with self.files:
      versions = self._versions_of_swap()
      return self.admin_call("unload", f"swap@{random_.choice(versions)}") \
          if versions else "no store"

  def load_version(self, random_):
    with self.files:
      versions = self._versions_of_swap()
      return self.admin_call("load", f"swap@{random_.choice(versions)}") \
          if versions else "no store"

  def trim(self, _random):
    """Deletes old versions that no alias names."""
    with self.files:
      try:
        aliases = json.loads((self.store.path / "swap" / "aliases.json")
                             .read_text(encoding="utf-8"))
        named = {int(version) for version in aliases["versions"].values()}
        old = [version for version in self.store.on_disk("swap")[:-2]
               if version not in named | {self.last_alias}]
        for version in old:
          self.store.remove("swap", version)
      except (OSError, ValueError, KeyError) as error:
        return f"could not: {error}"[:100]
      return f"removed {old}"

  def _versions_of_swap(self):
    try:
      return self.store.on_disk("swap")
    except OSError:
      return []

  def damage(self, function, random_):
    """Damages the store, and mends it."""
    locks = []
    if function in store_damage.UNNOTICED_DAMAGES:
      locks = [self.restarting, self.files]
    window = None
    if function in store_damage.HURT_DAMAGES:
      window = self.window(function.__name__,
                           ("NOT_FOUND", "UNAVAILABLE", "DATA_LOSS"), {"hurt"})
    for lock in locks:
      lock.acquire()
    try:
      result = function(self.store, random_)
    except OSError as error:
      result = f"could not: {error}"[:100]
    finally:
      for lock in reversed(locks):
        lock.release()
    if window:
      try:
        self.mended = self.store.mend(random_.choice(list(CONTENTS)))
        result += f"; mended by hurt@{self.mended}"
      except OSError as error:
        result += f"; could not mend: {error}"[:100]
      window.end = time.time()
    return result

  def abuse(self, name, random_):
    """Lets an attacker attack."""
    seconds = random_.uniform(2, 4)
    window = self.window(name, ("RESOURCE_EXHAUSTED",))
    command = [sys.executable, HERE / "http2_attacks.py", "--target",
               self.address, "--seconds", f"{seconds:.2f}", name]
    if self.secure:
      command.append("--tls")
    process = subprocess.Popen(["nice", "-n", "10", *command],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
    end = time.monotonic() + seconds + 20
    stopped = ""
    while process.poll() is None and time.monotonic() < end:
      if self.server.resident() > self.start_resident + 1500 * MEGABYTE:
        stopped = "; stopped, because the server's memory grew by 1500 MB"
        break
      time.sleep(0.02)
    process.kill()
    output, _ = process.communicate()
    window.end = time.time()
    if not output.strip():
      return f"{seconds:.1f} s{stopped}"
    did = json.loads(output)
    return (f"{seconds:.1f} s: {did.get('opened')} connections, "
            f"{did.get('sent_bytes', 0) // 1000} kB sent{stopped}")

  def hold_lock(self, _random):
    """Holds the lock of a model that publishers take, as another user may."""
    try:
      lock = os.open(self.store.path / "swap", os.O_RDONLY)
    except OSError as error:
      return f"could not: {error}"[:100]
    try:
      fcntl.flock(lock, fcntl.LOCK_EX)
      waits = threading.Thread(target=self.admin_call, args=(
          "alias", f"swap@{self.last_alias}", "stable"))
      waits.start()
      time.sleep(0.5)
      result = self.admin_call("load", "steady@1")
      if "DEADLINE" in result:
        self.break_invariant("admin", "the lock of one model stops the loading "
                             f"of others: {result}")
      time.sleep(2)
    finally:
      os.close(lock)
    waits.join()
    return result

  def hang_up(self, _random):
    self.server.process.send_signal(signal.SIGHUP)
    return ""

  def broken_pipe(self, _random):
    self.server.process.send_signal(signal.SIGPIPE)
    return ""

  def stop_and_continue(self, random_):
    window = self.window("stop", ("DEADLINE_EXCEEDED", "UNAVAILABLE", "SLOW"))
    seconds = random_.uniform(0.5, 2)
    with self.restarting:
      self.server.process.send_signal(signal.SIGSTOP)
      time.sleep(seconds)
      self.server.process.send_signal(signal.SIGCONT)
    window.end = time.time()
    return f"for {seconds:.1f} s"

  def terminate(self, random_):
    with self.restarting:
      window = self.window("terminate", ("UNAVAILABLE", "SLOW"))
      begin = time.monotonic()
      code = self.server.stop(DRAIN + 20)
      seconds = time.monotonic() - begin
      if code != 0:
        self.break_invariant("exit", "expected exit code 0 after SIGTERM, "
                             f"found {code} after {seconds:.1f} s")
      if seconds > DRAIN + 3:
        self.break_invariant("exit", f"SIGTERM took {seconds:.1f} s with "
                             f"--drain-seconds {DRAIN}")
      started = self._start_again(random_, window)
    return f"exit code {code} after {seconds:.1f} s{started}"

  def kill(self, random_):
    with self.restarting:
      window = self.window("kill", ("UNAVAILABLE", "SLOW"))
      self.server.kill()
      return "restarted" + self._start_again(random_, window)

  def _start_again(self, random_, window):
    begin = time.monotonic()
    for attempt in range(3):
      try:
        self.start_server(random_)
        break
      except RuntimeError as error:
        self.break_invariant("start", str(error))
        self._say_log()
        if attempt == 2:
          raise
        time.sleep(1)
    seconds = time.monotonic() - begin
    window.end = time.time()
    if seconds > RECOVERY:
      self.break_invariant("start", f"the server took {seconds:.1f} s to start")
    return f", listens again after {seconds:.1f} s{self.variant}"

  def stall_log(self, random_):
    log = self.log
    if log is None:
      return "skipped: the log goes elsewhere"
    log.stall(random_.uniform(2.5, 4))
    return ""

  def close_log(self, _random):
    if self.log is None:
      return "skipped: the log goes elsewhere"
    self.log.close()
    return ""

  def jump(self, random_):
    """Changes the server's clock."""
    offset = random_.choice(["+3600", "-3600", "+400d", "-400d", "+0", "+30"])
    self._set_clock(offset)
    return offset

  def _set_clock(self, offset):
    new = self.clock.with_suffix(".new")
    new.write_text(offset + "\n", encoding="ascii")
    new.rename(self.clock)

  def write_in_place(self, path):
    """Returns an event that empties a file and writes it again, in parts."""
    def event(random_):
      data = path.read_bytes()
      half = random_.randrange(len(data))
      with open(path, "r+b") as file:
        with self.restarting:  # a server cannot start with half a file
          file.truncate(0)
          time.sleep(1)
          file.write(data[:half])
          file.flush()
          time.sleep(1)
          file.write(data[half:])
          file.flush()
      return f"stopped after {half} of {len(data)} bytes"
    return event

  def lanes(self):
    """Returns the events of each lane and how many a round has at most.

    Events of one lane happen one after the other.
    """
    def damage(function):
      return lambda random_: self.damage(function, random_)

    def abuse(name):
      return lambda random_: self.abuse(name, random_)

    damages = [*store_damage.HURT_DAMAGES, *store_damage.UNNOTICED_DAMAGES]
    if not self.mounted:
      damages.remove(store_damage.full_disk)
    lanes = {
        "swap": (6, {"publish": self.publish, "alias": self.alias,
                     "unload": self.unload, "load": self.load_version,
                     "trim": self.trim}),
        "store": (3, {function.__name__: damage(function)
                      for function in damages}),
        "abuse": (2, {name: abuse(name) for name in http2_attacks.ATTACKS}),
        "signal": (2, {"hang_up": self.hang_up, "broken_pipe": self.broken_pipe,
                       "stop_and_continue": self.stop_and_continue,
                       "terminate": self.terminate, "kill": self.kill}),
        "lock": (1, {"hold_lock": self.hold_lock}),
        "log": (1, {"stall_log": self.stall_log, "close_log": self.close_log}),
    }
    if self.environment:
      lanes["clock"] = (2, {"jump": self.jump})
    if self.secure:
      lanes["secrets"] = (1, {
          f"{path.name}_in_place": self.write_in_place(path)
          for path in (self.certificate, self.key, self.tokens)})
    return lanes

  # ---- Rounds.

  def plan(self, number):
    """Returns the events of a round: (lane, seconds, name, function)."""
    result = []
    for lane, (most, events) in self.lanes().items():
      random_ = random.Random(f"{self.arguments.seed}.{number}.{lane}")
      names = [name for name in events if self.only is None or name in self.only
               or lane in self.only]
      count = random_.randint(0, most)
      if not names:
        continue
      if self.only is not None:
        count = max(1, count)
      for _ in range(count):
        name = random_.choice(names)
        result.append((lane, random_.uniform(0, ROUND), name, events[name]))
    return sorted(result, key=lambda event: event[1])

  def round(self, number):
    events = self.plan(number)
    self.say(f"round {number}: " + ", ".join(event[2] for event in events))
    self.peak = 0
    begin, begin_of_events = time.monotonic(), time.time()
    # Results of the rounds before have been judged.
    self.windows = [window for window in self.windows
                    if time.time() - (window.end or time.time()) < 15]
    lanes = {event[0] for event in events}
    threads = [threading.Thread(
        target=self._run_lane,
        args=(number, [event for event in events if event[0] == lane], begin))
               for lane in lanes]
    for thread in threads:
      thread.start()
    while any(thread.is_alive() for thread in threads):
      self._watch_server(events)
      time.sleep(0.1)
    self._watch_server(events)
    self._recover(events, begin_of_events)
    self._judge_failures()

  def _run_lane(self, number, events, begin):
    for lane, seconds, name, function in events:
      time.sleep(max(0, begin + seconds - time.monotonic()))
      random_ = random.Random(
          f"{self.arguments.seed}.{number}.{seconds}.{name}")
      started = time.time() - self.begin
      self.events[name] += 1
      try:
        result = function(random_)
      except Exception as error:  # pylint: disable=broad-except
        self.break_invariant("script", f"{name}: {error!r}")
        continue
      self.say(f"  {lane} {name} at {started:.2f}: {result}")

  def _watch_server(self, events):
    """Restarts the server if it has ended by itself."""
    self.peak = max(self.peak, self.server.resident())
    if self.server.alive() or not self.restarting.acquire(blocking=False):
      return
    try:
      if self.server.alive():
        return
      code = self.server.process.returncode
      self.break_invariant(
          "ended", f"the server ended with code {code} in a round of " +
          ", ".join(sorted({event[2] for event in events})))
      self._say_log()
      # The calls that this costs are not reported once more.
      window = self.window("ended", LOST)
      window.begin -= RECOVERY
      self._start_again(random.Random(1), window)
    finally:
      self.restarting.release()

  def _say_log(self):
    if self.log is not None:
      for line in list(self.log.lines)[-6:]:
        self.say("    log: " + line[:300])

  def _recover(self, events, begin_of_events):
    """Waits until everything is as before, for 5 s at most."""
    begin = time.monotonic()
    names = ", ".join(sorted({event[2] for event in events}))
    while True:
      self._watch_server(events)
      problems = self._problems()
      seconds = time.monotonic() - begin
      if not problems:
        self.say(f"  recovered after {seconds:.1f} s; "
                 f"{self.server.resident() // MEGABYTE} MB "
                 f"(at most {self.peak // MEGABYTE}), "
                 f"{self.server.descriptors()} descriptors, {self.calls} calls")
        return
      if seconds > RECOVERY:
        break
      time.sleep(0.2)
    self.break_invariant("recovery", f"{'; '.join(problems)} {seconds:.1f} s "
                         f"after {names}")
    self._say_log()
    self.say("  restarting the server, so that the next round begins well")
    window = self.window("restart", LOST)
    window.begin = begin_of_events
    with self.restarting:
      self.server.kill()
      try:
        self.mended = self.store.mend("first")
      except OSError as error:
        self.say(f"  cannot mend the store: {error}")
      self._start_again(random.Random(1), window)
    time.sleep(2)

  def _problems(self):
    """Returns what is not as it was at the start."""
    result, errors = [], {}
    resident, descriptors = self.server.resident(), self.server.descriptors()
    if resident > self.start_resident + LARGEST_GROWTH:
      result.append(f"memory grew from {self.start_resident // MEGABYTE} to "
                    f"{resident // MEGABYTE} MB")
    if descriptors > self.start_descriptors + MORE_DESCRIPTORS:
      result.append(f"descriptors grew from {self.start_descriptors} to "
                    f"{descriptors}")
    options = {"timeout": 1.0}
    if self.secure:
      options["metadata"] = [("authorization", f"Bearer {TOKEN}")]
    with good_client.connect(self.address, self.ca()) as channel:
      for model in MODELS:
        try:
          version, found = checked_calls.CALLS["Score"](
              channel, model, **options)
        except grpc.RpcError as error:
          errors.setdefault((error.code().name, error.details()[:200]),
                            []).append(model)
          continue
        contents = [content for content, answers in self.expected.items()
                    if answers["Score"] == found]
        if self.store.book.get(version) not in contents:
          result.append(f"{model} gives a wrong answer as {version}")
        newest = max(self.store.on_disk("hurt"), default=0)
        if model == "hurt" and version[1] != newest:
          result.append(f"{model} is version {version[1]}, not {newest}")
    result += [f"{', '.join(models)}: {code} {message}"
               for (code, message), models in errors.items()]
    return result

  def _judge_failures(self):
    with self.mutex:
      failed, self.failed = self.failed, []
    unjustified = {}
    for failure in failed:
      if not any(window.justifies(failure) for window in self.windows):
        unjustified.setdefault(failure["code"], []).append(failure)
    for code, failures in sorted(unjustified.items()):
      if code == "SLOW" and len(failures) < 3:
        continue  # another program may have used the processors
      first = failures[0]
      models = ", ".join(sorted({failure["model"] for failure in failures}))
      self.break_invariant(
          "slow call" if code == "SLOW" else "lost call",
          f"{len(failures)} calls of {models} ended with {code}, "
          f"such as {first['call']} at {first['begin'] - self.begin:.2f}, "
          f"after {first['end'] - first['begin']:.2f} s: "
          f"{first['message'][:200]}")

  def run(self):
    end = self.begin + self.arguments.seconds
    number = self.arguments.first_round
    while True:
      self.round(number)
      number += 1
      if time.time() >= end:
        break
    with self.restarting:
      code = self.server.stop(DRAIN + 20)
    if code != 0:
      self.break_invariant("exit", f"exit code {code} at the end")
    return number - self.arguments.first_round

  def close(self):
    """Stops what runs and removes what was mounted."""
    if hasattr(self, "load"):
      self.load.stdin.close()
      self.load.wait()
      self.load_reader.join()
      self.load.stdout.close()
    if hasattr(self, "server"):
      self.server.kill()
    if self.log is not None:
      self.log.close()
    for path in self.mounted:
      subprocess.run(["umount", "-l", path], check=False)


def main():
  parser = argparse.ArgumentParser(
      description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
  parser.add_argument("--programs", default="build/quickstart/bin")
  parser.add_argument("--seconds", type=float, default=600)
  parser.add_argument("--seed", type=int,
                      default=random.SystemRandom().randrange(10**6))
  parser.add_argument("--first-round", type=int, default=1)
  parser.add_argument("--only", help="names of events or lanes, with commas")
  parser.add_argument("--server-option", action="append", default=[],
                      metavar="OPTION", help="one more word for lm_server")
  arguments = parser.parse_args()
  os.environ["GRPC_VERBOSITY"] = "NONE"
  # Ends what was started and unmounts when it is stopped, too.
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
  http2_attacks.allow_descriptors()
  print(f"chaos: seed {arguments.seed}, {arguments.seconds:.0f} s, "
        f"{'with' if arguments.seed % 2 else 'without'} TLS and tokens",
        flush=True)
  with tempfile.TemporaryDirectory() as work:
    chaos = Chaos(arguments, work)
    try:
      chaos.set_up()
      rounds = chaos.run()
    finally:
      chaos.close()
  print(f"chaos: seed {arguments.seed}, {rounds} rounds, "
        f"{sum(chaos.events.values())} events, {chaos.calls} calls")
  print("  events: " + ", ".join(
      f"{count} {name}" for name, count in sorted(chaos.events.items())))
  if chaos.broken:
    kinds = collections.Counter(name for name, _ in chaos.broken)
    print("chaos: broken invariants: " + ", ".join(
        f"{count} {name}" for name, count in kinds.most_common()))
    return 1
  print("chaos: no invariant was broken")
  return 0


if __name__ == "__main__":
  sys.exit(main())
