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
from collections.abc import Collection
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf import descriptor_pool
from google.protobuf import message_factory


_Field = descriptor_pb2.FieldDescriptorProto
_NOT_PACKED = (_Field.TYPE_STRING, _Field.TYPE_BYTES, _Field.TYPE_MESSAGE)


def _files() -> Any:
  data = pkgutil.get_data("lmserve", "api.binpb")
  return descriptor_pb2.FileDescriptorSet.FromString(data).file


def _pool(files: Any) -> Any:
  pool = descriptor_pool.DescriptorPool()
  for file in files:
    pool.AddSerializedFile(file.SerializeToString())
  return pool


def pool_with_packed_lists(messages: Collection[str]) -> Any:
  """Returns descriptors in which the lists of numbers of messages are bytes.

  On the wire, a packed list of numbers has the form of a bytes field.

  Args:
    messages: The names of the messages, such as DecodedBest.
  """
  files = _files()
  for file in files:
    for message in file.message_type:
      for field in message.field if message.name in messages else ():
        if field.label == _Field.LABEL_REPEATED and (
            field.type not in _NOT_PACKED):
          field.label = _Field.LABEL_OPTIONAL
          field.type = _Field.TYPE_BYTES
          field.ClearField("type_name")  # that of an enum
  return _pool(files)


def _method_protos() -> dict[str, Any]:
  return {
      f"/{file.package}.{service.name}/{method.name}": method
      for file in _files() for service in file.service
      for method in service.method
  }


_POOL = _pool(_files())
_METHODS = _method_protos()


def message_class(name: str, pool: Any = _POOL) -> Any:
  """Returns the class of a message by its full name, such as lm.v1.Text."""
  descriptor = pool.FindMessageTypeByName(name.lstrip("."))
  if hasattr(message_factory, "GetMessageClass"):  # from protobuf 4.22
    return message_factory.GetMessageClass(descriptor)
  return message_factory.MessageFactory(pool).GetPrototype(descriptor)


def stub(channel: Any, path: str, response: Any = None,
         is_serialized: bool = False) -> Any:
  """Returns a callable for the method of a path.

  Args:
    channel: A channel of grpc or grpc.aio.
    path: The path of the method, such as /lm.v1.ModelService/GetModel.
    response: The class of the responses. None: the usual one.
    is_serialized: Whether the requests are bytes.
  """
  method = _METHODS[path]
  kind = "_".join("stream" if streaming else "unary" for streaming in (
      method.client_streaming, method.server_streaming))
  return getattr(channel, kind)(
      path,
      request_serializer=(None if is_serialized else message_class(
          method.input_type).SerializeToString),
      response_deserializer=(
          response or message_class(method.output_type)).FromString)
