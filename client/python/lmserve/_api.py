# SPDX-License-Identifier: Apache-2.0
"""The messages and methods of the wire API.

They are built from api.binpb, the compiled .proto files, which holds
descriptors and no code. Therefore the package works with any protobuf from 4.21,
whichever protoc compiled it. The descriptors are in a pool of their own, so
they do not conflict with other generated code in the same program, such as
grpcio-health-checking or stubs of other versions of this API.
"""

from __future__ import annotations

import pkgutil
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf import descriptor_pool
from google.protobuf import message_factory


def _files() -> Any:
  data = pkgutil.get_data("lmserve", "api.binpb")
  return descriptor_pb2.FileDescriptorSet.FromString(data).file


def _pool() -> Any:
  pool = descriptor_pool.DescriptorPool()
  for file in _files():
    pool.AddSerializedFile(file.SerializeToString())
  return pool


def _method_protos() -> dict[str, Any]:
  return {
      f"/{file.package}.{service.name}/{method.name}": method
      for file in _files() for service in file.service
      for method in service.method
  }


_POOL = _pool()
_METHODS = _method_protos()


def message_class(name: str) -> Any:
  """Returns the class of a message by its full name, such as lm.v1.Text."""
  descriptor = _POOL.FindMessageTypeByName(name.lstrip("."))
  if hasattr(message_factory, "GetMessageClass"):  # from protobuf 4.22
    return message_factory.GetMessageClass(descriptor)
  return message_factory.MessageFactory(_POOL).GetPrototype(descriptor)


def stub(channel: Any, path: str) -> Any:
  """Returns a callable for the method of a path.

  Args:
    channel: A channel of grpc or grpc.aio.
    path: The path of the method, such as /lm.v1.ModelService/GetModel.
  """
  method = _METHODS[path]
  kind = "_".join("stream" if streaming else "unary" for streaming in (
      method.client_streaming, method.server_streaming))
  return getattr(channel, kind)(
      path,
      request_serializer=message_class(
          method.input_type).SerializeToString,
      response_deserializer=message_class(method.output_type).FromString)
