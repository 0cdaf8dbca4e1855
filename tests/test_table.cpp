// Tables of text.
#include "gaze/table.h"

#include "tests/catch.h"
#include "tests/temp_folder.h"

using namespace gt;

TEST_CASE("table: a file with several tables is read one section at a time", "[table]") {
  const TempFolder folder;
  const std::string path = folder / "events.txt";
  write(path,
        "Title of the file\nDate:\t1.2.2013\n\nTable of sizes:\nkind\tname\tsize [ms]\n\nTable of words:\nkind;word\n\n"
        "size\ta\t1,5\nword;b\nsize\tc\t2.5\n");
  Table table(path);
  CHECK(table.text_after("Date:") == "1.2.2013");
  CHECK(table.text_after("Author:").empty());

  REQUIRE(table.open_section("Table of words:", "word"));
  REQUIRE(table.next());
  CHECK(table.line() == 11);
  CHECK(table.word(table.require("word")) == "b");
  CHECK(!table.next());

  REQUIRE(table.open_section("Table of sizes:", "size"));  // it stands before the other section
  std::string names;
  double sum = 0;
  while (table.next()) names += table.word(1), sum += table.milliseconds(2);
  CHECK(names == "ac");
  CHECK(sum == 4);

  CHECK(!table.open_section("Table of colours:", "colour"));
}

TEST_CASE("table: a section without a header and a row of another length are refused", "[table]") {
  const TempFolder folder;
  const std::string path = folder / "events.txt";
  write(path, "Title\nTable:\nkind\tname\nrow\ta\tb\nTable of nothing:\n");
  Table table(path);
  REQUIRE(table.open_section("Table:", "row"));
  const std::string row = error_of([&] { table.next(); });
  CHECK(row.ends_with("events.txt:4: expected 2 fields as in the header, got 3"));
  const std::string header = error_of([&] { table.open_section("Table of nothing:", "row"); });
  CHECK(header.ends_with("events.txt:5: expected a header after 'Table of nothing:', the file ends"));
}
