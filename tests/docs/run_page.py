# SPDX-License-Identifier: Apache-2.0
"""Runs the commands of a Markdown page as a reader would.

    run_page.py CLONE PAGE [--seconds N] [--keep DIRECTORY]

CLONE is a clone of the repository after scripts/quickstart (make_clone makes
one). The blocks of PAGE, a path in the clone, run in order in one bash, in a
fresh copy of the clone. The test fails at the first command that fails, with the
page and the line, and where a block prints something else than the page says.
page.py documents the comments by which a page marks its blocks.

The pages use fixed ports, so each runs in a network namespace of its own, where
only the loopback interface exists. Where the system does not allow this, pages
run in the network of the machine, one at a time.
"""

import argparse
import contextlib
import fcntl
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile

import page as pages

# The prelude of the script. It is one line, so that the lines of the script are
# those of the page.
_PRELUDE = (
    "set -eEo pipefail; "
    "trap 'code=$?; echo \"{page}:$LINENO: exit code $code: $BASH_COMMAND\" "
    ">>\"$LM_PAGE/failures\"' ERR; ")


def available(what):
  """Says whether a program, or MODULE.py, a module of Python, is installed."""
  if what.endswith(".py"):
    return subprocess.run(["/usr/bin/python3", "-c", f"import {what[:-3]}"],
                          stderr=subprocess.DEVNULL, check=False).returncode == 0
  return shutil.which(what) is not None


def reason_to_skip(block):
  """Returns why the commands of a block do not run, or an empty string."""
  if block.directive == "not run":
    return block.argument
  missing = [what for what in block.needs if not available(what)]
  return f"requires {', '.join(missing)}" if missing else ""


def with_failures(lines):
  """Returns commands of which those after `! ` must fail.

  Bash itself does not end when they succeed.
  """
  checked = list(lines)
  for i, line in enumerate(lines):
    if line.startswith("! "):
      while lines[i].endswith(("\\", "|")):
        i += 1
      checked[i] += " || false expected a failure"
  return checked


def make_script(name, text, blocks, report=print):
  """Returns a script whose line N has the command of line N of the page.

  The output of the block that begins at line N goes to the file N in $LM_PAGE.
  """
  script = [""] * len(text.split("\n"))
  for block in blocks:
    if block.directive == "file":
      path = block.argument
      script[block.line - 1] = (
          f'mkdir -p "$(dirname "{path}")"; cp "$LM_PAGE/files/{block.line}" '
          f'"{path}"')
    elif block.is_command:
      reason = reason_to_skip(block)
      if reason:
        report(f"{name}:{block.line}: skipped: {reason}")
        continue
      script[block.line - 1] = f'exec >"$LM_PAGE/{block.line}" 2>&1'
      script[block.line:block.line + len(block.lines)] = (
          with_failures(block.lines))
  script[0] = _PRELUDE.format(page=name) + script[0]
  return "\n".join(script)


def run(script, directory, environment, seconds):
  """Runs a script in a directory. Returns its exit code, or None: too slow.

  Ends everything that the script has started.
  """
  process = subprocess.Popen(["bash", script], cwd=directory, env=environment,
                             stdin=subprocess.DEVNULL, start_new_session=True)
  try:
    return process.wait(seconds)
  except subprocess.TimeoutExpired:
    return None
  finally:
    with contextlib.suppress(ProcessLookupError):
      os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def check_outputs(name, blocks, outputs):
  """Compares outputs with what the page says. Returns the problems."""
  problems = []
  before = None
  for block in blocks:
    if block.is_command:
      before = outputs / str(block.line)
    elif block.directive == "output":
      if before is None:
        raise pages.PageError(f"line {block.line}: expected commands before the "
                              "output, found none")
      if not before.exists():  # the block was skipped
        continue
      printed = before.read_text(encoding="utf-8", errors="replace")
      missing = pages.missing_line(block.lines, printed.splitlines(),
                                   block.tolerance)
      if missing is not None:
        problems.append(f"{name}:{block.line + 1 + missing}: expected the output "
                        f"'{block.lines[missing]}', found:\n{printed}")
  return problems


