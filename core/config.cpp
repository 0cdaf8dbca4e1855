#include "core/config.h"

#include <yaml-cpp/anchor.h>
#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <numeric>
#include <optional>
#include <sstream>

#include "core/check.h"
#include "core/io.h"

namespace gt {
namespace config {

/// One layer holds the keys of a file, or the one key of an override. Layers stand from the first base to the last
/// override; the last one that has a key decides.
class Source {
 public:
  struct Layer {
    YAML::Node node;
    std::string file;      // of a file
    std::string word;      // of an override; "" for a file
    std::string assigned;  // the dotted key that the override sets
    bool is_default = false;
    std::string place(const YAML::Mark& mark) const {
      if (!word.empty()) return str_cat("command line '", word, "'");
      return mark.is_null() ? file : str_cat(file, ":", mark.line + 1);
    }
  };

  std::vector<Layer> layers;
  std::string prefix;              // "train." inside the mapping `train`
  std::vector<std::string> known;  // keys of this mapping that were asked for
  OpenOptions options;
  ConfigNotes* notes = nullptr;
};

namespace {

using Layer = Source::Layer;

constexpr const char* kinds[] = {"undefined", "nothing", "a plain value", "a list", "a mapping"};

std::string shown(const YAML::Node& node) { return node.IsScalar() ? "'" + node.Scalar() + "'" : kinds[node.Type()]; }

/// Where the value stands. yaml-cpp places a value that is not there on the next line: the key's place is taken then.
std::string place(const Layer& layer, const std::string& key, const YAML::Node& value) {
  YAML::Mark mark = value.Mark();
  if (value.IsNull())
    for (const auto& item : layer.node)
      if (item.first.IsScalar() && item.first.Scalar() == key) mark = item.first.Mark();
  return layer.place(mark);
}

/// A key's value and the layer that decides it.
struct Found {
  const Layer* layer = nullptr;
  YAML::Node value;
};

/// The value under `key`, or nothing; remembers that the key was asked for.
std::optional<Found> find(Source& s, const std::string& key) {
  s.known.push_back(key);
  for (auto layer = s.layers.rbegin(); layer != s.layers.rend(); ++layer) {
    const YAML::Node value = static_cast<const YAML::Node&>(layer->node)[key];
    if (!value.IsDefined()) continue;
    s.notes->origins[s.prefix + key] = place(*layer, key, value);
    return Found{&*layer, value};
  }
  return {};
}

[[noreturn]] void wrong(const Source& s, const char* key, const Found& found, const YAML::Node& node,
                        const std::string& expected) {
  fail(place(*found.layer, key, node), ": key '", s.prefix, key, "': expected ", expected, ", got ", shown(node));
}

std::string bounds(const Range& r) {
  const bool lo = r.lo > -1e300, hi = r.hi < 1e300;
  if (lo && hi) return str_cat(" in [", r.lo, ", ", r.hi, "]");
  if (lo) return str_cat(" of at least ", r.lo);
  return hi ? str_cat(" of at most ", r.hi) : "";
}

std::string expected_list(const KeySpec& spec, const char* numbers) {
  const int64_t max = std::max(spec.length.count, spec.length.max);
  const std::string count =
      max > spec.length.count ? str_cat(spec.length.count, " to ", max) : str_cat(spec.length.count);
  return str_cat("a list of ", count, " ", numbers, bounds(spec.length.each));
}

template <class T>
bool parse_number(const YAML::Node& node, const Range& range, T& out) {
  if (!node.IsScalar()) return false;
  const std::string& word = node.Scalar();
  const char* end = word.data() + word.size();
  const auto [stop, error] = std::from_chars(word.data(), end, out);
  return error == std::errc() && stop == end && double(out) >= range.lo && double(out) <= range.hi;  // and not NaN
}

template <class T>
void read_number(Source& s, const KeySpec& spec, T& out) {
  const auto found = find(s, spec.key);
  if (!found) return;
  T value;
  if (!parse_number(found->value, spec.range, value)) wrong(s, spec.key, *found, found->value, expected(spec, out));
  out = value;
}

template <class T>
void read_list(Source& s, const KeySpec& spec, std::vector<T>& out) {
  const auto found = find(s, spec.key);
  if (!found) return;
  const YAML::Node& node = found->value;
  if (!node.IsSequence()) wrong(s, spec.key, *found, node, expected(spec, out));
  const int64_t size = int64_t(node.size());
  if (size < spec.length.count || size > std::max(spec.length.count, spec.length.max))
    fail(place(*found->layer, spec.key, node), ": key '", s.prefix, spec.key, "': expected ", expected(spec, out),
         ", got ", size);
  std::vector<T> values(node.size());
  for (size_t i = 0; i < values.size(); ++i)
    if (!parse_number(node[i], spec.length.each, values[i])) wrong(s, spec.key, *found, node[i], expected(spec, out));
  out = values;
}

// ---- Keys under old names -------------------------------------------------------------------------------------------

std::pair<std::string, std::string> split_path(const std::string& path) {
  const size_t dot = path.rfind('.');
  return dot == path.npos ? std::pair(std::string(), path) : std::pair(path.substr(0, dot), path.substr(dot + 1));
}

/// The mapping at a dotted path; undefined if there is none. With `make`, it is made.
YAML::Node mapping_at(const YAML::Node& root, const std::string& path, bool make = false) {
  YAML::Node node(root);
  std::istringstream parts(path);
  for (std::string part; std::getline(parts, part, '.');) {
    const YAML::Node child = std::as_const(node)[part];
    if (child.IsDefined() && !child.IsNull()) {
      node.reset(child);
    } else {
      if (!make) return YAML::Node(YAML::NodeType::Undefined);
      YAML::Node made(YAML::NodeType::Map);
      node[part] = made;
      node.reset(made);
    }
    if (!node.IsMap()) return YAML::Node(YAML::NodeType::Undefined);
  }
  return node;
}

/// Moves a layer's keys from their old names to their new ones.
void rename_keys(Layer& layer, const OpenOptions& options, ConfigNotes& notes) {
  for (const RenamedKey& renamed : options.renamed) {
    const auto [from_path, from] = split_path(renamed.from);
    const auto [to_path, to] = split_path(renamed.to);
    YAML::Node old_mapping = mapping_at(layer.node, from_path);
    if (!old_mapping.IsDefined()) continue;
    YAML::Node value = std::as_const(old_mapping)[from];
    if (!value.IsDefined()) continue;
    const std::string where = place(layer, from, value);
    YAML::Node new_mapping = mapping_at(layer.node, to_path, true);
    if (!new_mapping.IsDefined())
      fail(where, ": key '", renamed.from, "' is now '", renamed.to, "', which is no key here");
    if (std::as_const(new_mapping)[to].IsDefined())
      fail(where, ": key '", renamed.from, "' is the old name of '", renamed.to, "', which is set as well");
    if (value.IsScalar())
      if (const auto word = renamed.values.find(value.Scalar()); word != renamed.values.end()) value = word->second;
    new_mapping[to] = value;
    old_mapping.remove(from);
    if (layer.assigned == renamed.from) layer.assigned = renamed.to;
    notes.warnings.push_back(str_cat(where, ": key '", renamed.from, "' is called '", renamed.to, "' now"));
  }
}

// ---- Files and overrides --------------------------------------------------------------------------------------------

/// Throws Error where a second document begins. YAML::Load() would ignore that document. YAML::LoadAll() never ends
/// after some tokens that stand outside any document, such as a comma.
class OneDocument : public YAML::EventHandler {
 public:
  explicit OneDocument(const std::string& name) : name_(name) {}
  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) fail(name_, ":", mark.line + 1, ": expected one YAML document, a second one begins here");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

