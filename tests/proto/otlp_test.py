# SPDX-License-Identifier: Apache-2.0
"""Compares our part of OTLP with the package opentelemetry-proto.

    otlp_test.py --cache DIR

Every message, field, enum and method of trace_service.proto must have the number,
the type and the label of the one with the same name in the package, which is made
from OpenTelemetry's own files. Exits with 77 if the package cannot be installed in
the cache, or without protoc.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "testing"))
import pypi  # pylint: disable=wrong-import-position

parser = argparse.ArgumentParser()
parser.add_argument("--cache", required=True)
pypi.enter(parser.parse_args().cache, "opentelemetry-proto==1.45.2")

# pylint: disable=wrong-import-position
from google.protobuf import descriptor_pb2
from google.protobuf import descriptor_pool
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

OURS = "opentelemetry/proto/collector/trace/v1/trace_service.proto"
THEIRS = (trace_service_pb2, trace_pb2, resource_pb2, common_pb2)


def compiled():
  """Returns our file, in a pool of its own."""
  protoc = shutil.which("protoc")
  if protoc is None:
    pypi.skip("no protoc")
  with tempfile.TemporaryDirectory() as directory:
    path = pathlib.Path(directory) / "set"
    subprocess.run([protoc, "-I", ROOT / "proto", f"--descriptor_set_out={path}",
                    OURS], check=True)
    files = descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes())
  pool = descriptor_pool.DescriptorPool()
  for file in files.file:
    pool.Add(file)
  return pool.FindFileByName(OURS)


def by_name(kind):
  """Returns the messages or enums of the package by their names."""
  return {name: entry for module in THEIRS
          for name, entry in getattr(module.DESCRIPTOR, kind).items()}


class OtlpTest(unittest.TestCase):

  def check_enum(self, ours, theirs):
    for value in ours.values:
      self.assertEqual(value.number, theirs.values_by_name[value.name].number,
                       value.name)

  def check_message(self, ours, theirs):
    for field in ours.fields:
      other = theirs.fields_by_name[field.name]
      name = f"{ours.name}.{field.name}"
      self.assertEqual(field.number, other.number, name)
      self.assertEqual(field.type, other.type, name)
      self.assertEqual(field.has_presence, other.has_presence, name)
      if field.message_type is not None:
        self.assertEqual(field.message_type.name, other.message_type.name, name)
    for enum in ours.enum_types:
      self.check_enum(enum, theirs.enum_types_by_name[enum.name])

  def test_messages(self):
    theirs = by_name("message_types_by_name")
    messages = compiled().message_types_by_name
    self.assertGreater(len(messages), 8)
    for name, message in messages.items():
      self.check_message(message, theirs[name])

  def test_the_service(self):
    ours = compiled().services_by_name["TraceService"]
    theirs = trace_service_pb2.DESCRIPTOR.services_by_name["TraceService"]
    self.assertEqual(ours.full_name, theirs.full_name)
    for method in ours.methods:
      other = theirs.methods_by_name[method.name]
      self.assertEqual(method.input_type.full_name, other.input_type.full_name)
      self.assertEqual(method.output_type.full_name, other.output_type.full_name)

  def test_a_wrong_number_is_found(self):
    ours = compiled().message_types_by_name
    with self.assertRaises((AssertionError, KeyError)):
      self.check_message(ours["Span"], trace_pb2.DESCRIPTOR
                         .message_types_by_name["ScopeSpans"])


if __name__ == "__main__":
  unittest.main(argv=sys.argv[:1])
