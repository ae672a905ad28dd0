# SPDX-License-Identifier: Apache-2.0
"""Runs the programs of the project for tests of model stores."""

import hashlib
import json
import os
import pathlib
import subprocess
import urllib.error
import urllib.request


def surroundings(env):
  """Returns the environment with changes; None removes a variable."""
  changed = {**os.environ, **(env or {})}
  return {name: value for name, value in changed.items() if value is not None}


class Programs:
  """lm_trainer, lm_store and lm_server of a directory."""

  def __init__(self, directory):
    self._directory = pathlib.Path(directory).resolve()

  def path(self, name):
    return str(self._directory / name)

  def run(self, name, *arguments, env=None):
    """Returns exit code, standard output and standard error."""
    result = subprocess.run(
        [self.path(name), *map(str, arguments)], text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=surroundings(env), timeout=300)
    return result.returncode, result.stdout, result.stderr

  def start(self, name, *arguments, env=None, **more):
    # pylint: disable=consider-using-with
    return subprocess.Popen([self.path(name), *map(str, arguments)],
                            env=surroundings(env), **more)

  def train(self, store, model, words):
    """Publishes a small model of a text that the words make."""
    text = "\n".join(f"the {word} is {other}" for word in words
                     for other in words) + "\n"
    corpus = pathlib.Path(store).parent / f"corpus-{os.getpid()}"
    corpus.write_text(text, encoding="utf-8")
    code, output, errors = self.run(
        "lm_trainer", "ngram", "--corpus", corpus, "--order", "2", "--smoothing",
        "witten-bell", "--store", store, "--model", model)
    corpus.unlink()
    if code != 0:
      raise AssertionError(errors)
    return output.strip()


class Server:
  """An lm_server with HTTP, as a context."""

  def __init__(self, programs, store, *options, log=subprocess.DEVNULL):
    self._process = programs.start(
        "lm_server", "--store", store, "--listen", "127.0.0.1:0",
        "--admin-listen", "", "--http-listen", "127.0.0.1:0", *options,
        text=True, stdout=subprocess.PIPE, stderr=log)
    self._process.stdout.readline()
    self._address = self._process.stdout.readline().split()[-1]

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self._process.terminate()
    self._process.wait(60)
    self._process.stdout.close()

  def score(self, model, text):
    """Returns the version that answered, and ln P of the text; or None."""
    body = json.dumps({"model": model, "texts": [{"text": text}]}).encode()
    request = urllib.request.Request(f"http://{self._address}/lm/v1/score", body,
                                     {"Content-Type": "application/json"})
    try:
      with urllib.request.urlopen(request, timeout=30) as response:
        answer = json.load(response)
    except urllib.error.HTTPError:
      return None
    return int(answer["model"]["version"]), answer["scores"][0]["logProb"]


def problems_of_version(directory):
  """Returns what is wrong with a version, by its manifest; empty if nothing."""
  directory = pathlib.Path(directory)
  try:
    manifest = json.loads((directory / "manifest.json").read_bytes())
  except (OSError, ValueError) as error:
    return [f"{directory}: manifest.json: {error}"]
  problems = []
  for file in manifest["files"]:
    try:
      data = (directory / file["name"]).read_bytes()
    except OSError as error:
      problems.append(f"{directory}: {error}")
      continue
    if len(data) != int(file["size"]):
      problems.append(f"{directory}: {file['name']}: size {len(data)}")
    if hashlib.sha256(data).hexdigest() != file["sha256"]:
      problems.append(f"{directory}: {file['name']}: SHA-256")
  return problems


def files(directory):
  """Returns the bytes of all files below a directory, by their paths.

  Of aliases.json, in which the order means nothing, returns the content, but not
  of one in a hidden directory, which a killed program may have left half written.
  """
  directory = pathlib.Path(directory)
  found = {}
  for path in directory.rglob("*"):
    if not path.is_file():
      continue
    name = path.relative_to(directory)
    is_hidden = any(part.startswith(".") for part in name.parts)
    found[str(name)] = (json.loads(path.read_text("utf-8"))
                        if name.name == "aliases.json" and not is_hidden
                        else path.read_bytes())
  return found
