// NRRD volumes, written by the tests.
#include "gaze/nrrd.h"

#include "tests/catch.h"
#include "tests/medical_files.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

/// The message of a refused file, after its path.
std::string nrrd_refusal(const std::string& bytes) {
  const TempFolder tmp;
  write(tmp / "a.nrrd", bytes);
  const std::string message = error_of([&] { read_nrrd(tmp / "a.nrrd"); });
  CHECK(message.find('\n') == message.npos);
  CHECK(message.starts_with(tmp / "a.nrrd"));
  return message.substr(std::min((tmp / "a.nrrd").size(), message.size()));
}

std::string replaced(std::string s, const std::string& what, const std::string& by) {
  return s.replace(s.find(what), what.size(), by);
}

Volume read(const std::string& bytes) {
  const TempFolder tmp;
  write(tmp / "a.nrrd", bytes);
  return read_nrrd(tmp / "a.nrrd");
}

const std::vector<int32_t> values = {0, 1, 2, 100, 0, 7, 5, 4, 3, 2, 1, 0};  // width 3, height 2, depth 2

}  // namespace

TEST_CASE("nrrd: volumes of every encoding and type are read", "[nrrd]") {
  const TempFolder tmp;
  for (const char* type : {"uchar", "unsigned char", "int8", "short", "uint16", "int", "uint32"})
    for (const bool packed : {false, true})
      for (const bool big : {false, true}) {
        write(tmp / "a.nrrd", nrrd(3, 2, 2, values, type, packed, big));
        INFO(type << packed << big);
        const Volume v = read_nrrd(tmp / "a.nrrd");
        CHECK((v.width == 3 && v.height == 2 && v.depth == 2));
        CHECK(v.values == values);
        CHECK(v.slice(1)[0] == 5);
      }
  write(tmp / "a.nrrd", nrrd(1, 1, 2, {-1, -300}, "short", true, false));
  CHECK(read_nrrd(tmp / "a.nrrd").values == std::vector<int32_t>{-1, -300});
}

TEST_CASE("nrrd: unsupported and damaged files are refused with the field", "[nrrd]") {
  const std::string good = nrrd(3, 2, 2, std::vector<int32_t>(12, 1), "short", false, false),
                    packed = nrrd(3, 2, 2, std::vector<int32_t>(12, 1), "short", true, false);
  CHECK(nrrd_refusal("what") == ": is not an NRRD file");
  CHECK(nrrd_refusal("NRRD0004\n") == ":2: the header has no end, expected a blank line before the data");
  CHECK(nrrd_refusal(replaced(good, "type: ", "type ")) == ":3: expected 'field: value', got 'type short'");
  CHECK(nrrd_refusal(replaced(good, "type: short\n", "")) == ": the header has no field 'type'");
  CHECK(nrrd_refusal(replaced(good, "type: short", "type: float")) ==
        ":3: field 'type': expected integers of up to 32 bits, got 'float'");
  CHECK(nrrd_refusal(replaced(good, "dimension: 3", "dimension: 4")) == ":4: field 'dimension': expected 3, got '4'");
  CHECK(nrrd_refusal(replaced(good, "sizes: 3 2 2", "sizes: 3 0 2")) ==
        ":6: field 'sizes': expected three numbers from 1 to 16384, got '3 0 2'");
  CHECK(nrrd_refusal(replaced(good, "sizes: 3 2 2", "sizes: 3 2"))
            .starts_with(":6: field 'sizes': expected three numbers"));
  CHECK(nrrd_refusal(replaced(good, "encoding: raw", "encoding: bzip2")) ==
        ":8: field 'encoding': expected raw or gzip, got 'bzip2'");
  CHECK(nrrd_refusal(replaced(good, "endian: little\n", "")) == ": the header has no field 'endian'");
  CHECK(nrrd_refusal(good.substr(0, good.size() - 1)) == ": is truncated, expected 24 bytes of data, got 23");
  CHECK(nrrd_refusal(packed.substr(0, packed.size() - 12)).starts_with(": the data are damaged: expected 24 bytes"));
  const TempFolder tmp;
  for (const std::string& whole : {good, packed})
    for (size_t i = 0; i < whole.size(); ++i)
      for (const char c : {'\0', '\n', '9', ' ', '\xFF'}) {
        std::string changed = whole;
        changed[i] = c;
        write(tmp / "a.nrrd", changed);
        size_t count = 12;
        error_of([&] { count = read_nrrd(tmp / "a.nrrd").values.size(); });  // other exceptions fail the test
        CHECK(count > 0);
      }
}

