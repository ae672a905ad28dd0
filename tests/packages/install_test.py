# SPDX-License-Identifier: Apache-2.0
"""Makes the Debian packages and uses them in a new Debian 12, as an operator does.

    install_test.py SOURCES BUILD_DIRECTORY

Installs them, publishes a model, runs the server under the restrictions of its
service, upgrades, and purges. Requires root and what `scripts/install-packages
package` installs; exits with 77 if something is missing. Debian's archive must be
within reach.
"""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

SOURCES, BUILD = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
SERVICE = SOURCES / "debian/lmserve-server.lmserve.service"


def why_not():
  """Returns why this machine cannot run the test, or None."""
  if os.getuid() != 0:
    return "expected root"
  for program in ("dpkg-buildpackage", "dh", "help2man", "lintian",
                  "mmdebstrap", "bwrap", "systemd-analyze"):
    if shutil.which(program) is None:
      return f"{program} is not installed"
  try:
    import seccomp  # pylint: disable=unused-import,import-outside-toplevel
  except ImportError:
    return "python3-seccomp is not installed"
  return None


def run(*command, **options):
  """Runs a command and returns its output; fails with all that it printed."""
  done = subprocess.run(command, stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT, text=True, **options)
  if done.returncode != 0:
    raise AssertionError(f"{command}: exit code {done.returncode}\n"
                         f"{done.stdout[-5000:]}")
  return done.stdout


def system_calls(sets):
  """Returns the system calls of sets such as @system-service."""
  names = set()
  for name in sets:
    if not name.startswith("@"):
      names.add(name)
      continue
    lines = run("systemd-analyze", "--no-pager", "syscall-filter", name)
    names |= system_calls(line.strip() for line in lines.splitlines()[1:]
                          if line.strip() and not line.strip().startswith("#"))
  return names


def write_filter(path):
  """Writes the filter of the service's system calls as a program for bwrap."""
  import seccomp  # pylint: disable=import-outside-toplevel
  allowed = set()
  for value in re.findall(r"^SystemCallFilter=(.*)$", SERVICE.read_text(), re.M):
    if value.startswith("~"):
      allowed -= system_calls(value[1:].split())
    else:
      allowed |= system_calls(value.split())
  # systemd changes the user before the filter is in force; setpriv after.
  allowed |= {"setresuid", "setresgid", "setgroups", "setuid", "setgid",
              "capset"}
  rules = seccomp.SyscallFilter(seccomp.ERRNO(1))  # EPERM
  for name in allowed:
    try:
      rules.add_rule(seccomp.ALLOW, name)
    except (RuntimeError, ValueError):  # of another architecture
      pass
  with open(path, "wb") as file:
    rules.export_bpf(file)


def dependencies(packages):
  """Returns the names of the packages that these need, without their own."""
  names = set()
  for package in packages:
    for need in run("dpkg-deb", "-f", package, "Depends").split(","):
      names.add(re.split(r"[ (:]", need.strip())[0])
  return names - {package.name.split("_")[0] for package in packages}


class Root:
  """A Debian 12 in a directory, with what the packages need."""

  def __init__(self, path, packages):
    self.path = path
    run("mmdebstrap", "--variant=apt", "--mode=root",
        f"--include={','.join(sorted(dependencies(packages)))}", "bookworm",
        path)
    run("mount", "-t", "proc", "proc", path / "proc")
    # Services do not start in a directory.
    policy = path / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)

  def unmount(self):
    run("umount", self.path / "proc")

  def run(self, *command, **options):
    return run("chroot", self.path, "env", "DEBIAN_FRONTEND=noninteractive",
               "LC_ALL=C.UTF-8", *command, **options)

  def install(self, packages):
    names = []
    for package in packages:
      shutil.copy(package, self.path / "tmp")
      names.append(f"/tmp/{package.name}")
    self.run("apt-get", "install", "-y", "-q", "--no-install-recommends",
             "-o", "Dpkg::Options::=--force-confold", *names)
    for name in names:
      os.unlink(self.path / name[1:])

  def files(self):
    """Returns the paths whose names tell that they are ours."""
    found = set()
    for top in ("etc", "usr", "var/lib", "run", "opt"):
      for directory, directories, names in os.walk(self.path / top):
        for name in directories + names:
          if re.search(r"lmserve|lm_(server|client|trainer|store)", name):
            found.add(os.path.relpath(os.path.join(directory, name), self.path))
    return found


