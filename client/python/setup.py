# SPDX-License-Identifier: Apache-2.0
"""Compiles the wire API into the package, as lmserve/api.binpb.

Requires protoc, or grpcio-tools, which includes it. All other settings are in
pyproject.toml.
"""

import importlib.util
import pathlib
import shutil
import subprocess
import sys

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = pathlib.Path(__file__).resolve().parent
PROTOS = ["lm/v1/language_model.proto", "lm/v1/reranker.proto",
          "grpc/health/v1/health.proto", "google/rpc/error_details.proto"]


def proto_directory():
  """Returns the directory of the .proto files, in an sdist or in a clone."""
  for directory in (HERE / "proto", HERE.parent.parent / "proto"):
    if all((directory / proto).is_file() for proto in PROTOS):
      return directory
  sys.exit(f"proto: expected {', '.join(PROTOS)} in {HERE}/proto or "
           f"{HERE.parent.parent}/proto")


def protoc():
  """Returns the command that runs protoc."""
  if importlib.util.find_spec("grpc_tools"):
    return [sys.executable, "-m", "grpc_tools.protoc"]
  program = shutil.which("protoc")
  if not program:
    sys.exit("protoc: expected grpcio-tools or protoc in PATH, found neither")
  return [program]


class BuildPackage(build_py):
  """Adds the compiled API to the Python modules."""

  def run(self):
    super().run()
    root = HERE if self.editable_mode else pathlib.Path(self.build_lib)
    output = root / "lmserve" / "api.binpb"
    self.mkpath(str(output.parent))
    subprocess.run(
        protoc() + ["-I", str(proto_directory()),
                    "--include_imports", f"--descriptor_set_out={output}",
                    *PROTOS],
        check=True)


class SourceDistribution(sdist):
  """Adds the .proto files, which are outside the directory of the package."""

  def make_release_tree(self, base_dir, files):
    super().make_release_tree(base_dir, files)
    for proto in PROTOS:
      copy = pathlib.Path(base_dir, "proto", proto)
      self.mkpath(str(copy.parent))
      self.copy_file(str(proto_directory() / proto), str(copy))


setup(cmdclass={"build_py": BuildPackage, "sdist": SourceDistribution})
