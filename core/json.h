// JSON: text becomes objects in one place, and values are taken out of them with checks. Every error names the file.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "core/check.h"

namespace gt {

using Json = nlohmann::ordered_json;

/// Objects and lists inside of each other that parse_json() reads.
inline constexpr int max_json_depth = 64;

/// Parses a JSON object. `where` names the text in errors: "FILE" or "FILE:LINE". Throws Error if the text is not one
/// JSON object, nests deeper than max_json_depth, or has a key twice in one object. J is Json, or nlohmann::json, which
/// sorts the keys and is fast for thousands of them.
template <class J = Json>
J parse_json(std::string_view text, const std::string& where);

/// The text of a JSON value. `indent` -1 writes one line. Strings that are not UTF-8, such as paths in an old encoding,
/// are written as printable() shows them.
std::string dump_json(const Json& json, int indent = -1);

/// The value under `key` of an object. Each throws Error, beginning with `where`, if it is missing or of another type.
const Json& json_object(const Json& json, const char* key, const std::string& where);
const Json& json_list(const Json& json, const char* key, const std::string& where);
std::string json_string(const Json& json, const char* key, const std::string& where);
/// A number within [low, high].
double json_number(const Json& json, const char* key, const std::string& where, double low = -1e300,
                   double high = 1e300);
/// A whole number within [low, high].
int64_t json_integer(const Json& json, const char* key, const std::string& where, int64_t low, int64_t high);

}  // namespace gt
