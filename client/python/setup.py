"""Compiles the wire API into the package, as lmserve/api.binpb.

Needs protoc, or grpcio-tools, which brings one along. All else is said in
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
  """Where the .proto files are: in an sdist, or in a clone of lmserve."""
  for directory in (HERE / "proto", HERE.parent.parent / "proto"):
    if all((directory / proto).is_file() for proto in PROTOS):
      return directory
  sys.exit(f"expected {', '.join(PROTOS)} in {HERE}/proto or ../../proto")


def protoc():
  if importlib.util.find_spec("grpc_tools"):
    return [sys.executable, "-m", "grpc_tools.protoc"]
  program = shutil.which("protoc")
  if not program:
    sys.exit("expected grpcio-tools, or protoc in PATH, to compile the API")
  return [program]


class BuildPackage(build_py):
  """Adds the descriptors of the API to the modules."""

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
  """Takes the .proto files along, which lie outside the package's folder."""

  def make_release_tree(self, base_dir, files):
    super().make_release_tree(base_dir, files)
    for proto in PROTOS:
      copy = pathlib.Path(base_dir, "proto", proto)
      self.mkpath(str(copy.parent))
      self.copy_file(str(proto_directory() / proto), str(copy))


setup(cmdclass={"build_py": BuildPackage, "sdist": SourceDistribution})
