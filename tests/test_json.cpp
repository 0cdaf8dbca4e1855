// Parsing of JSON and taking values out of it.
#include "core/json.h"
#include "tests/catch.h"
#include "tests/temp_folder.h"

using namespace gt;

TEST_CASE("json: an object is parsed with the order of its keys, and other text is refused by name", "[json]") {
  CHECK(parse_json(R"({"b":[1,{"a":2}],"a":{"b":null}})", "f").dump() == R"({"b":[1,{"a":2}],"a":{"b":null}})");
  const auto error = [](const std::string& text) { return error_of([&] { parse_json(text, "f:3"); }); };
  for (const char* text : {"", " ", "{", "{}{}", "{} x", "{\"a\":}", "{\"a\":1,}", "{'a':1}", "{\"\xff\":1}", "nan"})
    CHECK(error(text).starts_with("f:3: expected a JSON object, found a fault at byte "));
  for (const char* text : {"[]", "1", "null", "\"x\""})
    CHECK(error(text) == "f:3: expected a JSON object, found another JSON value");
  CHECK(error("{\"a\":1e999}") == "f:3: expected a JSON object, found a number that is too large");
}

TEST_CASE("json: a key that an object has twice is refused", "[json]") {
  CHECK(error_of([] { parse_json(R"({"a":1,"b":2,"a":3})", "f"); }) ==
        "f: expected each key once, found the key \"a\" twice");
  CHECK_THROWS_AS(parse_json(R"({"x":[{"a":[{"b":1}],"c":1,"a":1}]})", "f"), Error);
  CHECK_NOTHROW(parse_json(R"({"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]})", "f"));
}

TEST_CASE("json: nesting deeper than 64 levels is refused, however deep", "[json]") {
  const auto nested = [](size_t lists) { return "{\"a\":" + std::string(lists, '[') + std::string(lists, ']') + "}"; };
  CHECK_NOTHROW(parse_json(nested(63), "f"));
  for (const size_t lists : {size_t(64), size_t(65), size_t(1000000)})
    CHECK(error_of([&] { parse_json(nested(lists), "f"); }) == "f: expected JSON of at most 64 levels");
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += "{\"a\":";
  CHECK(error_of([&] { parse_json(objects, "f"); }) == "f: expected JSON of at most 64 levels");
}

TEST_CASE("json: values of another type or range are refused with their key", "[json]") {
  const Json j = parse_json(R"({"n":1.5,"i":7,"s":"x","l":[1],"o":{},"big":18446744073709551615,"minus":-3})", "f");
  CHECK(json_number(j, "n", "f") == 1.5);
  CHECK(json_number(j, "i", "f") == 7);
  CHECK(json_integer(j, "i", "f", 0, 7) == 7);
  CHECK(json_integer(j, "minus", "f", -3, 7) == -3);
  CHECK(json_string(j, "s", "f") == "x");
  CHECK(json_list(j, "l", "f").size() == 1);
  CHECK(json_object(j, "o", "f").empty());
  CHECK(error_of([&] { json_number(j, "s", "f"); }) == "f: expected a number under 's'");
  CHECK(error_of([&] { json_number(j, "n", "f", 0, 1); }) == "f: expected a number from 0 to 1 under 'n', got 1.5");
  CHECK(error_of([&] { json_string(j, "none", "f"); }) == "f: expected a string under 'none'");
  for (const char* key : {"n", "s", "big", "minus", "none"})
    CHECK(error_of([&] {
            json_integer(j, key, "f", 0, 9);
          }).starts_with(str_cat("f: expected a whole number from 0 to 9 under '", key, "'")));
  CHECK_THROWS_AS(json_list(j, "o", "f"), Error);
  CHECK_THROWS_AS(json_object(j, "l", "f"), Error);
}

TEST_CASE("json: bytes that are not UTF-8 are written as escapes", "[json]") {
  CHECK(dump_json({{"name", "caf\xc3\xa9"}}) == "{\"name\":\"caf\xc3\xa9\"}");
  Json json = {{"a", 1}, {"caf\xe9", true}};
  json["list"] = Json::array({"x", "caf\xe9", 2});
  CHECK(dump_json(json) == "{\"a\":1,\"caf\\\\xe9\":true,\"list\":[\"x\",\"caf\\\\xe9\",2]}");
}
