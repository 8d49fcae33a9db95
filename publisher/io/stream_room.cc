#include "publisher/io/stream_room.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/io/config_values.h"

namespace pmoves {
namespace {

// What JetStream writes beside a message is not counted here: a transaction that takes this share
// of the stream leaves no room for its rest.
constexpr double kAllOfIt = 0.8;
constexpr int kSuggestedFactor = 4;

}  // namespace

std::string SizeDifference(const StreamInfo& info, int64_t configured_max_bytes) {
  if (info.max_bytes == configured_max_bytes) return "";
  return absl::StrFormat(
      "stream.max_bytes is %s here, but stream %s may hold %s: the setting only counts when the "
      "stream is made",
      BytesText(configured_max_bytes), info.name,
      info.max_bytes < 0 ? "whatever its server has room for" : BytesText(info.max_bytes));
}

std::string ResizeCommand(const std::string& source, int64_t max_bytes) {
  return absl::StrFormat("`pmoves-sync-subscriber stream resize %s --max-bytes %s` in the centre",
                         source, BytesText(max_bytes));
}

std::string WhyFull(const FullStream& full, const absl::StatusOr<StreamInfo>& info) {
  if (!info.ok()) return MessageOf(full.refusal);
  const auto limit = static_cast<double>(info->max_bytes);
  const auto transaction = static_cast<double>(full.open_transaction_bytes + full.in_flight_bytes);
  // The account or the server is full, not the stream.
  if (limit <= 0 || static_cast<double>(info->bytes) + transaction < limit / 2) {
    return absl::StrFormat(
        "%s. The stream itself holds %d bytes: the storage of the JetStream server or account is "
        "used up. Make room there, or raise its limit; this goes on by itself then",
        MessageOf(full.refusal), info->bytes);
  }
  std::string text =
      absl::StrFormat("stream %s is full: it holds %d bytes of at most %d (%s). ", info->name,
                      info->bytes, info->max_bytes, BytesText(info->max_bytes));
  const int64_t larger = std::max(info->max_bytes * kSuggestedFactor, full.configured_max_bytes);
  if (full.open_transaction_bytes > 0 && transaction > kAllOfIt * limit) {
    text += absl::StrFormat(
        "A transaction is larger than the stream can hold: %d bytes of it are stored, and more "
        "follow. Make the stream larger with %s; this goes on by itself then",
        full.open_transaction_bytes, ResizeCommand(full.source, larger));
  } else if (full.open_transaction_bytes == 0 && full.unfinished_tail) {
    text += absl::StrFormat(
        "It ends with the beginning of a transaction that was interrupted and must be sent anew, "
        "and there is no room for its first message: the transaction is larger than the stream "
        "can hold, or the centre has not applied what is before it. Make the stream larger with "
        "%s; this goes on by itself then",
        ResizeCommand(full.source, larger));
  } else {
    text += absl::StrFormat(
        "The centre has not applied what is in it: is the subscriber running, and what does its "
        "`status` say? This goes on by itself when there is room; for more room, %s",
        ResizeCommand(full.source, larger));
  }
  const std::string difference = SizeDifference(*info, full.configured_max_bytes);
  return difference.empty() ? text : absl::StrFormat("%s. (%s)", text, difference);
}

}  // namespace pmoves
