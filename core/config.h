// Configuration: YAML into plain structs, checked. A config struct lists its keys once, in
//
//   template <class V> void visit(V& v) {
//     v("lr", lr, Range{0, 1}, Help{"learning rate at the first iteration"});
//     v("size", size, Range{16, 4096}, Help{"side of the square that images are resized to", "pixels"});
//     v("recipe", recipe, OneOf{"gradtrack", "full"}, Help{"how the network is trained"});
//     v("data", data, Help{"the data set"});  // a struct of this kind
//   }
//
// and that list serves reading, command-line overrides, writing, and help. A field keeps its default where no file sets
// it. Every error names the file and line or the word of the command line, the key, what was expected and what came. A
// misspelt key is answered with the nearest known one.
//
// A file may name another one, relative to its folder, under the top-level key `base`. The keys of that file are taken
// first. Mappings of both files are joined key by key; a list replaces a list.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace gt {

/// Bounds of a number, or of each number of a list. Both ends are included.
struct Range {
  double lo = -std::numeric_limits<double>::infinity();
  double hi = std::numeric_limits<double>::infinity();
};

/// The words that a string may be.
struct OneOf {
  OneOf(std::initializer_list<std::string> list) : words(list) {}
  explicit OneOf(std::vector<std::string> list) : words(std::move(list)) {}
  std::vector<std::string> words;
};

/// The number of items of a list: `count`, or from `count` to `max` where `max` is given.
struct Length {
  int64_t count;
  Range each = {};
  int64_t max = 0;
};

/// What a key means, in one line, and the unit of its value.
struct Help {
  const char* text = "";
  const char* unit = "";
};

/// A key that had another name in an earlier version. Paths are dotted, such as "maps.follow". `values` maps words of
/// the old key to words of the new one, where these changed as well.
struct RenamedKey {
  std::string from, to;
  std::map<std::string, std::string> values = {};
};

/// Defaults that stand in place of the struct's, below all files.
struct KeyDefaults {
  std::string source;                                       ///< names them in messages: "default of recipe full"
  std::vector<std::pair<std::string, std::string>> values;  ///< dotted key, and the value as YAML's scalar
};

/// What is known of a configuration after it was read.
struct ConfigNotes {
  std::vector<std::string> warnings;  ///< one line each, on keys under an old name
  /// Dotted key -> "file:line", "command line 'word'" or KeyDefaults::source. Keys with the struct's default are left
  /// out.
  std::map<std::string, std::string> origins;

  /// Where the key was set, or "default".
  std::string origin(const std::string& key) const {
    const auto at = origins.find(key);
    return at == origins.end() ? "default" : at->second;
  }
};

namespace config {

/// What visit() says of a key, other than its value.
struct KeySpec {
  const char* key;
  Range range = {};
  std::vector<std::string> words = {};
  Length length = {0};
  Help help = {};

  template <class... Spec>
  explicit KeySpec(const char* k, const Spec&... spec) : key(k) {
    (add(spec), ...);
  }

 private:
  void add(const Range& r) { range = r; }
  void add(const OneOf& o) { words = o.words; }
  void add(const Length& l) { length = l; }
  void add(const Help& h) { help = h; }
};

/// "a whole number in [1, 64]", "gradtrack or full", "a list of 2 numbers": what a key of this type may hold.
std::string expected(const KeySpec& spec, const bool&);
std::string expected(const KeySpec& spec, const int64_t&);
std::string expected(const KeySpec& spec, const double&);
std::string expected(const KeySpec& spec, const std::string&);
std::string expected(const KeySpec& spec, const std::vector<int64_t>&);
std::string expected(const KeySpec& spec, const std::vector<double>&);

/// The value as YAML.
std::string format(bool value);
std::string format(int64_t value);
std::string format(double value);
std::string format(const std::string& value);
std::string format(const std::vector<int64_t>& value);
std::string format(const std::vector<double>& value);

template <class C, class V>
concept Visitable = requires(C c, V& v) {
  c.visit(v);
};

/// The layers of YAML that a configuration is read from, at one mapping. Only config.cpp sees yaml-cpp.
class Source;

/// Visitor that reads one mapping into a struct.
class Reader {
 public:
  explicit Reader(std::shared_ptr<Source> source);
  ~Reader();

