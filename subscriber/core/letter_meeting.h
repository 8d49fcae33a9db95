// What a later change of a row means for the row's open dead letters.
//
// In the flow:  worker, `dead-letters retry` (a change meets a row with letters) -> MeetingOf
//
// A letter is a change that is missing in the centre. A later change of the same source settles it
// only if the row (and what the table's rules remember of it) ends the same with and without what
// the letter holds. Whether it does is the table's policy, not the change alone: a delete that is
// not carried out leaves the letter's row as wanted as it was.
// Thread:       any. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_LETTER_MEETING_H_
#define PMOVES_SUBSCRIBER_CORE_LETTER_MEETING_H_

#include "subscriber/core/change.h"

namespace pmoves {

enum class LetterMeeting {
  kPasses,   // neither needs the other: the letters stay open, the change is applied
  kSettles,  // the letters are superseded, the change is applied
  kFolds,    // the rule looks at every report: all of them together, in their order, or none
  kJoins,    // it relies on what the letters hold: it is set aside, too
};

// The table's policy does not carry the change out.
bool IsLeftOut(const Change& change);

// A move is looked at for its new key here; its OldKeyOf says what it is for the old one.
LetterMeeting MeetingOf(const Change& change);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_LETTER_MEETING_H_
