// The text of an expression, before any server sees it, and the SQL that is made of it.
#include "subscriber/core/expression_sql.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "subscriber/core/rule_sql.h"

namespace pmoves {
namespace {

TEST(ExpressionText, WhatStaysOneExpressionBetweenParenthesesIsTaken) {
  for (const char* text :
       {"GREATEST(a, b)", "CASE WHEN a > b THEN a ELSE b END", "a || ';' || b", "a || ')' || b",
        "(a)[1]", "a || 'it''s (' || b", "E'\\'(' || a || b", "\"weird name)\"(a, b)", "a - -b",
        "ARRAY[a, b]", "a::numeric(8,2) * 1 / 2"}) {
    EXPECT_EQ(CheckExpressionText(text), "") << text;
  }
}

TEST(ExpressionText, WhatCouldBecomeMoreThanOneExpressionIsNot) {
  const struct {
    const char* text;
    const char* wrong;
  } cases[] = {
      {"", "is empty"},
      {" \n", "is empty"},
      {"a); DROP TABLE t; SELECT (b", "has a ')' that nothing opens: it must be one expression"},
      {"a; b", "has a ';': it must be one expression"},
      {"a, b", "has a ',' at its top: it must be one expression"},
      {"a -- b", "has a comment"},
      {"a /* b */", "has a comment"},
      {"$$a$$", "has a '$': write quoted text with single quotes"},
      {"(a", "has a '(' that is not closed"},
      {"(a]", "has a ']' that nothing opens: it must be one expression"},
      {"a || 'b", "has a ' that is not closed"},
      {"a || E'\\'", "has a ' that is not closed"},
      {"\"a", "has a \" that is not closed"},
  };
  for (const auto& each : cases) EXPECT_EQ(CheckExpressionText(each.text), each.wrong);
  EXPECT_EQ(CheckExpressionText(std::string("a\0b", 3)), "has a NUL character");
}

TEST(ExpressionText, ItsLiteralsAreFound) {
  using Texts = std::vector<std::string>;
  EXPECT_EQ(LiteralsOf("CASE WHEN a = 'it''s' THEN b ELSE GREATEST(a, b) END"), Texts{"it's"});
  EXPECT_EQ(LiteralsOf("(a->>'rev')::int4 > 10 OR a1 < -2.5 OR \"3 'x'\"(a) = 10"),
            (Texts{"rev", "10", "-2.5"}));
  EXPECT_EQ(LiteralsOf("a || '' || E'\\'5'"), (Texts{"", "\\'5"}));
  EXPECT_EQ(LiteralsOf("GREATEST(a, b)"), Texts{});
  EXPECT_EQ(LiteralsOf("a || 'b"), Texts{});
}

TEST(ExpressionSql, FunctionAndAggregateCarryOneName) {
  Rule rule;
  rule.kind = RuleKind::kExpression;
  rule.expression = "a || '''' || b";
  TargetColumn column;
  column.name = "v";
  column.type = "\"My Type\"[]";
  column.type_identity = "public._My Type -1";
  const std::string name = "\"" + ExpressionName(rule, column) + "\"";
  EXPECT_EQ(CreateExpressionFunction(rule, column),
            "CREATE OR REPLACE FUNCTION pmoves_sync." + name +
                "(a \"My Type\"[], b \"My Type\"[]) RETURNS \"My Type\"[] LANGUAGE sql IMMUTABLE "
                "STRICT SET search_path FROM CURRENT AS 'SELECT (a || '''''''' || b)'");
  EXPECT_EQ(CreateExpressionAggregate(rule, column),
            "CREATE OR REPLACE AGGREGATE pmoves_sync." + name +
                "(\"My Type\"[]) (SFUNC = pmoves_sync." + name + ", STYPE = \"My Type\"[])");
  Rule other = rule;
  other.expression = "a";
  EXPECT_NE(ExpressionName(other, column), ExpressionName(rule, column));
  TargetColumn text = column;
  text.type_identity = "pg_catalog.text -1";
  EXPECT_NE(ExpressionName(rule, text), ExpressionName(rule, column));
}

}  // namespace
}  // namespace pmoves
