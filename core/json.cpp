#include "core/json.h"

#include <set>
#include <vector>

#include "core/text.h"

namespace gt {
namespace {

const Json& item(const Json& json, const char* key, bool (Json::*is)() const noexcept, const std::string& kind,
                 const std::string& where) {
  if (!json.is_object() || !json.contains(key) || !(json[key].*is)())
    fail(where, ": expected ", kind, " under '", key, "'");
  return json[key];
}

/// `json` with all strings and keys printable().
Json with_printable_text(const Json& json) {
  if (json.is_string()) {
    const std::string& text = json.get_ref<const std::string&>();
    return is_utf8(text) ? json : Json(printable(text));
  }
  if (!json.is_structured()) return json;
  Json all = json.is_object() ? Json::object() : Json::array();
  for (const auto& [key, value] : json.items())
    if (json.is_object())
      all[is_utf8(key) ? key : printable(key)] = with_printable_text(value);
    else
      all.push_back(with_printable_text(value));
  return all;
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

std::string dump_json(const Json& json, int indent) {
  try {
    return json.dump(indent);
  } catch (const nlohmann::detail::exception&) {
    return with_printable_text(json).dump(indent);
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
