# SPDX-License-Identifier: Apache-2.0
"""Runs lm_server as a process, and looks at its memory and descriptors."""

import os
import pathlib
import resource
import selectors
import subprocess
import time

MEGABYTE = 1 << 20


class ServerProcess:
  """A running lm_server.

  Attributes:
    address: HOST:PORT of --listen.
    admin: HOST:PORT of --admin-listen; None if it was not given.
  """

  def __init__(self, programs, store, options=(), listen="127.0.0.1:0",
               descriptors=None, log=None, closed=(), user=None,
               environment=None, timeout=20):
    """Starts a server and waits until it listens.

    Args:
      programs: The directory of lm_server.
      store: The model store.
      options: More options.
      listen: The address for --listen.
      descriptors: Its limit of file descriptors; None: that of this process.
      log: A file or descriptor for its standard error; None: /dev/null.
      closed: Descriptors of 0 and 2 that are closed when it starts.
      user: The number of the user that it runs as; None: that of this process.
      environment: More environment variables.
      timeout: Seconds until it must listen.
    """
    def prepare():
      for descriptor in closed:
        os.close(descriptor)
      if descriptors is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

    identity = {} if user is None else {
        "user": user, "group": user, "extra_groups": []}
    self.process = subprocess.Popen(
        [pathlib.Path(programs) / "lm_server", "--store", store, "--listen",
         listen, "--poll-seconds", "0.2", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if log is None else log,
        stdin=subprocess.DEVNULL, preexec_fn=prepare,
        env={**os.environ, **(environment or {})}, **identity)
    self.pid = self.process.pid
    self.admin = None
    wanted = 1 + ("--admin-listen" not in options or
                  options[options.index("--admin-listen") + 1] != "")
    lines = self._first_lines(wanted, timeout)
    self.address = lines[0].split()[-1]
    if wanted == 2:
      self.admin = lines[1].split()[-1]

  def _first_lines(self, count, timeout):
    output, end = b"", time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
      selector.register(self.process.stdout, selectors.EVENT_READ)
      while output.count(b"\n") < count:
        part = b""
        if selector.select(max(0, end - time.monotonic())):
          part = os.read(self.process.stdout.fileno(), 4096)
        if not part:
          try:
            code = self.process.wait(1)
          except subprocess.TimeoutExpired:
            code = None
            self.kill()
          raise RuntimeError(f"lm_server does not listen; exit code {code}, "
                             f"output {output!r}")
        output += part
    return output.decode().splitlines()

  def alive(self):
    return self.process.poll() is None

  def resident(self):
    """Returns its resident memory in bytes; 0 if it has ended."""
    try:
      with open(f"/proc/{self.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
      return 0

  def descriptors(self):
    """Returns the number of its open descriptors; 0 if it has ended."""
    try:
      return len(os.listdir(f"/proc/{self.pid}/fd"))
    except OSError:
      return 0

  def stop(self, timeout=60):
    """Sends SIGTERM and returns the exit code; kills it after the timeout."""
    if self.alive():
      self.process.terminate()
    try:
      code = self.process.wait(timeout)
    except subprocess.TimeoutExpired:
      self.kill()
      code = None
    self.process.stdout.close()
    return code

  def kill(self):
    if self.alive():
      self.process.kill()
    self.process.wait()


def train(programs, directory, store, model, seed=1, sentences=2000, order=3):
  """Trains an n-gram model on the demo corpus and publishes it."""
  programs = pathlib.Path(programs)
  corpus = subprocess.run(
      [programs / "lm_trainer", "demo-corpus", "--seed", str(seed),
       "--sentences", str(sentences)], check=True, capture_output=True).stdout
  path = pathlib.Path(directory) / f"corpus-{seed}.txt"
  path.write_bytes(corpus)
  subprocess.run(
      [programs / "lm_trainer", "ngram", "--corpus", path, "--order",
       str(order), "--store", store, "--model", model],
      check=True, capture_output=True)
