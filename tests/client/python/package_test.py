# SPDX-License-Identifier: Apache-2.0
"""Tests of the package: its two clients, its types and its distribution."""

import importlib.util
import inspect
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

import lmserve
import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
PACKAGE = REPOSITORY / "client" / "python"


def methods(client):
  return {name: list(inspect.signature(method).parameters.values())
          for name, method in inspect.getmembers(client, inspect.isfunction)
          if not name.startswith("_") or name == "__init__"}


def without_types(parameters):
  return [parameter.replace(annotation=inspect.Parameter.empty)
          for parameter in parameters]


def test_the_clients_have_the_same_methods():
  blocking = methods(lmserve.Client)
  asynchronous = methods(lmserve.AsyncClient)
  assert blocking.keys() == asynchronous.keys()
  for name, parameters in blocking.items():
    assert without_types(parameters) == without_types(asynchronous[name]), name


def test_the_sessions_have_the_same_steps():
  blocking = methods(lmserve.DecodeSession)
  asynchronous = methods(lmserve.AsyncDecodeSession)
  assert blocking.keys() - asynchronous.keys() == {
      "extend_later", "best_later", "release_later"}
  for name, parameters in asynchronous.items():
    assert without_types(parameters) == without_types(blocking[name]), name
  for name in ("extend", "best", "release"):
    assert without_types(blocking[f"{name}_later"]) == without_types(
        blocking[name])


def test_everything_has_a_docstring():
  for name in lmserve.__all__:
    thing = getattr(lmserve, name)
    if not inspect.isclass(thing):
      continue
    assert thing.__doc__, name
    for method in methods(thing).keys() - {"__init__"}:
      assert getattr(thing, method).__doc__, f"{name}.{method}"


def test_the_version_is_that_of_the_server():
  cmake = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")
  assert f"project(lmserve VERSION {lmserve.__version__} " in cmake


@pytest.mark.skipif(not importlib.util.find_spec("mypy"),
                    reason="mypy is not installed")
def test_types(tmp_path):
  subprocess.run(
      [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path,
       "--config-file", PACKAGE / "pyproject.toml", PACKAGE / "lmserve"],
      check=True)


def test_other_stubs_of_the_same_messages_do_not_conflict(tmp_path):
  """The package does not use the default pool of descriptors."""
  proto = tmp_path / "health_of_others.proto"
  proto.write_text('syntax = "proto3"; package grpc.health.v1;'
                   "message HealthCheckRequest { string name = 7; }",
                   encoding="utf-8")
  subprocess.run(["protoc", "-I", tmp_path, f"--python_out={tmp_path}", proto],
                 check=True)
  path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
  for modules in ("health_of_others_pb2, lmserve",
                  "lmserve, health_of_others_pb2"):
    subprocess.run([sys.executable, "-c", f"import {modules}"], check=True,
                   env={**os.environ, "PYTHONPATH": path})


def copy_of_the_sources(directory):
  """Copies the sources of the package to where a test may write."""
  ignored = shutil.ignore_patterns("build", "*.egg-info", "__pycache__",
                                   "*.binpb")
  copy = directory / "client" / "python"
  shutil.copytree(PACKAGE, copy, ignore=ignored)
  shutil.copytree(REPOSITORY / "proto", directory / "proto")
  return copy


def set_up(directory, *arguments):
  subprocess.run([sys.executable, "setup.py", "-q", *arguments], check=True,
                 cwd=directory)


def test_a_source_distribution_is_complete(tmp_path):
  clone = copy_of_the_sources(tmp_path / "clone")
  set_up(clone, "sdist", "--dist-dir", tmp_path)
  archive, = tmp_path.glob("lmserve-*.tar.gz")
  with tarfile.open(archive) as files:
    files.extractall(tmp_path)
  unpacked = tmp_path / archive.name[:-len(".tar.gz")]
  set_up(clone, "build_py", "--build-lib", tmp_path / "cloned")
  set_up(unpacked, "build_py", "--build-lib", tmp_path / "unpacked")

  def contents(directory):
    return {path.name: path.read_bytes()
            for path in (tmp_path / directory / "lmserve").iterdir()}

  assert contents("unpacked") == contents("cloned")
  assert {"api.binpb", "py.typed", "__init__.py"} <= contents("cloned").keys()
