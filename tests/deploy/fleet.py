# SPDX-License-Identifier: Apache-2.0
"""lm_servers that each have an address, as pods do, on one machine.

A pod is a network namespace on a bridge. dnsmasq plays the headless service: its name
stands for the addresses of the pods that are ready.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "testing"))
import pypi  # pylint: disable=wrong-import-position

_INSIDE = "LMSERVE_TEST_IS_INSIDE_NAMESPACES"
_NETWORK = "10.77.0"
_HOST = f"{_NETWORK}.1"  # the bridge, on which clients and dnsmasq are
_NAMESPACES = pathlib.Path("/run/netns")


def _run(*command):
  subprocess.run([str(part) for part in command], check=True)


def enter():
  """Continues this program with a network and a /run of its own.

  Nothing of the machine's network changes. Ends the program as skipped if it may not
  make namespaces, or if a program is missing.
  """
  os.environ["PATH"] += os.pathsep + "/usr/sbin"
  for program, package in (("ip", "iproute2"), ("dnsmasq", "dnsmasq-base"),
                           ("unshare", "util-linux")):
    if shutil.which(program) is None:
      pypi.skip(f"{program} (Debian's {package}) is not installed")
  if os.environ.get(_INSIDE) != "1":
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    unshare = ["unshare", *user, "--net", "--mount"]
    trial = subprocess.run(
        [*unshare, "sh", "-c",
         "ip link add bridge0 type bridge && mount -t tmpfs tmpfs /run && "
         "ip netns add pod && ip link add veth0 type veth peer name eth0 netns pod"],
        check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if trial.returncode != 0:
      pypi.skip(f"cannot make network namespaces: {trial.stdout.strip()}")
    os.environ[_INSIDE] = "1"
    os.execvp(unshare[0], [*unshare, sys.executable, "-B", *sys.argv])
  _run("ip", "link", "set", "lo", "up")
  _run("ip", "link", "add", "bridge0", "type", "bridge")
  _run("ip", "address", "add", f"{_HOST}/24", "dev", "bridge0")
  _run("ip", "link", "set", "bridge0", "up")
  resolver = pathlib.Path("/etc/resolv.conf").resolve()
  _run("mount", "-t", "tmpfs", "tmpfs", "/run")
  ours = pathlib.Path("/run/resolv.conf")
  ours.write_text(f"nameserver {_HOST}\n", "utf-8")
  if not resolver.exists():  # was in /run
    resolver.parent.mkdir(parents=True, exist_ok=True)
    resolver.touch()
  if resolver != ours:
    _run("mount", "--bind", ours, resolver)


class Namespace:
  """A network namespace with an address on the bridge."""

  def __init__(self, number):
    self.name = f"pod{number}"
    self.host = f"{_NETWORK}.{number}"
    self._link = f"to-{self.name}"
    _run("ip", "netns", "add", self.name)
    _run("ip", "link", "add", self._link, "type", "veth", "peer", "name", "eth0",
         "netns", self.name)
    _run("ip", "link", "set", self._link, "master", "bridge0", "up")
    inside = ["ip", "-netns", self.name]
    _run(*inside, "link", "set", "lo", "up")
    _run(*inside, "address", "add", f"{self.host}/24", "dev", "eth0")
    _run(*inside, "link", "set", "eth0", "up")

  def start(self, command, env=None, log=None):
    """Starts a program in the namespace."""
    return subprocess.Popen(
        ["nsenter", f"--net={_NAMESPACES / self.name}", *map(str, command)],
        env={**os.environ, **(env or {})}, text=True, stdout=subprocess.PIPE,
        stderr=log)

  def cut_off(self):
    """Drops all packets from and to the namespace, without a word."""
    _run("ip", "link", "set", self._link, "down")


class Pod:
  """An lm_server in a namespace.

  Attributes:
    host: Its address.
    process: The server.
  """

  def __init__(self, namespace, program, options, log):
    self._namespace = namespace
    self.host = namespace.host
    self.port = int(options["LM_SERVER_LISTEN"].rpartition(":")[2])
    self._metrics = options["LM_SERVER_METRICS_LISTEN"].rpartition(":")[2]
    self.process = namespace.start([program], options, log)

  @property
  def address(self):
    return f"{self.host}:{self.port}"

  def calls(self, method):
    """Returns how many calls of a method the server has begun."""
    return self._count("call_started_total", method)

  def calls_in_progress(self, method):
    """Returns how many calls of a method have not ended."""
    return self.calls(method) - self._count("call_duration_seconds_count", method)

  def _count(self, metric, method):
    """Returns the sum of a metric of a method."""
    url = f"http://{self.host}:{self._metrics}/metrics"
    with urllib.request.urlopen(url, timeout=30) as response:
      text = response.read().decode()
    return sum(map(int, re.findall(
        rf'{metric}\{{.*method="{method}".*\}} (\d+)', text)))

  def terminate(self):
    self.process.terminate()

  def kill(self):
    self.process.kill()

  def cut_off(self):
    self._namespace.cut_off()

  def end(self):
    self.process.kill()
    self.process.wait()
    self.process.stdout.close()


class Dns:
  """A name that stands for the addresses of pods, as a headless service."""

  def __init__(self, name, directory):
    self._name = name
    self._hosts = directory / "hosts"
    self._addresses = []
    self._write()
    # pylint: disable=consider-using-with
    self._process = subprocess.Popen(
        ["dnsmasq", "--no-daemon", "--no-hosts", "--no-resolv", "--conf-file=/dev/null",
         f"--addn-hosts={self._hosts}", "--pid-file=", "--bind-interfaces",
         f"--listen-address={_HOST}", "--local=/svc/", "--local-ttl=1"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

  def add(self, pod):
    self._addresses.append(pod.host)
    self._reload()

  def remove(self, pod):
    self._addresses.remove(pod.host)
    self._reload()

  def end(self):
    self._process.kill()
    self._process.wait()

  def _write(self):
    self._hosts.write_text("".join(
        f"{address} {self._name}\n" for address in self._addresses), "utf-8")

  def _reload(self):
    self._write()
    self._process.send_signal(1)  # SIGHUP


def wait_until(condition, seconds, what):
  """Waits until a condition holds, and returns how many seconds that took."""
  begin = time.monotonic()
  while not condition():
    if time.monotonic() - begin > seconds:
      raise AssertionError(f"{what}: not within {seconds} s")
    time.sleep(0.1)
  return time.monotonic() - begin