 private:
  const std::string& name_;
  int documents_ = 0;
};

/// The YAML document in a text. Throws Error, or YAML::ParserException if it is not valid.
YAML::Node load_document(const std::string& yaml, const std::string& name) {
  std::istringstream stream(yaml);
  YAML::Parser parser(stream);
  OneDocument one(name);
  try {
    while (parser.HandleNextDocument(one)) {
    }
  } catch (const YAML::DeepRecursion& e) {
    throw YAML::ParserException(e.mark, "expected at most 500 levels, it has more");
  }
  return YAML::Load(yaml);
}

YAML::Node load_mapping(const std::string& yaml, const std::string& name) {
  YAML::Node document;
  try {
    document = load_document(yaml, name);
  } catch (const YAML::ParserException& e) {
    fail(name, ":", e.mark.line + 1, ": not valid YAML: ", e.msg);
  }
  if (document.IsNull()) return YAML::Node(YAML::NodeType::Map);
  if (!document.IsMap()) fail(name, ": expected a mapping of keys to values, got ", shown(document));
  return document;
}

/// Appends the layers of a file, those of its base first. `chain` holds the files that led here.
void add_file(Source& source, const std::string& path, std::vector<std::string> chain) {
  namespace fs = std::filesystem;
  std::error_code error;  // of a path that cannot be looked up, which reading it then reports
  const std::string canonical = fs::weakly_canonical(path, error).string();
  if (std::find(chain.begin(), chain.end(), canonical) != chain.end())
    fail(path, ": the key 'base' leads back to this file");
  chain.push_back(canonical);
  Layer layer{load_mapping(read_file(path), path), path, "", ""};
  if (const YAML::Node base = std::as_const(layer.node)["base"]; base.IsDefined()) {
    const std::string where = place(layer, "base", base);
    if (!base.IsScalar()) fail(where, ": key 'base': expected the path of a configuration, got ", shown(base));
    const fs::path file = fs::path(path).parent_path() / base.Scalar();
    if (!fs::is_regular_file(file, error)) fail(where, ": key 'base': there is no file ", file.string());
    layer.node.remove("base");
    add_file(source, file.string(), std::move(chain));
  }
  source.layers.push_back(std::move(layer));
}

/// {a: {b: value}} of the key "a.b".
YAML::Node nested(const std::string& key, const YAML::Node& value, const std::string& word) {
  const size_t dot = key.find('.');
  const std::string head = key.substr(0, dot);
  if (head.empty()) fail("command line '", word, "': expected key=value with a dotted key, such as optimizer.lr=0.01");
  YAML::Node mapping(YAML::NodeType::Map);
  if (dot == key.npos)
    mapping[head] = value;
  else
    mapping[head] = nested(key.substr(dot + 1), value, word);
  return mapping;
}

Layer override_layer(const std::string& word) {
  const size_t equals = word.find('=');
  if (equals == word.npos) fail("command line '", word, "': expected key=value, such as optimizer.lr=0.01");
  const std::string key = word.substr(0, equals);
  try {
    const YAML::Node value = load_document(word.substr(equals + 1), str_cat("command line '", word, "'"));
    return {nested(key, value, word), "", word, key};
  } catch (const YAML::ParserException& e) {
    fail("command line '", word, "': the value is not valid YAML: ", e.msg);
  }
}

}  // namespace

std::shared_ptr<Source> open(const std::string& path, const std::vector<std::string>& overrides,
                             const OpenOptions& options, ConfigNotes& notes) {
  auto source = std::make_shared<Source>();
  source->options = options;
  source->notes = &notes;
  for (const auto& [key, value] : options.defaults.values)
    source->layers.push_back({nested(key, YAML::Node(value), key), options.defaults.source, "", "", true});
  add_file(*source, path, {});
  for (const std::string& word : overrides) source->layers.push_back(override_layer(word));
  for (Layer& layer : source->layers) rename_keys(layer, options, notes);
  return source;
}

std::shared_ptr<Source> parse(const std::string& yaml, const std::string& name, const OpenOptions& options,
                              ConfigNotes& notes) {
  auto source = std::make_shared<Source>();
  source->options = options;
  source->notes = &notes;
  source->layers.push_back({load_mapping(yaml, name), name, "", ""});
  rename_keys(source->layers[0], options, notes);
  return source;
}

// ---- Reading --------------------------------------------------------------------------------------------------------

Reader::Reader(std::shared_ptr<Source> source) : source_(std::move(source)) {}
Reader::~Reader() = default;

void Reader::read(const KeySpec& spec, bool& value) {
  const auto found = find(*source_, spec.key);
  if (!found) return;
  const std::string word = found->value.IsScalar() ? found->value.Scalar() : "";
  if (word != "true" && word != "false") wrong(*source_, spec.key, *found, found->value, expected(spec, value));
  value = word == "true";
}

void Reader::read(const KeySpec& spec, int64_t& value) { read_number(*source_, spec, value); }
void Reader::read(const KeySpec& spec, double& value) { read_number(*source_, spec, value); }
void Reader::read(const KeySpec& spec, std::vector<int64_t>& value) { read_list(*source_, spec, value); }
void Reader::read(const KeySpec& spec, std::vector<double>& value) { read_list(*source_, spec, value); }

void Reader::read(const KeySpec& spec, std::string& value) {
  const auto found = find(*source_, spec.key);
  if (!found) return;
  const YAML::Node& node = found->value;
  if (!node.IsScalar() ||
      (!spec.words.empty() && std::find(spec.words.begin(), spec.words.end(), node.Scalar()) == spec.words.end()))
    wrong(*source_, spec.key, *found, node, expected(spec, value));
  value = node.Scalar();
}

/// An override that sets the whole mapping, such as augment={}, hides the layers below it, except defaults.
std::shared_ptr<Source> Reader::enter(const char* key) {
  source_->known.push_back(key);
  auto child = std::make_shared<Source>(*source_);
  child->layers.clear();
  child->known.clear();
  child->prefix += std::string(key) + ".";
  for (const Layer& layer : source_->layers) {
    const YAML::Node value = static_cast<const YAML::Node&>(layer.node)[key];
    if (!value.IsDefined() || value.IsNull()) continue;
    if (!value.IsMap()) wrong(*source_, key, {&layer, value}, value, "a mapping");
    if (layer.assigned == source_->prefix + key)
      std::erase_if(child->layers, [](const Layer& below) { return !below.is_default; });
    child->layers.push_back(layer);
    child->layers.back().node.reset(value);  // operator= would change the parent, which shares the node
  }
  return child->layers.empty() ? nullptr : child;
}

namespace {

/// A known key that an unknown one was probably meant to be: a near word in its mapping, else the key in another
/// mapping whose last part is nearest ("optimizer.lr" for "lr"). "" if there is none.
std::string suggestion(const Source& s, const std::string& key) {
  if (const std::string near = nearest_word(key, s.known); !near.empty()) return s.prefix + near;
  std::vector<std::string> last_parts;
  for (const std::string& path : s.options.known_keys) last_parts.push_back(split_path(path).second);
  const auto at = std::find(last_parts.begin(), last_parts.end(), nearest_word(key, last_parts));
  return at == last_parts.end() ? "" : s.options.known_keys[size_t(at - last_parts.begin())];
}

}  // namespace

void Reader::finish() {
  for (const Layer& layer : source_->layers) {
    std::vector<std::string> seen;
    for (const auto& item : layer.node) {
      const std::string key = item.first.IsScalar() ? item.first.Scalar() : "?";
      const std::string where = layer.place(item.first.Mark());
      if (std::find(seen.begin(), seen.end(), key) != seen.end())
        fail(where, ": key '", source_->prefix, key, "' stands twice");
      seen.push_back(key);
      if (std::find(source_->known.begin(), source_->known.end(), key) != source_->known.end()) continue;
      const std::string near = suggestion(*source_, key);
      fail(where, ": unknown key '", source_->prefix, key, "'", near.empty() ? "" : ", did you mean '" + near + "'?");
    }
  }
}

// ---- Writing --------------------------------------------------------------------------------------------------------

std::string expected(const KeySpec&, const bool&) { return "true or false"; }
std::string expected(const KeySpec& spec, const int64_t&) { return "a whole number" + bounds(spec.range); }
std::string expected(const KeySpec& spec, const double&) { return "a number" + bounds(spec.range); }
std::string expected(const KeySpec& spec, const std::vector<int64_t>&) { return expected_list(spec, "whole numbers"); }
std::string expected(const KeySpec& spec, const std::vector<double>&) { return expected_list(spec, "numbers"); }
std::string expected(const KeySpec& spec, const std::string&) {
  std::string list;
  for (const std::string& w : spec.words) list += (list.empty() ? "" : " or ") + w;
  return list.empty() ? "a word" : list;
}

std::string format(bool value) { return value ? "true" : "false"; }
std::string format(int64_t value) { return std::to_string(value); }

std::string format(double value) {
  char buffer[32];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};  // the shortest that reads back as this
}

