#include "subscriber/core/source_order.h"

#include "common/base/check.h"

namespace pmoves {

std::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kStale:
      return "stale";
    case Verdict::kDuplicate:
      return "duplicate";
    case Verdict::kStart:
      return "start";
    case Verdict::kContinue:
      return "continue";
    case Verdict::kGap:
      return "gap";
    case Verdict::kForeignEpoch:
      return "foreign_epoch";
  }
  return "?";
}

Verdict SourceOrder::Judge(const proto::Envelope& envelope) const {
  Lsn applied = applied_;
  if (envelope.epoch < epoch_) return Verdict::kStale;
  if (envelope.epoch > epoch_) {
    const bool continues_half =
        !half_.IsNone() && half_epoch_ == envelope.epoch && half_ == envelope.position;
    if (!envelope.previous.IsNone() && !continues_half) return Verdict::kForeignEpoch;
    applied = Lsn{};
  } else if (envelope.position <= applied) {
    return Verdict::kDuplicate;
  }
  if (envelope.previous > applied) return Verdict::kGap;
  if (envelope.chunk == 0) return Verdict::kStart;
  const bool follows =
      half_ == envelope.position && half_epoch_ == envelope.epoch && next_chunk_ == envelope.chunk;
  return follows ? Verdict::kContinue : Verdict::kGap;
}

void SourceOrder::Take(const proto::Envelope& envelope) {
  const Verdict verdict = Judge(envelope);
  PMOVES_CHECK(verdict == Verdict::kStart || verdict == Verdict::kContinue);
  if (envelope.last) {
    epoch_ = envelope.epoch;
    applied_ = envelope.position;
    half_ = Lsn{};
    return;
  }
  half_ = envelope.position;
  half_epoch_ = envelope.epoch;
  next_chunk_ = envelope.chunk + 1;
}

}  // namespace pmoves
