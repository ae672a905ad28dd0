# SPDX-License-Identifier: Apache-2.0
"""An lm_server for tests of what the documentation says about it."""

import contextlib
import re
import subprocess
import threading
import urllib.request

_SECONDS = 60  # a server that does not listen after this time has failed


class RunningServer:
  """A server on free ports of this machine.

  Attributes:
    address: HOST:PORT of its calls.
    metrics_port: The port of its metrics.
  """

  def __init__(self, addresses):
    self.address = addresses["listening"]
    self.metrics_port = int(addresses["metrics"])

  def metrics(self):
    """Returns the text of /metrics."""
    url = f"http://127.0.0.1:{self.metrics_port}/metrics"
    with urllib.request.urlopen(url, timeout=10) as response:
      return response.read().decode()


@contextlib.contextmanager
def run_server(programs, arguments):
  """Starts a server that listens on free ports, and ends it.

  Args:
    programs: The directory of lm_server.
    arguments: Its arguments; later ones do not change the addresses.
  """
  command = [f"{programs}/lm_server", *arguments]
  for name in ("listen", "admin-listen", "metrics-listen"):
    while f"--{name}" in command:
      i = command.index(f"--{name}")
      del command[i:i + 2]
    command += [f"--{name}", "127.0.0.1:0"]
  with subprocess.Popen(command, stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE, text=True) as server:
    too_late = threading.Timer(_SECONDS, server.kill)
    too_late.start()
    try:
      addresses = {}
      while len(addresses) < 3 and (line := server.stdout.readline()):
        found = re.search(r'(listening|admin|metrics) on (?:port )?([^"\s]+)', line)
        addresses[found[1]] = found[2]
      too_late.cancel()
      if len(addresses) < 3:
        raise AssertionError(f"the server does not start: {server.stderr.read()}")
      yield RunningServer(addresses)
    finally:
      too_late.cancel()
      server.kill()