/// In double quotes, so that any text reads back unchanged.
std::string format(const std::string& value) {
  YAML::Emitter out;
  out << YAML::DoubleQuoted << value;
  return out.c_str();
}

namespace {

template <class T>
std::string format_list(const std::vector<T>& values) {
  std::string list;
  for (const T& v : values) list += (list.empty() ? "" : ", ") + format(v);
  return "[" + list + "]";
}

}  // namespace

std::string format(const std::vector<int64_t>& value) { return format_list(value); }
std::string format(const std::vector<double>& value) { return format_list(value); }

void Writer::add_line(const KeySpec& spec, const std::string& value, const std::string& expected) {
  std::string comment = spec.help.text;
  if (*spec.help.unit != '\0') comment += str_cat(" [", spec.help.unit, "]");
  if (!spec.words.empty()) comment += str_cat(" (", expected, ")");
  const auto open = open_.find(prefix_ + spec.key);
  if (open != open_.end()) comment += "; " + open->second;
  lines_.push_back({str_cat(std::string(size_t(2 * depth_), ' '), open != open_.end() ? "# " : "", spec.key, ":",
                            value.empty() ? "" : " ", value),
                    comment});
}

std::string Writer::yaml() const {
  constexpr size_t column = 32;  // where comments begin
  std::string out;
  for (const Line& line : lines_) {
    out += line.setting;
    if (comments_ && !line.comment.empty())
      out += std::string(line.setting.size() < column ? column - line.setting.size() : 2, ' ') + "# " + line.comment;
    out += "\n";
  }
  return out;
}

std::map<std::string, Value> select(const std::map<std::string, Value>& values, const std::vector<std::string>& paths) {
  std::map<std::string, Value> selected;
  for (const std::string& path : paths) {
    const size_t before = selected.size();
    for (const auto& [key, value] : values)
      if (key == path || key.starts_with(path + ".")) selected.emplace(key, value);
    GT_CHECK(selected.size() > before || selected.count(path) > 0, "there is no key '", path, "'");
  }
  return selected;
}

std::string first_difference(const std::string& there, const std::string& here) {
  std::istringstream a(there), b(here);
  std::vector<std::string> key;  // of the line, outermost mapping first
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

std::string nearest_word(const std::string& word, const std::vector<std::string>& words) {
  std::string best;
  size_t best_distance = 1 + std::max<size_t>(2, word.size() / 2);
  for (const std::string& w : words) {
    std::vector<size_t> row(w.size() + 1);  // Levenshtein distance, one row at a time
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
