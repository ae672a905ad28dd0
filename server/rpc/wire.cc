// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/wire.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/unknown_field_set.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/slice.h>

#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "models/utf8.h"
#include "server/call/status.h"

namespace lmserve {
namespace {

std::string AllBytes(const grpc::ByteBuffer& bytes) {
  std::vector<grpc::Slice> slices;
  std::string all;
  if (!bytes.Dump(&slices).ok()) return all;
  for (const grpc::Slice& slice : slices) {
    all.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return all;
}

// The parts of a message that take more memory than bytes on the wire.
struct Parts {
  uint64_t objects = 0;       // messages and strings in it
  uint64_t packed_bytes = 0;  // of repeated numbers
};

// Counts the parts of a message, up to the first error in it.
void CountParts(const google::protobuf::Descriptor& type,
                google::protobuf::io::CodedInputStream& in, Parts* parts) {
  using google::protobuf::FieldDescriptor;
  using google::protobuf::internal::WireFormatLite;
  while (const uint32_t tag = in.ReadTag()) {
    if (WireFormatLite::GetTagWireType(tag) !=
        WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      if (!WireFormatLite::SkipField(&in, tag)) return;
      continue;
    }
    ++parts->objects;
    int length;
    if (!in.ReadVarintSizeAsInt(&length)) return;
    const FieldDescriptor* field =
        type.FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
    if (field == nullptr || field->type() != FieldDescriptor::TYPE_MESSAGE) {
      if (field != nullptr && field->is_packable()) {
        parts->packed_bytes += length;
      }
      if (!in.Skip(length)) return;
      continue;
    }
    const auto limit = in.PushLimit(length);
    CountParts(*field->message_type(), in, parts);
    if (in.BytesUntilLimit() != 0) return;
    in.PopLimit(limit);
  }
}

bool Parse(const grpc::ByteBuffer& bytes, google::protobuf::Message* message) {
  grpc::Slice slice;
  if (bytes.TrySingleSlice(&slice).ok()) {
    return message->ParseFromArray(slice.begin(), slice.size());
  }
  grpc::ByteBuffer shared = bytes;
  grpc::ProtoBufferReader reader(&shared);
  return reader.status().ok() && message->ParseFromZeroCopyStream(&reader);
}

}  // namespace

std::string FindInvalidString(const google::protobuf::Descriptor& type,
                              absl::string_view bytes) {
  using google::protobuf::FieldDescriptor;
  using google::protobuf::UnknownField;
  google::protobuf::UnknownFieldSet fields;
  if (!fields.ParseFromArray(bytes.data(), bytes.size())) return "";
  std::map<int, int> seen;  // number of previous values of a repeated field
  for (int i = 0; i < fields.field_count(); ++i) {
    const UnknownField& value = fields.field(i);
    const FieldDescriptor* field = type.FindFieldByNumber(value.number());
    if (field == nullptr ||
        value.type() != UnknownField::TYPE_LENGTH_DELIMITED) {
      continue;
    }
    std::string name = field->name();
    if (field->is_repeated()) {
      absl::StrAppend(&name, "[", seen[value.number()]++, "]");
    }
    if (field->type() == FieldDescriptor::TYPE_STRING) {
      const size_t invalid = FindInvalidUtf8(value.length_delimited());
      if (invalid == absl::string_view::npos) continue;
      return absl::StrCat(name, ": invalid UTF-8 at byte ", invalid);
    }
    if (field->type() == FieldDescriptor::TYPE_MESSAGE) {
      const std::string inner =
          FindInvalidString(*field->message_type(), value.length_delimited());
      if (!inner.empty()) return absl::StrCat(name, ".", inner);
    }
  }
  return "";
}

uint64_t EstimateMemory(const google::protobuf::Descriptor& type,
                        const grpc::ByteBuffer& bytes) {
  // An object, the pointer to it, and the overhead of the arena.
  constexpr uint64_t kObjectBytes = 160;
  // A 32-bit number, which may be one byte on the wire.
  constexpr uint64_t kNumberBytes = 4;
  grpc::ByteBuffer shared = bytes;
  grpc::ProtoBufferReader reader(&shared);
  Parts parts;
  if (reader.status().ok()) {
    google::protobuf::io::CodedInputStream in(&reader);
    CountParts(type, in, &parts);
  }
  return 2 * bytes.Length() + kObjectBytes * parts.objects +
         kNumberBytes * parts.packed_bytes;
}

absl::Status ParseMessage(const grpc::ByteBuffer& bytes,
                          google::protobuf::Message* message) {
  if (Parse(bytes, message)) return absl::OkStatus();
  const google::protobuf::Descriptor& type = *message->GetDescriptor();
  const std::string problem = FindInvalidString(type, AllBytes(bytes));
  if (problem.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the bytes are not a valid ", type.full_name()));
  }
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(problem, absl::MaxSplits(": ", 1));
  return InvalidField(parts.first, parts.second);
}

void SerializeMessage(const google::protobuf::Message& message,
                      grpc::ByteBuffer* bytes) {
  (void)message.ByteSizeLong();
  SerializeMeasured(message, bytes);
}

void SerializeMeasured(const google::protobuf::Message& message,
                       grpc::ByteBuffer* bytes) {
  const grpc::Slice slice(message.GetCachedSize());
  message.SerializeWithCachedSizesToArray(const_cast<uint8_t*>(slice.begin()));
  grpc::ByteBuffer serialized(&slice, 1);
  bytes->Swap(&serialized);
}

}  // namespace lmserve
