"""The messages and methods of the wire API, from its compiled .proto files.

api.binpb is what protoc makes of them: descriptors, and no code. So the package
works with the protobuf that a program has, from 4.21 on, whichever protoc it
was built by; and as the descriptors go to a pool of their own, it gets along
with all other generated code, grpcio-health-checking and stubs of other
versions of this API included.
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
  """The class of the messages of a name such as lm.v1.Text."""
  descriptor = _POOL.FindMessageTypeByName(name.lstrip("."))
  if hasattr(message_factory, "GetMessageClass"):  # from protobuf 4.22
    return message_factory.GetMessageClass(descriptor)
  return message_factory.MessageFactory(_POOL).GetPrototype(descriptor)


def unary_methods() -> list[dict[str, str]]:
  """The methods without streams, by the names of gRPC's service config."""
  methods = []
  for path, method in _METHODS.items():
    if not method.client_streaming and not method.server_streaming:
      _, service, name = path.split("/")
      methods.append({"service": service, "method": name})
  return methods


def stub(channel: Any, path: str) -> Any:
  """What calls the method of a path such as /lm.v1.ModelService/GetModel."""
  method = _METHODS[path]
  kind = "_".join("stream" if streaming else "unary" for streaming in (
      method.client_streaming, method.server_streaming))
  return getattr(channel, kind)(
      path,
      request_serializer=message_class(
          method.input_type).SerializeToString,
      response_deserializer=message_class(method.output_type).FromString)
