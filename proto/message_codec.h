// message_codec: bytes <-> the structs of change_message.h. Encode and decode side by side.
//
// In the flow:  message_plan -> BodyWriter, EncodeHeaders -> stream
//               stream -> DecodeHeaders, BodyReader -> source_order
// Invariant:    decode(encode(x)) == x, and values pass byte for byte. Any input bytes give a
//               Status, never a crash.
// Thread:       BodyWriter and BodyReader belong to one thread (they keep buffers); the functions
//               are pure.
// BodyReader is in body_reader.cc, RELATION bodies in relation_body.cc, the rest in
// message_codec.cc; single values are in json_token.h.
#ifndef PMOVES_PROTO_MESSAGE_CODEC_H_
#define PMOVES_PROTO_MESSAGE_CODEC_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/change_message.h"
#include "proto/json_token.h"  // AppendTokenText, JsonString

namespace pmoves::proto {

// Header names, see proto/README.md.
inline constexpr const char kHeaderProtocol[] = "Sync-Protocol";
inline constexpr const char kHeaderSource[] = "Sync-Source";
inline constexpr const char kHeaderEpoch[] = "Sync-Epoch";
inline constexpr const char kHeaderOrigin[] = "Sync-Origin";
inline constexpr const char kHeaderWriter[] = "Sync-Writer";
inline constexpr const char kHeaderPosition[] = "Sync-Position";
inline constexpr const char kHeaderPrevious[] = "Sync-Previous";
inline constexpr const char kHeaderChunk[] = "Sync-Chunk";
inline constexpr const char kHeaderLast[] = "Sync-Last";  // present and "1", or absent
inline constexpr const char kHeaderHlc[] = "Sync-Hlc";
inline constexpr const char kHeaderXid[] = "Sync-Xid";
inline constexpr const char kHeaderPart[] = "Sync-Part";  // "2/7", from 0/; absent for one part
inline constexpr const char kHeaderCaughtUp[] = "Sync-Caught-Up";  // absent when it is not known

using Headers = std::vector<std::pair<const char*, std::string>>;

// Writes all headers of an envelope, in the order above.
Headers EncodeHeaders(const Envelope& envelope);

// Looks a header up by name; nullopt when absent. Views must live until DecodeHeaders returns.
using HeaderLookup = std::function<std::optional<std::string_view>(const char* name)>;

// kInvalidArgument names the header that is missing or malformed. kUnimplemented: Sync-Protocol is
// newer than what we read, so nothing is known of the message (nor of what its headers mean).
absl::StatusOr<Envelope> DecodeHeaders(const HeaderLookup& lookup);

// The body of a RELATION message.
std::string EncodeRelation(std::string_view source, std::string_view schema, std::string_view table,
                           int64_t commit_us, const RelationDefinition& relation);

// Builds the body of one message row by row. Reuse one object: it keeps its buffers.
class BodyWriter {
 public:
  // Starts a body. schema and table are plain UTF-8 (not yet escaped).
  void Start(std::string_view source, std::string_view schema, std::string_view table,
             Operation operation);
  // Adds a row. `data` is absent for DELETE; `key` is absent unless it is a DELETE or an UPDATE
  // that changed the key. Tokens are copied byte for byte; for the same body either all rows have a
  // key or none.
  void AddRow(std::span<const RawColumn> data, std::span<const RawColumn> key);
  // Adds all rows of `other`, whose body has the same table, operation, columns and kind of keys.
  // `other` is left as it is.
  void AppendRows(const BodyWriter& other);
  // Number of rows added, and a close upper bound of the finished body's bytes. The bound leaves
  // out what only Finish learns: count kTransactionBytesMax for each transaction of a group, and
  // the names in `unchanged` with 16 bytes more.
  static constexpr size_t kTransactionBytesMax = 152;
  size_t rows() const { return rows_; }
  size_t bytes() const;
  bool empty() const { return rows_ == 0; }
  // The body as JSON. commit_us is that of the (last) transaction. Start must be called before the
  // next AddRow. `transactions` is written only when it has two or more entries. REQUIRES:
  // `unchanged` is empty unless this is an UPDATE; the rows of `transactions` add up to rows().
  std::string Finish(int64_t commit_us, std::span<const std::string> unchanged,
                     std::span<const TransactionEntry> transactions);

 private:
  std::string head_;
  std::string data_;
  std::string keys_;
  size_t rows_ = 0;
  Operation operation_ = Operation::kInsert;
};

// Reads bodies. Reuse one object per thread: it owns a simdjson parser.
class BodyReader {
 public:
  BodyReader();
  ~BodyReader();
  BodyReader(const BodyReader&) = delete;
  BodyReader& operator=(const BodyReader&) = delete;

  // Parses `bytes` into `*body` (cleared first; its vectors keep their capacity). The views in
  // *body point into `*bytes`, which may be given more capacity (simdjson wants padding) but keeps
  // its content. kInvalidArgument: not JSON, not UTF-8, a member missing, twice or of the wrong
  // type, a value in a row that is not one well-formed scalar, data/keys/transactions that do not
  // fit together. The message names the member and shows no content; *body is then unspecified.
  // Unknown members are passed over (inside them only brackets are checked). What Read accepted has
  // no token that AppendTokenText refuses, and no row has one column twice.
  absl::Status Read(std::string* bytes, Body* body);

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace pmoves::proto

#endif  // PMOVES_PROTO_MESSAGE_CODEC_H_
