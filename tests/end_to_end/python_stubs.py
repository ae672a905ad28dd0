# SPDX-License-Identifier: Apache-2.0
"""Stubs of the API for tests in Python, generated as a user does."""

import os
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
_DIRECTORIES = []  # are removed when the program ends


def skip(reason):
  print(f"skipped: {reason}")
  sys.exit(SKIPPED)


def import_stubs(proto):
  """Makes the modules lm.v1 and grpc.health.v1 importable.

  Args:
    proto: The directory of the .proto files.

  Ends the program with SKIPPED if something that it needs is missing.
  """
  protoc = shutil.which("protoc")
  plugin = shutil.which("grpc_python_plugin")
  if not protoc or not plugin:
    skip("no protoc or no grpc_python_plugin")
  try:
    import google.protobuf  # pylint: disable=unused-import
    import grpc
  except ImportError as error:
    skip(error)
  directory = tempfile.TemporaryDirectory()  # pylint: disable=consider-using-with
  _DIRECTORIES.append(directory)
  subprocess.run(
      [protoc, f"--python_out={directory.name}", f"--grpc_out={directory.name}",
       f"--plugin=protoc-gen-grpc={plugin}", "-I", proto,
       "lm/v1/language_model.proto", "lm/v1/reranker.proto",
       "google/rpc/error_details.proto", "grpc/health/v1/health.proto"],
      check=True)
  sys.path.insert(0, directory.name)
  # The health protocol is in a subpackage of the package grpc.
  grpc.__path__.append(os.path.join(directory.name, "grpc"))


def import_file(proto, file):
  """Makes the modules of one more .proto file importable.

  Args:
    proto: The directory of the .proto files.
    file: The file, relative to it.

  REQUIRES: import_stubs() was called.
  """
  subprocess.run([shutil.which("protoc"), f"--python_out={_DIRECTORIES[0].name}",
                  "-I", proto, file], check=True)
