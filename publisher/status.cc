#include "publisher/status.h"

#include <simdjson.h>

#include "absl/strings/str_format.h"
#include "common/base/time_text.h"
#include "common/io/json_text.h"

namespace pmoves {
namespace {

// Builds one JSON object, member by member.
class JsonObject {
 public:
  void Text(const char* name, const std::string& value) { Raw(name, JsonText(value)); }
  void Int(const char* name, int64_t value) { Raw(name, absl::StrFormat("%d", value)); }
  void Bool(const char* name, bool value) { Raw(name, value ? "true" : "false"); }
  void Real(const char* name, double value) { Raw(name, absl::StrFormat("%.3f", value)); }
  void OptionalInt(const char* name, const std::optional<int64_t>& value) {
    if (value.has_value())
      Int(name, *value);
    else
      Raw(name, "null");
  }
  void OptionalReal(const char* name, const std::optional<double>& value) {
    if (value.has_value())
      Real(name, *value);
    else
      Raw(name, "null");
  }
  void Time(const char* name, int64_t unix_us) {
    Raw(name, unix_us == 0 ? std::string("null") : JsonText(FormatRfc3339(unix_us)));
  }
  void Raw(const char* name, const std::string& json) {
    json_ += absl::StrFormat("%s\"%s\":%s", json_.size() > 1 ? "," : "", name, json);
  }
  std::string Finish() { return json_ + "}"; }

 private:
  std::string json_ = "{";
};

std::string SlotJson(const SlotStatus& slot) {
  JsonObject json;
  json.Time("polled", slot.polled_us);
  if (!slot.error.empty()) json.Text("error", slot.error);
  json.Bool("exists", slot.exists);
  json.Bool("active", slot.active);
  json.Int("active_pid", slot.active_pid);
  json.Text("wal_status", slot.wal_status);
  json.Text("wal_end", slot.wal_end.ToString());
  json.OptionalInt("retained_bytes", slot.retained_bytes);
  json.OptionalInt("unconfirmed_bytes", slot.unconfirmed_bytes);
  json.OptionalInt("safe_bytes", slot.safe_bytes);
  json.OptionalInt("limit_bytes", slot.limit_bytes);
  json.Real("wal_bytes_per_second", slot.wal_bytes_per_second);
  json.OptionalReal("headroom_hours", slot.headroom_hours);
  return json.Finish();
}

std::string TextsJson(const std::vector<std::string>& texts) {
  std::string json = "[";
  for (const std::string& text : texts) json += (json.size() > 1 ? "," : "") + JsonText(text);
  return json + "]";
}

int64_t LagBytes(const PublisherStatus& status) {
  const uint64_t end = status.slot.wal_end.value;
  const uint64_t done = status.published.value;
  if (end == 0 || done == 0) return status.slot.unconfirmed_bytes.value_or(0);
  return end > done ? static_cast<int64_t>(end - done) : 0;
}

// "1.5 GiB"
std::string SizeText(int64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  return absl::StrFormat("%.*f %s", unit == 0 ? 0 : 1, value, kUnits[unit]);
}

// Reads members leniently: a daemon of another version may leave some out.
class JsonView {
 public:
  explicit JsonView(simdjson::dom::object object) : object_(object) {}
  std::string Text(const char* name) const {
    std::string_view value;
    return object_[name].get_string().get(value) == simdjson::SUCCESS ? std::string(value) : "";
  }
  std::optional<double> Number(const char* name) const {
    double value = 0;
    if (object_[name].get_double().get(value) != simdjson::SUCCESS) return std::nullopt;
    return value;
  }
  std::string Size(const char* name) const {
    const std::optional<double> value = Number(name);
    return value.has_value() ? SizeText(static_cast<int64_t>(*value)) : "unlimited";
  }
  bool Bool(const char* name) const {
    bool value = false;
    return object_[name].get_bool().get(value) == simdjson::SUCCESS && value;
  }

