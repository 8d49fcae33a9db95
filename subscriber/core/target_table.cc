#include "subscriber/core/target_table.h"

#include <algorithm>
#include <utility>

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

}  // namespace pmoves
