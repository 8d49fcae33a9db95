// Changes of rows that have open dead letters: letter_meeting.h says which settle them. See
// worker.h.
//
// A dead letter is a hole in a row's history. What comes later and brings the whole row closes it;
// an update that relies on columns which it does not bring would be laid over the hole, so it is
// set aside, too. Sources without open letters pay for none of this.
#include <algorithm>
#include <optional>

#include "common/base/status.h"
#include "subscriber/core/letter_meeting.h"
#include "subscriber/io/letter_book.h"
#include "subscriber/worker.h"

namespace pmoves {
namespace {

// So many letters of a row are decoded beside a later change of it, with all that they hold.
constexpr size_t kMostFoldedLetters = 100;

}  // namespace

bool Worker::MeetsLetter(size_t begin, size_t end) const {
  const bool any = std::any_of(sources_.begin(), sources_.end(),
                               [](const auto& source) { return !source.second->letters.empty(); });
  for (size_t i = begin; i < end; ++i) {
    const Change& change = pending_.set.changes[i];
    if (change.refetched || (any && MeetsLetter(change))) return true;
  }
  return false;
}

bool Worker::MeetsLetter(const Change& change) const {
  if (change.refetched) return true;
  const OpenLetters& letters = sources_.at(*change.source)->letters;
  if (letters.empty()) return false;
  const LetterMeeting meeting = MeetingOf(change);
  if (meeting == LetterMeeting::kPasses) return false;
  if (change.kind == ChangeKind::kTruncate) return true;
  if (letters.MayHold(*change.table, KeyText(pending_.set, change))) return true;
  if (meeting == LetterMeeting::kJoins && letters.MayLack(*change.table)) return true;
  return change.kind == ChangeKind::kMove &&
         letters.MayHold(*change.table, OldKeyText(pending_.set, change));
}

absl::Status Worker::ApplyPiece(size_t begin, size_t end) {
  if (!MeetsLetter(begin, end)) return target_->ApplyInSavepoint(&pending_.set, begin, end);
  if (end - begin > 1) return absl::InvalidArgumentError("a change meets a dead letter");
  return ApplyMeeting(begin);
}

absl::Status Worker::ApplyMeeting(size_t index) {
  const Change& change = pending_.set.changes[index];
  if (change.refetched) return ApplyRefetched(index);
  switch (MeetingOf(change)) {
    case LetterMeeting::kJoins:
      return ApplyRelying(index);
    case LetterMeeting::kFolds:
      return ApplyFolded(index);
    case LetterMeeting::kSettles:
      if (change.kind == ChangeKind::kTruncate) {
        Owned& owned = *sources_.at(*change.source);
        ASSIGN_OR_RETURN(
            const int64_t settled,
            LetterBook(*connection_).SupersedeTable(LetterRowOf(pending_.set, change)));
        pending_.superseded[&owned] += settled;
      } else {
        RETURN_IF_ERROR(Supersede(change, LetterBook::kWholeCame));
        if (change.kind == ChangeKind::kMove) RETURN_IF_ERROR(SupersedeOldKey(change));
      }
      break;
    case LetterMeeting::kPasses:
      break;
  }
  return target_->ApplyInSavepoint(&pending_.set, index, index + 1);
}

absl::Status Worker::ApplyRelying(size_t index) {
  const Change& change = pending_.set.changes[index];
  Owned& owned = *sources_.at(*change.source);
  LetterBook book(*connection_);
  LetterRow row = LetterRowOf(pending_.set, change);
  ASSIGN_OR_RETURN(std::optional<Hlc> newest, book.Newest(row));
  if (!newest.has_value() && change.kind == ChangeKind::kMove) {
    row.key = OldKeyText(pending_.set, change);
    ASSIGN_OR_RETURN(newest, book.Newest(row));
  }
  if (newest.has_value()) return NeedsWholeRow(kJoined, *change.table);
  // Somebody settled it, or another row has the same hash.
  pending_.settled.push_back({&owned, row.schema, row.table, row.key});
  if (owned.letters.MayLack(*change.table)) {
    ASSIGN_OR_RETURN(const LetterBook::Holes holes, book.HolesOf(row));
    if (holes.before) return NeedsWholeRow(kJoined, *change.table);
    if (!holes.any) pending_.settled.push_back({&owned, row.schema, row.table, ""});
  }
  return target_->ApplyInSavepoint(&pending_.set, index, index + 1);
}

// Where what is shown depends on every change of the row, its letters count, too: with this change
// they may be carried out, since often it is what they lacked. If not, it waits behind them.
absl::Status Worker::ApplyFolded(size_t index) {
  ChangeSet& set = pending_.set;
  const Change change = set.changes[index];
  ASSIGN_OR_RETURN(const std::vector<StoredLetter> letters,
                   LetterBook(*connection_).Read(LetterRowOf(set, change), kMostFoldedLetters + 1));
  if (letters.empty()) {
    RETURN_IF_ERROR(Supersede(change, LetterBook::kFolded));  // of another row, or settled
    return target_->ApplyInSavepoint(&set, index, index + 1);
  }
  const size_t first = set.changes.size();
  const size_t messages = set.messages.size();
  absl::Status status = absl::OkStatus();
  if (letters.size() > kMostFoldedLetters) status = WaitsBehindLetter(*change.table);
  for (const StoredLetter& letter : letters) {
    if (status.ok()) status = AppendLetter(letter, change.source, change.table, &decoder_, &set);
  }
  // What comes too late is not applied, and this change says what became of its row.
  set.changes.erase(
      std::remove_if(set.changes.begin() + static_cast<ptrdiff_t>(first), set.changes.end(),
                     [&](const Change& old) { return old.hlc < target_->HorizonOf(*old.table); }),
      set.changes.end());
  if (status.ok()) {
    set.changes.push_back(change);
    status = target_->ApplyInSavepoint(&set, first, set.changes.size());
  }
  set.changes.resize(first);
  set.messages.resize(messages);
  if (status.ok()) return Supersede(change, LetterBook::kFolded);
  return SplitsOn(status) ? WaitsBehindLetter(*change.table) : status;
}

absl::Status Worker::ApplyRefetched(size_t index) {
  Change& change = pending_.set.changes[index];
  if (MeetingOf(change) == LetterMeeting::kPasses) return absl::OkStatus();
  // The row is what the changes that are set aside made of it, the newest of them last. A newer
  // version would let it win over what other sources wrote since.
  ASSIGN_OR_RETURN(const std::optional<Hlc> newest,
                   LetterBook(*connection_).Newest(LetterRowOf(pending_.set, change)));
  if (!newest.has_value()) return absl::OkStatus();
  change.hlc = *newest;
  RETURN_IF_ERROR(Supersede(change, LetterBook::kWholeCame));
  if (change.hlc < target_->HorizonOf(*change.table)) {
    return ComesTooLate(*change.table);  // one letter, with the whole row, instead of the others
  }
  return target_->ApplyInSavepoint(&pending_.set, index, index + 1);
}

absl::Status Worker::Supersede(const Change& change, const char* why) {
  Owned& owned = *sources_.at(*change.source);
  const LetterRow row = LetterRowOf(pending_.set, change);
  ASSIGN_OR_RETURN(const int64_t letters, LetterBook(*connection_).Supersede(row, why));
  pending_.superseded[&owned] += letters;
  pending_.settled.push_back({&owned, row.schema, row.table, row.key});
  return absl::OkStatus();
}

absl::Status Worker::SupersedeOldKey(const Change& move) {
  const Change old = OldKeyOf(move);
  return MeetingOf(old) == LetterMeeting::kSettles ? Supersede(old, LetterBook::kWholeCame)
                                                   : absl::OkStatus();
}

// The row has left its old key, whatever is still missing under the new one.
absl::Status Worker::LeaveOldKey(const Change& change, DeadLetter* letter) {
  ChangeSet& set = pending_.set;
  const Change old = OldKeyOf(change);
  set.changes.push_back(old);
  const absl::Status status =
      target_->ApplyInSavepoint(&set, set.changes.size() - 1, set.changes.size());
  set.changes.pop_back();
  if (status.ok()) return SupersedeOldKey(change);
  if (!SplitsOn(status)) return status;
  // Then the new key alone does not settle the letter.
  *letter = DeadLetterOf(set, change, status);
  letter->key.clear();
  return absl::OkStatus();
}

absl::Status Worker::AddRowLetter(Owned& owned, const DeadLetter& letter) {
  RETURN_IF_ERROR(StoreLetters({letter}));
  if (letter.key.empty()) return absl::OkStatus();
  owned.letters.Add(letter.schema, letter.table, letter.key);
  std::vector<Settled>& settled = pending_.settled;
  settled.erase(std::remove_if(settled.begin(), settled.end(),
                               [&](const Settled& row) {
                                 return row.owned == &owned && row.key == letter.key &&
                                        row.table == letter.table && row.schema == letter.schema;
                               }),
                settled.end());
  return absl::OkStatus();
}

}  // namespace pmoves
