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
        "size\ta\t1,5\nword;b\nsize\tc\t2,5\n");
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

namespace {

/// The fields of all rows, each followed by a bar, and the rows' lines.
std::string fields_of(const std::string& text, const std::string& encoding = "auto") {
  const TempFolder folder;
  write(folder / "t.csv", text);
  Table table(folder / "t.csv", encoding);
  std::string all;
  while (table.next()) {
    for (size_t i = 0; i < table.columns().size(); ++i) all += table.word(i) + "|";
    all += std::to_string(table.line()) + " ";
  }
  return all;
}

/// The message for a file of this text, from its name on, when all rows are read.
std::string refusal_of_table(const std::string& text, const std::string& encoding = "auto") {
  const std::string message = error_of([&] { fields_of(text, encoding); });
  const size_t at = message.find("t.csv");
  return at == message.npos ? message : message.substr(at);
}

/// ASCII text as UTF-16 without a mark.
std::string as_utf16(const std::string& ascii, bool big_endian) {
  std::string out;
  for (const char c : ascii) out += big_endian ? std::string{'\0', c} : std::string{c, '\0'};
  return out;
}

/// The number in a file with these fields in one column, tab-separated; the file's first is returned.
double first_number(const std::string& fields, const std::string& decimal = "auto") {
  const TempFolder folder;
  write(folder / "t.csv", "n\tword\n" + fields);
  Table table(folder / "t.csv", "auto", decimal);
  REQUIRE(table.next());
  return table.number(0);
}

}  // namespace

TEST_CASE("table: line ends and encodings give the same rows with the same line numbers", "[table]") {
  const std::string text = "a,b\n1,2\n\n3,4\n", rows = "1|2|2 3|4|4 ";
  std::string crlf, cr;
  for (const char c : text) crlf += c == '\n' ? std::string("\r\n") : std::string(1, c), cr += c == '\n' ? '\r' : c;
  for (const std::string& ends : {text, crlf, cr}) {
    CHECK(fields_of(ends) == rows);
    CHECK(fields_of("\xEF\xBB\xBF" + ends) == rows);
    for (const bool big_endian : {false, true}) {
      CHECK(fields_of(as_utf16(ends, big_endian)) == rows);
      CHECK(fields_of((big_endian ? "\xFE\xFF" : "\xFF\xFE") + as_utf16(ends, big_endian)) == rows);
    }
  }
}

TEST_CASE("table: Latin-1 is read, other bytes are refused with their line", "[table]") {
  const std::string text =
      "a,b\n1,2\ngr\xF6\xDF"
      "e,4\n";
  CHECK(fields_of(text, "latin1") ==
        "1|2|2 gr\xC3\xB6\xC3\x9F"
        "e|4|3 ");
  CHECK(fields_of(text) == fields_of(text, "latin1"));  // nothing else fits
  CHECK(refusal_of_table(text + "\x96,5\n") ==          // a dash of Windows, a control character of Latin-1
        "t.csv:3: expected UTF-8 or UTF-16 text, got the byte 0xF6; save the file as UTF-8, or give gradtrack "
        "fixations --encoding latin1");
  CHECK(refusal_of_table(std::string("a,b\n1,\0x\n", 9)) == "t.csv:2: expected text, got a zero byte");
  CHECK(refusal_of_table("\xFF\xFE" + as_utf16("a,b\n1,2\n", false) + "x") ==
        "t.csv:3: expected UTF-16 text, the file ends within a character");
  CHECK(refusal_of_table("a\n", "what") == "t.csv: expected the encoding auto or latin1, got 'what'");
}

TEST_CASE("table: quoted fields hold separators, line breaks and doubled quotes", "[table]") {
  CHECK(fields_of("a,b\n1,\"two\nlines, \"\"quoted\"\"\"\n3,4\n") == "1|two\nlines, \"quoted\"|2 3|4|4 ");
  CHECK(fields_of("a,b\n1,24\" wide\n") == "1|24\" wide|2 ");  // a quote within a field is none
  CHECK(refusal_of_table("a,b\n1,2\n3,\"4\n5,6\n") ==
        "t.csv:3: expected a closing quote, the file ends within a quoted field");
  CHECK(refusal_of_table("a,b\n1,\"2\"3\n") == "t.csv:2: expected the end of the field after the quoted '2'");
}

