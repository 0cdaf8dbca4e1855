#include "core/json.h"

#include <set>
#include <vector>

namespace gt {
namespace {

const Json& item(const Json& json, const char* key, bool (Json::*is)() const noexcept, const std::string& kind,
                 const std::string& where) {
  if (!json.is_object() || !json.contains(key) || !(json[key].*is)())
    fail(where, ": expected ", kind, " under '", key, "'");
  return json[key];
}

/// The first string or key in a value that is not UTF-8, in ASCII; "" if there is none.
std::string first_not_utf8(const Json& json) {
  if (json.is_string()) {
    try {
      json.dump();
    } catch (const nlohmann::detail::exception&) {
      return json.dump(-1, ' ', true, Json::error_handler_t::replace);
    }
  }
  std::string found;
  if (json.is_structured())
    for (const auto& [key, value] : json.items()) {
      if (found.empty() && json.is_object()) found = first_not_utf8(Json(key));
      if (found.empty()) found = first_not_utf8(value);
    }
  return found;
}

}  // namespace

template <class J>
J parse_json(std::string_view text, const std::string& where) {
  std::vector<std::set<std::string>> keys;  // of the open objects, by depth
  const auto check = [&](int depth, typename J::parse_event_t event, J& value) {
    using Event = typename J::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) {
      if (depth >= max_json_depth) fail(where, ": expected JSON of at most ", max_json_depth, " levels");
      keys.resize(size_t(depth) + 1);
      keys.back().clear();
    } else if (event == Event::key && !keys.at(size_t(depth) - 1).insert(value.template get<std::string>()).second) {
      fail(where, ": expected each key once, found the key ", value.dump(), " twice");
    }
    return true;
  };
  try {
    J json = J::parse(text, check);
    if (!json.is_object()) fail(where, ": expected a JSON object, found another JSON value");
    return json;
  } catch (const nlohmann::detail::parse_error& error) {
    fail(where, ": expected a JSON object, found a fault at byte ", error.byte);
  } catch (const nlohmann::detail::exception&) {
    fail(where, ": expected a JSON object, found a number that is too large");
  }
}

template Json parse_json(std::string_view, const std::string&);
template nlohmann::json parse_json(std::string_view, const std::string&);

std::string dump_json(const Json& json, const std::string& where, int indent) {
  try {
    return json.dump(indent);
  } catch (const nlohmann::detail::exception&) {
    fail(where, ": cannot write: expected text in UTF-8, got ", first_not_utf8(json));
  }
}

const Json& json_object(const Json& json, const char* key, const std::string& where) {
  return item(json, key, &Json::is_object, "an object", where);
}

const Json& json_list(const Json& json, const char* key, const std::string& where) {
  return item(json, key, &Json::is_array, "a list", where);
}

std::string json_string(const Json& json, const char* key, const std::string& where) {
  return item(json, key, &Json::is_string, "a string", where).get<std::string>();
}

double json_number(const Json& json, const char* key, const std::string& where, double low, double high) {
  const double value = item(json, key, &Json::is_number, "a number", where).get<double>();
  if (!(value >= low && value <= high))
    fail(where, ": expected a number from ", low, " to ", high, " under '", key, "', got ", value);
  return value;
}

int64_t json_integer(const Json& json, const char* key, const std::string& where, int64_t low, int64_t high) {
  const std::string kind = str_cat("a whole number from ", low, " to ", high);
  const Json& value = item(json, key, &Json::is_number_integer, kind, where);
  const bool fits = !value.is_number_unsigned() || value.get<uint64_t>() <= uint64_t(INT64_MAX);
  if (!fits || value.get<int64_t>() < low || value.get<int64_t>() > high)
    fail(where, ": expected ", kind, " under '", key, "', got ", value.dump());
  return value.get<int64_t>();
}

}  // namespace gt
