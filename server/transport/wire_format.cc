// SPDX-License-Identifier: Apache-2.0
#include "server/transport/wire_format.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/unknown_field_set.h>
#include <google/protobuf/wire_format_lite.h>

#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "models/utf8.h"
#include "server/call/status.h"

namespace lmserve {
namespace {

// The pieces as one stream.
class PiecesReader {
 public:
  explicit PiecesReader(Pieces pieces) {
    for (const absl::string_view piece : pieces) {
      arrays_.emplace_back(piece.data(), static_cast<int>(piece.size()));
      streams_.push_back(&arrays_.back());
    }
    all_.emplace(streams_.data(), static_cast<int>(streams_.size()));
  }

  google::protobuf::io::ZeroCopyInputStream& stream() { return *all_; }

 private:
  std::deque<google::protobuf::io::ArrayInputStream> arrays_;
  std::vector<google::protobuf::io::ZeroCopyInputStream*> streams_;
  std::optional<google::protobuf::io::ConcatenatingInputStream> all_;
};

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

bool Parse(Pieces bytes, google::protobuf::Message* message) {
  if (bytes.size() == 1) {
    return message->ParseFromArray(bytes[0].data(),
                                   static_cast<int>(bytes[0].size()));
  }
  PiecesReader reader(bytes);
  return message->ParseFromZeroCopyStream(&reader.stream());
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

uint64_t TotalBytes(Pieces bytes) {
  uint64_t total = 0;
  for (const absl::string_view piece : bytes) total += piece.size();
  return total;
}

uint64_t EstimateMemory(const google::protobuf::Descriptor& type,
                        Pieces bytes) {
  // An object, the pointer to it, and the overhead of the arena.
  constexpr uint64_t kObjectBytes = 160;
  // A 32-bit number, which may be one byte on the wire.
  constexpr uint64_t kNumberBytes = 4;
  PiecesReader reader(bytes);
  google::protobuf::io::CodedInputStream in(&reader.stream());
  Parts parts;
  CountParts(type, in, &parts);
  return 2 * TotalBytes(bytes) + kObjectBytes * parts.objects +
         kNumberBytes * parts.packed_bytes;
}

absl::Status ParseMessage(Pieces bytes, google::protobuf::Message* message) {
  if (Parse(bytes, message)) return absl::OkStatus();
  const google::protobuf::Descriptor& type = *message->GetDescriptor();
  const std::string problem = FindInvalidString(type, absl::StrJoin(bytes, ""));
  if (problem.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the bytes are not a valid ", type.full_name()));
  }
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(problem, absl::MaxSplits(": ", 1));
  return InvalidField(parts.first, parts.second);
}

}  // namespace lmserve