 private:
  simdjson::dom::object object_;
};

std::string SlotLine(const JsonView& slot) {
  if (!slot.Bool("exists")) return "does not exist\n";
  std::string line = absl::StrFormat("%s  %s  retained %s of %s", slot.Text("wal_status"),
                                     slot.Bool("active") ? "active" : "inactive",
                                     slot.Size("retained_bytes"), slot.Size("limit_bytes"));
  if (const std::optional<double> hours = slot.Number("headroom_hours"); hours.has_value()) {
    line += absl::StrFormat("  room for about %.1f h at %s/s", *hours,
                            slot.Size("wal_bytes_per_second"));
  }
  return line + "\n";
}

}  // namespace

std::string StatusJson(const PublisherStatus& status, int64_t now_us) {
  JsonObject json;
  json.Text("role", "publisher");
  json.Text("source", status.source);
  json.Text("version", status.version);
  json.Text("mode", status.mode);
  json.Text("state", status.state);
  json.Text("reason", status.reason);
  json.Text("refusal", status.refusal);
  json.Text("writer", status.writer);
  json.Int("epoch", status.epoch);
  json.Time("started", status.started_us);
  json.Time("now", now_us);
  json.Bool("source_connected", status.source_connected);
  json.Bool("nats_connected", status.nats_connected);
  json.Text("received", status.received.ToString());
  json.Text("published", status.published.ToString());
  json.Text("applied", status.applied.ToString());
  json.Text("confirmed", status.confirmed.ToString());
  json.Int("lag_bytes", LagBytes(status));
  json.Time("last_commit", status.last_commit_us);
  json.Time("last_ack", status.last_ack_us);
  json.Int("in_flight_messages", static_cast<int64_t>(status.in_flight_messages));
  json.Int("waiting_transactions", static_cast<int64_t>(status.waiting_transactions));
  json.Int("sessions", static_cast<int64_t>(status.sessions));
  json.Raw("waiting_tables", TextsJson(status.waiting_tables));
  json.Raw("slot", SlotJson(status.slot));
  return json.Finish();
}

std::string HeartbeatJson(const PublisherStatus& status, int64_t now_us) {
  JsonObject json;
  json.Text("source", status.source);
  json.Int("epoch", status.epoch);
  json.Text("writer", status.writer);
  json.Text("version", status.version);
  json.Text("state", status.state);
  json.Text("reason", status.reason);
  json.Text("refusal", status.refusal);
  json.Time("clock", now_us);
  json.Time("started", status.started_us);
  json.Time("last_commit", status.last_commit_us);
  json.Text("position", status.published.ToString());
  json.Text("confirmed", status.confirmed.ToString());
  json.Int("wal_lag_bytes", LagBytes(status));
  json.Text("wal_status", status.slot.wal_status);
  json.OptionalInt("retained_wal_bytes", status.slot.retained_bytes);
  json.OptionalInt("safe_wal_bytes", status.slot.safe_bytes);
  json.OptionalInt("limit_wal_bytes", status.slot.limit_bytes);
  json.OptionalReal("headroom_hours", status.slot.headroom_hours);
  json.Raw("waiting_tables", TextsJson(status.waiting_tables));
  return json.Finish();
}

absl::StatusOr<std::string> StatusText(const std::string& text) {
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  if (parser.parse(text).get_object().get(object) != simdjson::SUCCESS) {
    return absl::InvalidArgumentError("the daemon did not answer with JSON");
  }
  const JsonView status(object);
  std::string page =
      absl::StrFormat("pmoves-sync-publisher  %s  %s  %s  %s\n", status.Text("source"),
                      status.Text("version"), status.Text("mode"), status.Text("state"));
  if (!status.Text("reason").empty()) page += "reason     " + status.Text("reason") + "\n";
  page += absl::StrFormat("database   %s    NATS %s    epoch %.0f\n",
                          status.Bool("source_connected") ? "connected" : "not connected",
                          status.Bool("nats_connected") ? "connected" : "not connected",
                          status.Number("epoch").value_or(0));
  page +=
      absl::StrFormat("position   published %s  applied %s  confirmed %s\n",
                      status.Text("published"), status.Text("applied"), status.Text("confirmed"));
  page += absl::StrFormat("lag        %s behind the WAL   last commit published %s\n",
                          status.Size("lag_bytes"), status.Text("last_commit"));
  page += absl::StrFormat("in flight  %.0f messages   %.0f transactions wait for the hand-off\n",
                          status.Number("in_flight_messages").value_or(0),
                          status.Number("waiting_transactions").value_or(0));
  simdjson::dom::object slot;
  if (object["slot"].get_object().get(slot) == simdjson::SUCCESS) {
    page += "slot       " + SlotLine(JsonView(slot));
  }
  return page;
}

std::string NotReady(const PublisherStatus& status) {
  std::string why;
  if (status.state == "standalone") return status.source_connected ? "" : "database: not connected";
  if (!status.source_connected) why += "database: not connected\n";
  if (!status.nats_connected) why += "nats: not connected\n";
  if (status.state == "blocked" || (status.state == "starting" && !why.empty())) {
    why += status.reason + "\n";
  } else if (status.state == "starting") {
    why += "starting\n";
  }
  return why;
}

}  // namespace pmoves