  template <class T, class... Spec>
  void operator()(const char* key, T& value, const Spec&... spec) {
    if constexpr (Visitable<T, Reader>) {
      if (std::shared_ptr<Source> child = enter(key)) {
        Reader reader(child);
        value.visit(reader);
        reader.finish();
      }
    } else {
      read(KeySpec(key, spec...), value);
    }
  }

  /// Throws Error if the mapping has a key that was not asked for, or one twice.
  void finish();

 private:
  void read(const KeySpec& spec, bool& value);
  void read(const KeySpec& spec, int64_t& value);
  void read(const KeySpec& spec, double& value);
  void read(const KeySpec& spec, std::string& value);
  void read(const KeySpec& spec, std::vector<int64_t>& value);
  void read(const KeySpec& spec, std::vector<double>& value);
  std::shared_ptr<Source> enter(const char* key);
  std::shared_ptr<Source> source_;
};

/// The value as YAML: one of a few known words needs no quotes.
template <class T>
std::string setting(const KeySpec& spec, const T& value) {
  if constexpr (std::is_same_v<T, std::string>)
    if (!spec.words.empty()) return value;
  return format(value);
}

/// Visitor that writes a struct as YAML: every key with its value and, if wanted, its help as a comment.
class Writer {
 public:
  /// The keys `open` (dotted) are written as comments, each with a remark on its value, so that the file leaves them
  /// open.
  explicit Writer(bool comments = false, std::map<std::string, std::string> open = {})
      : comments_(comments), open_(std::move(open)) {}

  template <class T, class... Spec>
  void operator()(const char* key, T& value, const Spec&... spec) {
    const KeySpec of_key(key, spec...);
    if constexpr (Visitable<T, Writer>) {
      if (comments_ && depth_ == 0) lines_.push_back({});
      add_line(of_key, "", "");
      ++depth_;
      const std::string outer = std::exchange(prefix_, prefix_ + key + ".");
      value.visit(*this);
      prefix_ = outer;
      --depth_;
    } else {
      add_line(of_key, setting(of_key, value), expected(of_key, value));
    }
  }
  std::string yaml() const;

 private:
  struct Line {
    std::string setting, comment;
  };
  void add_line(const KeySpec& spec, const std::string& value, const std::string& expected);
  std::vector<Line> lines_;
  bool comments_;
  std::map<std::string, std::string> open_;
  std::string prefix_;
  int depth_ = 0;
};

/// A key as help shows it.
struct KeyInfo {
  std::string path;        ///< dotted
  std::string expected;    ///< what it may hold; "" for a mapping
  std::string value;       ///< YAML; "" for a mapping
  std::string text, unit;  ///< see Help
};

/// Visitor that lists the keys of a struct, mappings before their keys.
class Lister {
 public:
  template <class T, class... Spec>
  void operator()(const char* key, T& value, const Spec&... spec) {
    const KeySpec s(key, spec...);
    const std::string path = prefix_ + key;
    if constexpr (Visitable<T, Lister>) {
      keys.push_back({path, "", "", s.help.text, s.help.unit});
      const std::string outer = prefix_;
      prefix_ = path + ".";
      value.visit(*this);
      prefix_ = outer;
    } else {
      keys.push_back({path, expected(s, value), setting(s, value), s.help.text, s.help.unit});
    }
  }
  std::vector<KeyInfo> keys;

 private:
  std::string prefix_;
};

using Value = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>, std::vector<double>>;

/// Visitor that collects the values of a struct by their dotted keys or, given such values, sets those fields.
class Values {
 public:
  explicit Values(std::map<std::string, Value> to_set = {}) : by_key(std::move(to_set)), sets_(!by_key.empty()) {}

  template <class T, class... Spec>
  void operator()(const char* key, T& value, const Spec&...) {
    const std::string path = prefix_ + key;
    if constexpr (Visitable<T, Values>) {
      const std::string outer = std::exchange(prefix_, path + ".");
      value.visit(*this);
      prefix_ = outer;
    } else if (!sets_) {
      by_key.emplace(path, value);
    } else if (const auto at = by_key.find(path); at != by_key.end()) {
      value = std::get<T>(at->second);
    }
  }
  std::map<std::string, Value> by_key;

