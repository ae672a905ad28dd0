# SPDX-License-Identifier: Apache-2.0
"""Builds and runs an example of client/examples, as docs/clients.md says.

    examples_test.py LANGUAGE --cache DIR [--program PROGRAM]
    examples_test.py page

LANGUAGE is cpp, go, node or python. Each example prints the same lines, which
must be those of lm_client. It must wait for a server that starts late, and
report a wrong token. `page` checks that the page has the examples verbatim.

Exits with 77 if a toolchain is missing, or if the packages cannot be downloaded.
The first build of an example may take longer than the 50 seconds that it has. What
it has downloaded stays in the cache, and what Go has compiled in Go's own cache, so
that a later run finishes.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "client" / "examples"
PAGE = ROOT / "docs" / "clients.md"
SKIPPED = 77
END_OF_BUILD = time.monotonic() + 50
TOKEN = "a-token-of-the-example"
MODEL = "en"


def skip(reason):
  print(f"skipped: {reason}")
  sys.exit(SKIPPED)


def need(*programs):
  for program in programs:
    if not shutil.which(program):
      skip(f"{program} is not installed")


def outcome(*command, **more):
  """Runs a command; returns its exit code and output."""
  result = subprocess.run(command, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, **more)
  return result.returncode, f"{' '.join(map(str, command))}\n{result.stdout}"


def run(*command, **more):
  """Runs a command and returns its output; if it fails, so does the test."""
  code, output = outcome(*command, **more)
  if code != 0:
    sys.exit(output)
  return output.partition("\n")[2]


def build(*command, downloads=False, **more):
  """Runs a step of a build; skips the test if it takes too long.

  Args:
    command: The command.
    downloads: Whether to skip the test also if the command fails.
    more: Arguments of subprocess.run.
  """
  try:
    code, output = outcome(
        *command, timeout=max(END_OF_BUILD - time.monotonic(), 1), **more)
  except subprocess.TimeoutExpired:
    skip(f"{' '.join(command)} takes too long; the next run continues it")
  if code != 0:
    if downloads:
      skip(output)
    sys.exit(output)


def copy_of(language, cache):
  """Copies the example to the cache, which keeps what was installed there."""
  shutil.copytree(EXAMPLES / language, cache / language, dirs_exist_ok=True)
  return cache / language


def build_cpp(options):
  return [options.program]


def build_python(options):
  del options
  try:
    import lmserve  # pylint: disable=import-outside-toplevel,unused-import
  except ImportError as error:
    skip(str(error))
  return [sys.executable, str(EXAMPLES / "python" / "example.py")]


def build_go(options):
  need("go", "protoc")
  folder = copy_of("go", options.cache)
  # -trimpath: builds in other folders share what Go has compiled.
  environment = {**os.environ, "GOPATH": str(options.cache / "go-path"),
                 "GOBIN": str(options.cache / "go-bin"),
                 "GOFLAGS": "-modcacherw -buildvcs=false -trimpath"}
  build("go", "mod", "download", downloads=True, cwd=folder, env=environment)
  script = (folder / "generate.sh").read_text(encoding="utf-8")
  for line in re.findall(r"^go install .*", script, re.M):
    build(*line.split(), downloads=True, cwd=folder, env=environment)
  build("sh", "generate.sh", str(ROOT / "proto"), cwd=folder, env=environment)
  build("go", "build", "-o", "example", ".", cwd=folder, env=environment)
  return [str(folder / "example")]


def build_node(options):
  need("node", "npm")
  folder = copy_of("node", options.cache)
  if not (folder / "node_modules").is_dir():
    build("npm", "install", "--no-audit", "--no-fund", "--no-package-lock",
          downloads=True, cwd=folder)
  return ["node", str(folder / "example.js")]


BUILDS = {"cpp": build_cpp, "go": build_go, "node": build_node,
          "python": build_python}


class Server:
  """An lm_server with TLS and a token. It can be started again."""

  def __init__(self, programs, folder):
    self._programs = programs
    self._folder = folder
    self.certificate = folder / "server.pem"
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
        "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout",
        folder / "server.key", "-out", self.certificate)
    self.token_file = folder / "token"
    self.token_file.write_text(TOKEN)
    (folder / "tokens").write_text(f"read {TOKEN}\n")
    corpus = run(programs / "lm_trainer", "demo-corpus", "--sentences", "2000")
    run(programs / "lm_trainer", "ngram", "--corpus", "-", "--store",
        folder / "store", "--model", MODEL, input=corpus)

  @contextlib.contextmanager
  def running(self, address="localhost:0"):
    """Serves, and yields the address."""
    with subprocess.Popen(
        [self._programs / "lm_server", "--store", self._folder / "store",
         "--listen", address, "--admin-listen", "", "--tokens",
         self._folder / "tokens", "--tls-certificate", self.certificate,
         "--tls-key", self._folder / "server.key"], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
      try:
        port = process.stdout.readline().split()[-1].rpartition(":")[2]
        yield f"localhost:{port}"
      finally:
        process.terminate()

  def answer(self, address, *command):
    """Returns the JSON objects that lm_client prints."""
    output = run(self._programs / "lm_client", "--server", address, "--tls-ca",
                 self.certificate, "--token-file", self.token_file, "--json",
                 *command)
    return [json.loads(line) for line in output.splitlines()]


def expected_output(server, address):
  score, = server.answer(address, "score", "--model", MODEL,
                         "the cat is small .")
  words = server.answer(address, "generate", "--model", MODEL, "--temperature",
                        "0", "--max-words", "5", "the cat")
  prefix, = server.answer(address, "score", "--model", MODEL, "--no-end",
                          "the cat")
  best, = server.answer(address, "predict", "--model", MODEL, "-k", "3",
                        "the cat")
  return "".join(
      " ".join(line) + "\n" for line in (
          ["score", f"{score['log_prob']:.4f}"],
          ["generate", *(word["word"] for word in words if "word" in word)],
          ["decode", f"{prefix['log_prob']:.4f}", *(word["word"] for word in best["next"])]))


def check_example(command, server):
  with server.running() as address:
    expected = expected_output(server, address)
  command = [*command, address, str(server.certificate)]
  environment = {**os.environ, "PROTO": str(ROOT / "proto")}
  # The server starts only after the example has tried to connect.
  with subprocess.Popen([*command, TOKEN], text=True, stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE, env=environment) as example:
    time.sleep(1)
    with server.running(address):
      output, errors = example.communicate(timeout=30)
      if (example.returncode, output) != (0, expected):
        sys.exit(f"expected:\n{expected}found ({example.returncode}):\n"
                 f"{output}{errors}")
      wrong = subprocess.run([*command, TOKEN + "x"], text=True, check=False,
                             capture_output=True, env=environment, timeout=30)
      if wrong.returncode != 1 or "token" not in wrong.stderr:
        sys.exit(f"with a wrong token ({wrong.returncode}): {wrong.stderr}")
  print(output, end="")


def check_page():
  """Checks the blocks of the page after comments such as <!-- go/main.go -->."""
  blocks = re.findall(r"<!-- client/examples/(\S+) -->\n```\w*\n(.*?)```\n",
                      PAGE.read_text(encoding="utf-8"), re.S)
  shown = dict(blocks)
  # Not what users build there.
  wanted = {str(path.relative_to(EXAMPLES)) for path in EXAMPLES.glob("*/*.*")
            if path.name not in ("go.sum", "package-lock.json")}
  if wanted != shown.keys():
    sys.exit(f"{PAGE}: expected blocks of {sorted(wanted)}, "
             f"found {sorted(shown)}")
  for name, block in blocks:
    if block != (EXAMPLES / name).read_text(encoding="utf-8"):
      sys.exit(f"{PAGE}: the block of {name} differs from client/examples/{name}")


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument("language", choices=[*BUILDS, "page"])
  parser.add_argument("--cache", type=pathlib.Path)
  parser.add_argument("--program", help="the built example of C++")
  parser.add_argument("--programs", type=pathlib.Path,
                      help="folder of lm_server and the others")
  options = parser.parse_args()
  if options.language == "page":
    check_page()
    return
  options.cache.mkdir(parents=True, exist_ok=True)
  command = BUILDS[options.language](options)
  with tempfile.TemporaryDirectory() as name:
    check_example(command, Server(options.programs, pathlib.Path(name)))


if __name__ == "__main__":
  main()