def run_page(clone, name, seconds, directory, report=print):
  """Runs a page in a directory that does not exist. Returns the problems."""
  root = directory / "clone"
  outputs = directory / "page"
  shutil.copytree(clone, root, symlinks=True)
  (outputs / "files").mkdir(parents=True)
  (directory / "tmp").mkdir()
  text = (root / name).read_text(encoding="utf-8")
  blocks = pages.parse(text)
  for block in blocks:
    if block.directive == "file":
      (outputs / "files" / str(block.line)).write_text(
          "\n".join(block.lines) + "\n", encoding="utf-8")
  script = outputs / "script"
  script.write_text(make_script(name, text, blocks, report), encoding="utf-8")
  environment = {
      "PATH": f"{root}/build/quickstart/bin:{os.environ['PATH']}",
      "HOME": str(directory), "TMPDIR": str(directory / "tmp"),
      "LANG": "C.UTF-8", "LM_PAGE": str(outputs)}
  code = run(script, root, environment, seconds)
  printed = sorted((path for path in outputs.iterdir() if path.name.isdigit()),
                   key=lambda path: int(path.name))
  if code == 0:
    return check_outputs(name, blocks, outputs)
  last = printed[-1] if printed else None
  problems = []
  if code is None:
    problems.append(f"{name}:{last.name}: expected an end within {seconds} s, "
                    "found commands that still run")
  elif (outputs / "failures").exists():
    problems.append((outputs / "failures").read_text(encoding="utf-8").strip())
  else:
    problems.append(f"{name}: the shell ended with code {code}")
  if last:
    problems.append(f"Output of the block in line {last.name}:\n"
                    f"{last.read_text(encoding='utf-8', errors='replace')}")
  return problems


def in_own_network():
  """Runs this program again in a network namespace, if the system allows it."""
  if "LM_PAGE_NETWORK" in os.environ:
    return
  unshare = ["unshare", "--user", "--map-root-user", "--net"]
  try:
    allowed = subprocess.run([*unshare, "true"], stderr=subprocess.DEVNULL,
                             check=False).returncode == 0
  except FileNotFoundError:
    allowed = False
  if allowed:
    os.execvpe("unshare", [*unshare, sys.executable, "-B", *sys.argv],
               dict(os.environ, LM_PAGE_NETWORK="own"))
  os.environ["LM_PAGE_NETWORK"] = "shared"


def start_loopback():
  """Starts the loopback interface of a new network namespace."""
  with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    up_and_running, set_flags = 0x41, 0x8914
    fcntl.ioctl(any_socket, set_flags, struct.pack("16sh", b"lo", up_and_running))


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("clone", type=pathlib.Path)
  parser.add_argument("page")
  parser.add_argument("--seconds", type=float, default=240,
                      help="time limit of the page [%(default)s]")
  parser.add_argument("--keep", type=pathlib.Path,
                      help="run in this new directory and do not delete it")
  arguments = parser.parse_args()
  in_own_network()
  with contextlib.ExitStack() as stack:
    if os.environ["LM_PAGE_NETWORK"] == "own":
      start_loopback()
    else:
      lock = stack.enter_context(
          open(pathlib.Path(tempfile.gettempdir()) / "lmserve-docs.lock", "w",
               encoding="utf-8"))
      fcntl.flock(lock, fcntl.LOCK_EX)
    directory = arguments.keep or pathlib.Path(
        stack.enter_context(tempfile.TemporaryDirectory(prefix="lmserve-")))
    try:
      problems = run_page(arguments.clone.resolve(), arguments.page,
                          arguments.seconds, directory)
    except pages.PageError as error:
      problems = [f"{arguments.page}: {error}"]
  for problem in problems:
    print(problem, file=sys.stderr)
  return 1 if problems else 0


if __name__ == "__main__":
  sys.exit(main())
