#include "core/config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <numeric>
#include <sstream>
#include <utility>

#include "core/check.h"
#include "core/io.h"

namespace gt {
namespace config {

class Source {
 public:
  YAML::Node node;
  std::string file;
  std::string prefix;                                             // "train." inside the mapping `train`
  std::shared_ptr<std::map<std::string, std::string>> overrides;  // full key -> the word on the command line
  std::vector<std::string> known;                                 // keys asked for so far

  std::string where(const YAML::Node& at, const std::string& key) const {
    const std::string full = prefix + key + ".";
    for (const auto& [o, word] : *overrides)  // a.b=1 is to blame for a, if nobody knows it, and a={b: 1} for a.b
      if (full.starts_with(o + ".") || (o + ".").starts_with(full)) return str_cat("command line '", word, "'");
    YAML::Mark mark = at.Mark();
    if (at.IsNull())  // yaml-cpp places a value that is not there on the next line
      for (const auto& item : node)
        if (item.first.IsScalar() && item.first.Scalar() == key) mark = item.first.Mark();
    return mark.is_null() ? file : str_cat(file, ":", mark.line + 1);
  }
};

namespace {

constexpr const char* kinds[] = {"undefined", "nothing", "a plain value", "a list", "a mapping"};

std::string shown(const YAML::Node& node) { return node.IsScalar() ? "'" + node.Scalar() + "'" : kinds[node.Type()]; }

[[noreturn]] void wrong(const Source& s, const char* key, const YAML::Node& node, const std::string& expected) {
  fail(s.where(node, key), ": key '", s.prefix, key, "': expected ", expected, ", got ", shown(node));
}

std::string bounds(const Range& r) {
  const bool lo = r.lo > -1e300, hi = r.hi < 1e300;
  if (lo && hi) return str_cat(" in [", r.lo, ", ", r.hi, "]");
  if (lo) return str_cat(" of at least ", r.lo);
  return hi ? str_cat(" of at most ", r.hi) : "";
}

template <class T>
bool number(const YAML::Node& node, T& out) {
  if (!node.IsScalar()) return false;
  const std::string& word = node.Scalar();
  const char* end = word.data() + word.size();
  const auto [stop, error] = std::from_chars(word.data(), end, out);
  return error == std::errc() && stop == end && double(out) == double(out);
}

template <class T>
void read_number(const Source& s, const char* key, const YAML::Node& node, const char* kind, const Range& range,
                 T& out) {
  T value;
  if (!number(node, value) || double(value) < range.lo || double(value) > range.hi)
    wrong(s, key, node, kind + bounds(range));
  out = value;
}

template <class T>
void read_list(const Source& s, const char* key, const YAML::Node& node, const char* kind, const Length& length,
               std::vector<T>& out) {
  const int64_t most = std::max(length.count, length.most);
  const std::string numbers = most > length.count ? str_cat(length.count, " to ", most) : str_cat(length.count);
  const std::string expected = str_cat("a list of ", numbers, " ", kind, bounds(length.each));
  if (!node.IsSequence()) wrong(s, key, node, expected);
  if (int64_t(node.size()) < length.count || int64_t(node.size()) > most)
    fail(s.where(node, key), ": key '", s.prefix, key, "': expected ", expected, ", got ", node.size());
  std::vector<T> values(node.size());
  for (size_t i = 0; i < values.size(); ++i)
    if (!number(node[i], values[i]) || double(values[i]) < length.each.lo || double(values[i]) > length.each.hi)
      wrong(s, key, node[i], expected);
  out = values;
}

/// The value under `key`, or an undefined node; remembers that the key was asked for.
YAML::Node take(Source& s, const char* key) {
  s.known.push_back(key);
  return static_cast<const YAML::Node&>(s.node)[key];
}

void put(YAML::Node node, const std::string& key, const YAML::Node& value, const std::string& word) {
  const size_t dot = key.find('.');
  const std::string head = key.substr(0, dot);
  if (head.empty()) fail("command line '", word, "': expected key=value with a dotted key, such as train.lr=0.01");
  if (dot == std::string::npos) {
    node[head] = value;
    return;
  }
  if (!node[head].IsDefined() || node[head].IsNull()) node[head] = YAML::Node(YAML::NodeType::Map);
  if (!node[head].IsMap()) fail("command line '", word, "': key '", head, "' is not a mapping");
  put(node[head], key.substr(dot + 1), value, word);
}

}  // namespace

std::shared_ptr<Source> parse(const std::string& yaml, const std::string& name) {
  auto source = std::make_shared<Source>();
  source->file = name;
  source->overrides = std::make_shared<std::map<std::string, std::string>>();
  try {
    source->node = YAML::Load(yaml);
  } catch (const YAML::ParserException& e) {
    fail(name, ":", e.mark.line + 1, ": not valid YAML: ", e.msg);
  }
  if (source->node.IsNull()) source->node = YAML::Node(YAML::NodeType::Map);
  if (!source->node.IsMap()) fail(name, ": expected a mapping of keys to values, got ", shown(source->node));
  return source;
}

std::shared_ptr<Source> open(const std::string& path, const std::vector<std::string>& overrides) {
  auto source = parse(read_file(path), path);
  for (const std::string& word : overrides) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) fail("command line '", word, "': expected key=value, such as train.lr=0.01");
    const std::string key = word.substr(0, equals);
    try {
      put(source->node, key, YAML::Load(word.substr(equals + 1)), word);
    } catch (const YAML::ParserException& e) {
      fail("command line '", word, "': the value is not valid YAML: ", e.msg);
    }
    (*source->overrides)[key] = word;
  }
  return source;
}