class Service:
  """lm_server under the restrictions of its service, as far as bwrap has them."""

  ADDRESS = "unix:/run/lmserve/socket"

  def __init__(self, root, work):
    self._runtime = root.path / "run/lmserve"
    user = root.run("id", "-u", "lmserve").strip()
    self._runtime.mkdir(exist_ok=True)
    os.chown(self._runtime, int(user), -1)
    self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    path = self._runtime / "notify"
    path.unlink(missing_ok=True)
    self._manager.bind(str(path))
    os.chmod(path, 0o666)
    self._manager.settimeout(60)
    bpf = work / "filter"
    write_filter(bpf)
    start = re.search(r"^ExecStart=(.*)$", SERVICE.read_text(), re.M).group(1)
    with open(bpf, "rb") as file:
      self._process = subprocess.Popen(
          ["bwrap", "--die-with-parent", "--unshare-pid", "--unshare-ipc",
           "--unshare-uts", "--new-session", "--clearenv",
           "--setenv", "NOTIFY_SOCKET", "/run/lmserve/notify",
           "--setenv", "LM_SERVER_LISTEN", self.ADDRESS,
           "--ro-bind", root.path, "/", "--tmpfs", "/tmp", "--tmpfs", "/home",
           "--dev", "/dev", "--proc", "/proc",
           "--bind", self._runtime, "/run/lmserve",
           "--seccomp", str(file.fileno()),
           "setpriv", "--reuid", user, "--regid", "lmserve", "--init-groups",
           "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs",
           "sh", "-c", "echo $$ > /run/lmserve/pid; exec " + start],
          pass_fds=[file.fileno()], stdout=subprocess.PIPE,
          stderr=subprocess.STDOUT, text=True)

  def wait_for(self, state):
    try:
      found = self._manager.recv(100).decode()
    except TimeoutError:
      self._process.kill()
      raise AssertionError(self._process.communicate()[0]) from None
    if found != state:
      raise AssertionError(f"expected {state}, found {found}")

  def stop(self):
    """Sends SIGTERM, and returns the exit code and the log."""
    children = f"/proc/{self._process.pid}/task/{self._process.pid}/children"
    pids = pathlib.Path(children).read_text().split()
    # The first process of the namespace is bwrap's, the next one the server.
    while pids:
      server = pids[0]
      pids = pathlib.Path(
          f"/proc/{server}/task/{server}/children").read_text().split()
    os.kill(int(server), 15)
    self.wait_for("STOPPING=1")
    log = self._process.communicate(timeout=60)[0]
    return self._process.returncode, log

  def close(self):
    self._process.kill()
    self._process.communicate()
    self._manager.close()


class InstallTest(unittest.TestCase):

  @classmethod
  def setUpClass(cls):
    cls._work = pathlib.Path(
        cls.enterClassContext(tempfile.TemporaryDirectory(prefix="lmserve-")))
    os.chmod(cls._work, 0o755)
    environment = {**os.environ, "LMSERVE_BUILD": str(BUILD)}
    cls._directories = []
    for name in ("first", "second"):
      directory = cls._work / name
      run(SOURCES / "scripts/make-packages", directory, env=environment)
      cls._directories.append(directory)

  def packages(self, pattern="*.deb"):
    return sorted(self._directories[0].glob(pattern))

  def newer(self, package):
    """Returns a copy of a package with a higher version and another conffile."""
    tree = self._work / "newer"
    shutil.rmtree(tree, ignore_errors=True)
    run("dpkg-deb", "-R", package, tree)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"^(Version: .*)$", r"\1.1", control.read_text(),
                              flags=re.M))
    with open(tree / "etc/lmserve/server.conf", "a", encoding="utf-8") as file:
      file.write("# of the newer version\n")
    path = self._work / f"newer-{package.name}"
    run("dpkg-deb", "--root-owner-group", "-b", tree, path)
    return path

  def test_the_same_sources_give_the_same_bytes(self):
    self.assertEqual(len(self.packages()), 6)
    for package in self.packages():
      again = self._directories[1] / package.name
      self.assertEqual(package.read_bytes(), again.read_bytes(), package.name)

  def test_lintian_finds_no_error(self):
    done = subprocess.run(
        ["lintian", "--no-cfg", "--fail-on", "error,warning", *self.packages()],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    self.assertEqual(done.returncode, 0, done.stdout)

  def test_install_run_upgrade_and_purge(self):
    root = Root(self._work / "root", self.packages())
    self.addCleanup(root.unmount)
    before = root.files()
    root.install(self.packages())
    for program in ("lm_server", "lm_client", "lm_trainer", "lm_store"):
      self.assertIn("lmserve 0.", root.run(program, "--version"))
    self.assertTrue((root.path / "usr/share/man/man1/lm_server.1.gz").exists())
    # A member of the group publishes.
    root.run("useradd", "--groups", "lmserve", "--create-home", "anna")
    root.run("su", "anna", "-c",
             "cd && lm_trainer demo-corpus --sentences 200 > text && "
             "lm_trainer ngram --order 3 --corpus text "
             "--store /var/lib/lmserve/models --model demo")
    self.check_service(root)
    self.check_upgrade(root)
    root.run("apt-get", "purge", "-y", "-q", "lmserve-server", "lmserve-client",
             "lmserve-trainer", "lmserve-store", "liblmserve-dev",
             "python3-lmserve")
    shutil.rmtree(root.path / "run/lmserve")
    self.assertEqual(root.files(), before)

  def check_service(self, root):
    service = Service(root, self._work)
    self.addCleanup(service.close)
    service.wait_for("READY=1")
    scored = json.loads(root.run(
        "lm_client", "--json", "--server", Service.ADDRESS, "score", "--model",
        "demo", "the cat is small"))
    self.assertLess(scored["log_prob"], 0, scored)
    root.run("su", "anna", "-c",
             "lm_client load --admin unix:/run/lmserve/admin.sock demo@1")
    exit_code, log = service.stop()
    self.assertEqual(exit_code, 0, log)
    self.assertNotIn("warn", log)

  def check_upgrade(self, root):
    config = root.path / "etc/lmserve/server.conf"
    edited = config.read_text() + "log-level=warning\n"
    config.write_text(edited)
    newer = self.newer(self.packages("lmserve-server_*")[0])
    root.install([newer])
    self.assertIn("0.2.0.1", root.run("dpkg-query", "-W", "-f", "${Version}",
                                      "lmserve-server"))
    self.assertEqual(config.read_text(), edited)
    self.assertTrue((root.path / "var/lib/lmserve/models/demo").is_dir())


if __name__ == "__main__":
  missing = why_not()
  if missing is not None:
    print(f"skipped: {missing}")
    sys.exit(77)
  unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