TEST_CASE("nrrd: letters of fields and words may have any case", "[nrrd]") {
  std::string other = nrrd(3, 2, 2, values, "short", true, true);
  for (const auto& [what, by] : {std::pair("type: short", "Type: SHORT"),
                                 {"dimension", "Dimension"},
                                 {"sizes", "SIZES"},
                                 {"endian: big", "Endian: BIG"},
                                 {"encoding: gzip", "ENCODING: GZip"}})
    other = replaced(other, what, by);
  CHECK(read(other).values == values);
}

TEST_CASE("nrrd: lines and bytes before the data are skipped", "[nrrd]") {
  std::string file = nrrd(3, 2, 2, values, "uchar", false, false);
  const std::string data = file.substr(file.size() - 12), header = file.substr(0, file.size() - 13);
  CHECK(read(header + "byte skip: 5\n\n" + "12345" + data).values == values);
  CHECK(read(header + "byteskip: -1\n\n" + "123456789" + data).values == values);
  CHECK(read(header + "line skip: 2\n\n" + "one\ntwo\n" + data).values == values);
  CHECK(read(header + "line skip: 1\nbyte skip: 2\n\n" + "one\n12" + data).values == values);
  const std::string packed = replaced(header, "encoding: raw", "encoding: gzip");
  CHECK(read(packed + "byte skip: 3\n\n" + deflated("123" + data, 15 + 16)).values == values);
  CHECK(nrrd_refusal(header + "byte skip: 13\n\n" + data) == ": is truncated, expected 25 bytes of data, got 12");
  CHECK(nrrd_refusal(header + "byte skip: x\n\n" + data) ==
        ":10: field 'byte skip': expected a number from -1, got 'x'");
  CHECK(nrrd_refusal(header + "line skip: 9\n\n" + data) ==
        ":10: field 'line skip': the data have fewer lines, got '9'");
}

TEST_CASE("nrrd: gzip data of several members are read whole", "[nrrd]") {
  std::string file = nrrd(3, 2, 2, values, "uchar", true, false);
  const std::string plain = nrrd(3, 2, 2, values, "uchar", false, false), data = plain.substr(plain.size() - 12);
  const std::string header = replaced(plain.substr(0, plain.size() - 12), "encoding: raw", "encoding: gzip");
  const auto member = [&](size_t from, size_t count) { return deflated(data.substr(from, count), 15 + 16); };
  CHECK(read(header + member(0, 5) + member(5, 0) + member(5, 7)).values == values);
  CHECK(read(header + member(0, 12) + std::string(20, '\0')).values == values);
  CHECK(nrrd_refusal(header + member(0, 5)) == ": the data are damaged: expected 12 bytes unpacked, got 5");
  CHECK(nrrd_refusal(header + member(0, 12) + member(0, 1)) ==
        ": the data are more than the 12 bytes that the sizes say");
  CHECK(nrrd_refusal(header + member(0, 12) + "junk").starts_with(": the data are damaged"));
  std::string wrong = header + member(0, 12);
  wrong[wrong.size() - 6] ^= 1;  // the checksum
  CHECK(nrrd_refusal(wrong).starts_with(": the data are damaged"));
}

TEST_CASE("nrrd: data in another file are read", "[nrrd]") {
  const TempFolder tmp;
  const std::string plain = nrrd(3, 2, 2, values, "uchar", false, false);
  const std::string header = plain.substr(0, plain.size() - 13);
  write(tmp / "b.raw", plain.substr(plain.size() - 12));
  for (const std::string end : {"data file: b.raw", "datafile: b.raw\n\n", "Data File: ./b.raw\n"}) {
    write(tmp / "a.nhdr", header + end);
    CHECK(read_nrrd(tmp / "a.nhdr").values == values);
  }
  write(tmp / "a.nhdr", header + "data file: LIST\nb.raw\n");
  CHECK(error_of([&] { read_nrrd(tmp / "a.nhdr"); }).find("'b.raw'") != std::string::npos);
  write(tmp / "a.nhdr", header + "data file: b%d.raw 1 2 1\n");
  CHECK(error_of([&] { read_nrrd(tmp / "a.nhdr"); }) ==
        tmp / "a.nhdr" + ":10: field 'data file': expected one file, not several, got 'b%d.raw 1 2 1'");
  write(tmp / "a.nhdr", header + "data file: c.raw\n");
  CHECK(error_of([&] { read_nrrd(tmp / "a.nhdr"); }) ==
        tmp / "a.nhdr" + ":10: field 'data file': there is no file " + tmp / "c.raw" + ", got 'c.raw'");
}

