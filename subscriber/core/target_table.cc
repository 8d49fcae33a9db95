#include "subscriber/core/target_table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"

namespace pmoves {

const Shape& TargetTable::Intern(std::vector<int> wanted) {
  for (const Shape& shape : shapes) {
    if (shape.columns == wanted) return shape;
  }
  Shape& shape = shapes.emplace_back();
  shape.id = static_cast<int>(shapes.size());
  shape.columns = std::move(wanted);
  for (size_t i = 0; i < shape.columns.size(); ++i) {
    if (shape.columns[i] >= 0) shape.written.push_back(static_cast<int>(i));
  }
  shape.has_key = !key.empty();
  for (int column : key) {
    auto found = std::find(shape.columns.begin(), shape.columns.end(), column);
    if (found == shape.columns.end()) {
      shape.has_key = false;
      shape.key.clear();
      break;
    }
    shape.key.push_back(static_cast<int>(found - shape.columns.begin()));
  }
  return shape;
}

std::string KeyTextOf(TargetColumn::KeyText kind, std::string_view value) {
  std::string text(value);
  const auto trim = [&text](char c) {
    while (!text.empty() && text.back() == c) text.pop_back();
  };
  switch (kind) {
    case TargetColumn::KeyText::kPlain:
      break;
    case TargetColumn::KeyText::kNumeric:
    case TargetColumn::KeyText::kFloat:
      if (text == "-0") text = "0";
      if (text.find('.') == std::string::npos || text.find('e') != std::string::npos) break;
      trim('0');
      trim('.');
      break;
    case TargetColumn::KeyText::kCitext:
      absl::AsciiStrToLower(&text);
      break;
    case TargetColumn::KeyText::kBlankPadded:
      trim(' ');
      break;
  }
  return text;
}

}  // namespace pmoves