 private:
  bool sets_;
  std::string prefix_;
};

/// Of `values`, those whose keys are in `paths` or below one of them. Throws Error for a path without a key.
std::map<std::string, Value> select(const std::map<std::string, Value>& values, const std::vector<std::string>& paths);

/// How a configuration is opened.
struct OpenOptions {
  std::vector<RenamedKey> renamed = {};
  std::vector<std::string> known_keys = {};  ///< dotted, for suggestions
  KeyDefaults defaults = {};
};

/// The layers of a file, of its bases, and of overrides `a.b=value` (value in YAML). Throws Error.
std::shared_ptr<Source> open(const std::string& path, const std::vector<std::string>& overrides,
                             const OpenOptions& options, ConfigNotes& notes);
/// The layer of YAML text; `name` is its file in messages. A key `base` is refused.
std::shared_ptr<Source> parse(const std::string& yaml, const std::string& name, const OpenOptions& options,
                              ConfigNotes& notes);

/// The first line that differs between two texts that Writer made of structs of one type.
std::string first_difference(const std::string& there, const std::string& here);

template <class C>
OpenOptions options_of();  // below

template <class C>
C read(const std::shared_ptr<Source>& source) {
  C c;
  Reader reader(source);
  c.visit(reader);
  reader.finish();
  return c;
}

}  // namespace config

/// Every key of a config struct, with its value in `c` and its help, in the order of visit().
template <class C>
std::vector<config::KeyInfo> list_keys(C c = {}) {
  config::Lister lister;
  c.visit(lister);
  return lister.keys;
}

template <class C>
config::OpenOptions config::options_of() {
  OpenOptions options;
  if constexpr (requires { C::renamed_keys(); }) options.renamed = C::renamed_keys();
  for (const KeyInfo& key : list_keys<C>()) options.known_keys.push_back(key.path);
  return options;
}

/// Reads a config struct from a YAML file and `key=value` overrides. A struct may list keys under older names in a
/// static function renamed_keys(). `notes`, if given, gets the warnings and the origin of each key. Throws Error.
template <class C>
C read_config(const std::string& path, const std::vector<std::string>& overrides = {}, ConfigNotes* notes = nullptr,
              const KeyDefaults& defaults = {}) {
  ConfigNotes ignored;
  config::OpenOptions options = config::options_of<C>();
  options.defaults = defaults;
  return config::read<C>(config::open(path, overrides, options, notes ? *notes : ignored));
}

/// read_config() from YAML text. `name` is the file in messages.
template <class C>
C parse_config(const std::string& yaml, const std::string& name, ConfigNotes* notes = nullptr) {
  ConfigNotes ignored;
  return config::read<C>(config::parse(yaml, name, config::options_of<C>(), notes ? *notes : ignored));
}

/// The struct as YAML: every key, resolved; with `comments`, what each key means. read_config() of it returns the
/// struct. See config::Writer for a file that leaves keys open.
template <class C>
std::string write_config(C c, bool comments = false) {
  config::Writer writer(comments);
  c.visit(writer);
  return writer.yaml();
}

/// The first key whose value differs between two configurations, as "optimizer.lr: 0.01 there, 0.02 here"; "" if none.
template <class C>
std::string first_difference(const C& there, const C& here) {
  return config::first_difference(write_config(there), write_config(here));
}

/// Sets the keys in `paths` (dotted; a mapping stands for all of its keys) to their defaults. Throws Error for a path
/// that does not exist.
template <class C>
void reset_keys(C& c, const std::vector<std::string>& paths) {
  if (paths.empty()) return;
  C defaults;
  config::Values values;
  defaults.visit(values);
  config::Values setter(config::select(values.by_key, paths));
  c.visit(setter);
}

/// The word of `words` nearest to `word` by edit distance, or "" if none is near.
std::string nearest_word(const std::string& word, const std::vector<std::string>& words);

}  // namespace gt