TEST_CASE("nrrd: a field is read, harmless or refused", "[nrrd]") {
  const std::string good = nrrd(3, 2, 2, values, "uchar", false, false);
  const auto with = [&](const std::string& line) { return replaced(good, "dimension: 3", "dimension: 3\n" + line); };
  for (const char* line :
       {"content: a: b", "spacings: 1 1 3", "space origin: (0,0,0)", "kinds: domain domain space",
        "units: \"mm\" \"mm\" \"mm\"", "measurement frame: (1,0,0) (0,1,0) (0,0,1)", "max: 4", "content:"})
    CHECK(read(with(line)).values == values);
  CHECK(nrrd_refusal(with("block size: 3")) ==
        ":5: field 'block size' is not known, expected a field that can be read or ignored safely");
  CHECK(nrrd_refusal(with("kinds: list domain domain")) ==
        ":5: field 'kinds': expected domain or space for each axis, got 'list domain domain'");
  CHECK(nrrd_refusal(with("Type: short")) == ":5: field 'type' is already on line 3");
  CHECK(nrrd_refusal(with("endian: middle")).starts_with(":8: field 'endian' is already on line 5"));
  CHECK(nrrd_refusal(good + "x") == ": has 13 bytes of data, expected 12 by the sizes");
  CHECK(nrrd_refusal(nrrd(1, 1, 1, {-1}, "uint32", false, false)) ==
        ": has a value of 4294967295, expected less than 2^31");
}

TEST_CASE("nrrd: directions of axes are given in the patient's left, back and head", "[nrrd]") {
  const std::string good = nrrd(3, 2, 2, values, "uchar", false, false);
  const auto with = [&](const std::string& space, const std::string& directions) {
    return replaced(replaced(good, "left-posterior-superior", space), "endian",
                    "space directions: " + directions + "\nendian");
  };
  CHECK(!read(good).directions);
  const auto lps = read(with("left-posterior-superior", "(1,0,0) (0,2,0) (0,0,-3)")).directions;
  REQUIRE(lps);
  CHECK((*lps)[2][2] == -3);
  const auto ras = read(with("RAS", "(1,0,0) (0,2.5,0) ( 0, 0, -3 )")).directions;
  REQUIRE(ras);
  CHECK(((*ras)[0][0] == -1 && (*ras)[1][1] == -2.5 && (*ras)[2][2] == -3));
  CHECK(nrrd_refusal(with("scanner-xyz", "(1,0,0) (0,2,0) (0,0,3)")).starts_with(":5: field 'space': expected left-"));
  for (const char* wrong : {"none (1,0,0) (0,1,0)", "(1,0) (0,1)", "(0,0,0) (0,1,0) (0,0,1)", "(1,0,0) (0,1,0)",
                            "(1,0,0) (0,1,0) (0,0,nan)", "(1,0,0) (0,1,0) (0,0,1) (0,0,1)"})
    CHECK(nrrd_refusal(with("LPS", wrong)).starts_with(":7: field 'space directions': expected three vectors"));
}

TEST_CASE("nrrd: sizes that the data cannot have are refused before memory is taken", "[nrrd]") {
  const std::string good = nrrd(3, 2, 2, values, "uchar", true, false);
  CHECK(nrrd_refusal(replaced(good, "sizes: 3 2 2", "sizes: 16384 16384 15")) ==
        ":6: field 'sizes': expected at most 500000000 values, got '16384 16384 15'");
  CHECK(nrrd_refusal(replaced(good, "sizes: 3 2 2", "sizes: 16384 16384 1")).starts_with(": the data are damaged"));
}