Reader::Reader(std::shared_ptr<Source> source) : source_(std::move(source)) {}
Reader::~Reader() = default;

void Reader::operator()(const char* key, bool& value) {
  const YAML::Node node = take(*source_, key);
  if (!node.IsDefined()) return;
  const std::string word = node.IsScalar() ? node.Scalar() : "";
  if (word != "true" && word != "false") wrong(*source_, key, node, "true or false");
  value = word == "true";
}

void Reader::operator()(const char* key, int64_t& value, Range range) {
  const YAML::Node node = take(*source_, key);
  if (node.IsDefined()) read_number(*source_, key, node, "a whole number", range, value);
}

void Reader::operator()(const char* key, double& value, Range range) {
  const YAML::Node node = take(*source_, key);
  if (node.IsDefined()) read_number(*source_, key, node, "a number", range, value);
}

void Reader::operator()(const char* key, std::string& value) {
  const YAML::Node node = take(*source_, key);
  if (!node.IsDefined()) return;
  if (!node.IsScalar()) wrong(*source_, key, node, "a word");
  value = node.Scalar();
}

void Reader::operator()(const char* key, std::string& value, const OneOf& words) {
  const YAML::Node node = take(*source_, key);
  if (!node.IsDefined()) return;
  if (!node.IsScalar() || std::find(words.words.begin(), words.words.end(), node.Scalar()) == words.words.end()) {
    std::string list;
    for (const std::string& w : words.words) list += (list.empty() ? "" : " or ") + w;
    wrong(*source_, key, node, list);
  }
  value = node.Scalar();
}

void Reader::operator()(const char* key, std::vector<int64_t>& value, const Length& length) {
  const YAML::Node node = take(*source_, key);
  if (node.IsDefined()) read_list(*source_, key, node, "whole numbers", length, value);
}

void Reader::operator()(const char* key, std::vector<double>& value, const Length& length) {
  const YAML::Node node = take(*source_, key);
  if (node.IsDefined()) read_list(*source_, key, node, "numbers", length, value);
}

std::shared_ptr<Source> Reader::enter(const char* key) {
  const YAML::Node node = take(*source_, key);
  if (!node.IsDefined() || node.IsNull()) return nullptr;
  if (!node.IsMap()) wrong(*source_, key, node, "a mapping");
  auto child = std::make_shared<Source>(*source_);
  child->node.reset(node);  // operator= would turn the parent, which shares the handle, into the child
  child->prefix += std::string(key) + ".";
  child->known.clear();
  return child;
}

void Reader::finish() {
  std::vector<std::string> seen;
  for (const auto& item : source_->node) {
    const std::string key = item.first.IsScalar() ? item.first.Scalar() : "?";
    const std::string where = source_->where(item.first, key);
    if (std::find(seen.begin(), seen.end(), key) != seen.end())
      fail(where, ": key '", source_->prefix, key, "' stands twice");
    seen.push_back(key);
    if (std::find(source_->known.begin(), source_->known.end(), key) != source_->known.end()) continue;
    const std::string near = nearest(key, source_->known);
    fail(where, ": unknown key '", source_->prefix, key, "'",
         near.empty() ? "" : ", did you mean '" + source_->prefix + near + "'?");
  }
}

void Writer::line(const char* key, const std::string& value) {
  text_ += std::string(size_t(2 * depth_), ' ') + key + ":" + (value.empty() ? "" : " " + value) + "\n";
}

std::string Writer::format(double value) {
  char buffer[32];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};  // shortest that reads back the same
}

std::string Writer::quote(const std::string& value) {
  YAML::Emitter out;
  out << YAML::DoubleQuoted << value;
  return out.c_str();
}

void Writer::operator()(const char* key, const std::vector<int64_t>& value, const Length&) {
  std::string list;
  for (const int64_t v : value) list += (list.empty() ? "" : ", ") + std::to_string(v);
  line(key, "[" + list + "]");
}

void Writer::operator()(const char* key, const std::vector<double>& value, const Length&) {
  std::string list;
  for (const double v : value) list += (list.empty() ? "" : ", ") + format(v);
  line(key, "[" + list + "]");
}

std::string first_difference(const std::string& there, const std::string& here) {
  std::istringstream a(there), b(here);
  std::vector<std::string> key;  // that a line stands under, outermost first
  for (std::string x, y; std::getline(a, x) && std::getline(b, y);) {
    const size_t indent = x.find_first_not_of(' '), colon = x.find(':');
    key.resize(indent / 2);
    key.push_back(x.substr(indent, colon - indent));
    if (x == y) continue;
    std::string dotted;
    for (const std::string& part : key) dotted += (dotted.empty() ? "" : ".") + part;
    return str_cat(dotted, x.substr(colon), " there,", y.substr(colon + 1), " here");
  }
  return "";
}

}  // namespace config

std::string nearest(const std::string& word, const std::vector<std::string>& words) {
  std::string best;
  size_t best_distance = 1 + std::max<size_t>(2, word.size() / 2);
  for (const std::string& w : words) {
    std::vector<size_t> row(w.size() + 1);  // Levenshtein, one row at a time
    std::iota(row.begin(), row.end(), size_t(0));
    for (size_t i = 0; i < word.size(); ++i) {
      size_t diagonal = std::exchange(row[0], i + 1);
      for (size_t j = 0; j < w.size(); ++j) {
        const size_t substitute = diagonal + (word[i] != w[j]);
        diagonal = row[j + 1];
        row[j + 1] = std::min({substitute, row[j] + 1, diagonal + 1});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = w;
    }
  }
  return best;
}

}  // namespace gt