TEST_CASE("table: separators at the ends of lines, comments before the header and rows of separators are passed over",
          "[table]") {
  CHECK(fields_of("a\tb\n1\t2\t\n3\t4\t\t\n\t\n") == "1|2|2 3|4|3 ");
  CHECK(fields_of("a\tb\t\t\n1\t2\n3\t\n") == "1|2|2 3||3 ");
  CHECK(fields_of("# made by hand\nsep=;\na;b\n1;2\n") == "1|2|4 ");
  CHECK(refusal_of_table("a,b\n1,2,3\n") == "t.csv:2: expected 2 fields as in the header, got 3");
  CHECK(refusal_of_table(",,\n1,2,3\n") == "t.csv:1: expected a header with names of columns, got separators alone");
}

TEST_CASE("table: a repeated column is refused only if it is read", "[table]") {
  const TempFolder folder;
  write(folder / "t.csv", "a,note,Note,x [px],x [deg]\n1,2,3,4,5\n");
  const Table table(folder / "t.csv");
  CHECK(table.require("a") == 0);
  CHECK(error_of([&] { table.find("note"); }).ends_with("t.csv:1: column Note appears twice"));
  CHECK(error_of([&] {
          table.require("x");
        }).ends_with("t.csv:1: columns x [px] and x [deg] have one name: expected one of them"));
  CHECK(table.find("x", {"deg"}) == 4);
}

TEST_CASE("table: a header with too many columns is refused", "[table]") {
  std::string header;
  for (int i = 0; i < 5000; ++i) header += str_cat("c", i, ",");
  CHECK(refusal_of_table(header + "x\n") == "t.csv:1: expected at most 4096 columns, the header has 5001");
}

TEST_CASE("table: words of missing values give no number, other words are refused", "[table]") {
  const TempFolder folder;
  for (const char* word : {"", ".", "-", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "inf", "-inf"}) {
    write(folder / "t.csv", str_cat("a,b\n1,", word, "\n"));
    Table table(folder / "t.csv");
    REQUIRE(table.next());
    CHECK(!table.number_if_any(1));
  }
  write(folder / "t.csv", "a,b\n1,lost\n");
  Table table(folder / "t.csv");
  REQUIRE(table.next());
  CHECK(error_of([&] { table.number_if_any(1); }).ends_with("t.csv:2: column b: expected a number, got 'lost'"));
}

TEST_CASE("table: numbers with separated thousands are read if they have one meaning", "[table]") {
  CHECK(first_number("1,234.5\t\n") == 1234.5);
  CHECK(first_number("-1.234,5\t\n") == -1234.5);
  CHECK(first_number("1,234,567\t\n") == 1234567);
  CHECK(first_number("1 234,5\t\n") == 1234.5);
  CHECK(first_number("1\xC2\xA0"
                     "234\t\n") == 1234);
  CHECK(first_number("0,480\t\n") == 0.48);
  CHECK(first_number("1234,567\t\n") == 1234.567);
  CHECK(first_number("1.234\t\n") == 1.234);
  CHECK(first_number("1,234\t\n0.5\t\n") == 1234);   // the file's decimal mark is the point
  CHECK(first_number("1,234\t\n0,5\t\n") == 1.234);  // the comma
  CHECK(first_number("1.234\t\n0,5\t\n") == 1234);
  CHECK(first_number("1,234\t\n", "point") == 1234);
  CHECK(first_number("1,234\t\n", "comma") == 1.234);
  for (const char* fields : {"1,234\t\n", "1,234\t\n0.5\t\n0,5\t\n"})
    CHECK(error_of([&] { first_number(fields); })
              .ends_with("t.csv:2: column n: '1,234' may be 1234 or 1.234: expected to know the decimal mark "
                         "(gradtrack fixations --decimal point or --decimal comma)"));
  for (const char* number : {"1,23,456", "12 34", "1.2.3", "1,2345.6", "--1", "+1"})
    CHECK(error_of([&] {
            first_number(str_cat(number, "\t\n"));
          }).ends_with(str_cat("column n: expected a number, got '", number, "'")));
}

TEST_CASE("table: a million rows are read", "[table]") {
  std::string text = "n\tword\n";
  for (int i = 0; i < 1000000; ++i) text += "1,234\t0.5\n";
  const TempFolder folder;
  write(folder / "t.csv", text);
  Table table(folder / "t.csv");
  double sum = 0;
  while (table.next()) sum += table.number(0);
  CHECK(sum == 1234e6);
}
