// Golden: what a function makes, as text beside its test, so that a change of it is read as code is
// read. After a wanted change run the test with PMOVES_WRITE_GOLDEN=1 and read the difference.
//
// Thread: the test's.
#ifndef PMOVES_TESTS_TESTING_GOLDEN_H_
#define PMOVES_TESTS_TESTING_GOLDEN_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "subscriber/core/merge_sql.h"

namespace pmoves {

class Golden {
 public:
  void Text(const char* name, const std::string& sql) {
    out_ << "-- " << name << "\n" << sql << ";\n\n";
  }
  // With the types of its parameters.
  void Row(const char* name, const RowStatement& statement) {
    out_ << "-- " << name << " (types";
    for (uint32_t type : statement.parameter_types) out_ << " " << type;
    out_ << ")\n" << statement.sql << ";\n\n";
  }
  void ExpectSameAs(const char* path) const {
    if (std::getenv("PMOVES_WRITE_GOLDEN") != nullptr) std::ofstream(path) << out_.str();
    std::ifstream file(path);
    std::ostringstream want;
    want << file.rdbuf();
    EXPECT_EQ(out_.str(), want.str());
  }

 private:
  std::ostringstream out_;
};

}  // namespace pmoves

#endif  // PMOVES_TESTS_TESTING_GOLDEN_H_
