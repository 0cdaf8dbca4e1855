// Configuration: YAML into plain structs, checked. A config struct lists its keys once, in
//
//   template <class V> void visit(V& v) {
//     v("lr", lr, Range{0, 1});                       // number in [0, 1]
//     v("recipe", recipe, OneOf{"gradtrack", "full"});
//     v("data", data);                                // a struct of the same kind
//   }
//
// and that list serves reading, command-line overrides and writing. Fields keep the value they are born with where the
// file is silent. Every error says file, line and key, what was expected and what came; a misspelt key gets the nearest
// one suggested.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace gt {

/// Bounds of a number, or of each number of a list; both ends included.
struct Range {
  double lo = -std::numeric_limits<double>::infinity();
  double hi = std::numeric_limits<double>::infinity();
};

/// The words that a string may be.
struct OneOf {
  OneOf(std::initializer_list<std::string> list) : words(list) {}
  std::vector<std::string> words;
};

/// Number of items that a list must have: count, or where `most` is given from count to most.
struct Length {
  int64_t count;
  Range each = {};
  int64_t most = 0;
};

namespace config {

/// A place in a YAML document, hidden so that only config.cpp sees yaml-cpp.
class Source;

/// Visitor that reads one mapping into a struct.
class Reader {
 public:
  Reader(std::shared_ptr<Source> source);
  ~Reader();
  void operator()(const char* key, bool& value);
  void operator()(const char* key, int64_t& value, Range range = {});
  void operator()(const char* key, double& value, Range range = {});
  void operator()(const char* key, std::string& value);
  void operator()(const char* key, std::string& value, const OneOf& words);
  void operator()(const char* key, std::vector<int64_t>& value, const Length& length);
  void operator()(const char* key, std::vector<double>& value, const Length& length);
  template <class C>
  requires requires(C c, Reader& r) { c.visit(r); }
  void operator()(const char* key, C& value) {
    if (std::shared_ptr<Source> child = enter(key)) {
      Reader reader(child);
      value.visit(reader);
      reader.finish();
    }
  }
  /// Throws Error if the mapping has a key that was not asked for.
  void finish();

 private:
  std::shared_ptr<Source> enter(const char* key);
  std::shared_ptr<Source> source_;
};

/// Visitor that writes a struct as YAML, every key with its value.
class Writer {
 public:
  void operator()(const char* key, const bool& value) { line(key, value ? "true" : "false"); }
  void operator()(const char* key, const int64_t& value, Range = {}) { line(key, std::to_string(value)); }
  void operator()(const char* key, const double& value, Range = {}) { line(key, format(value)); }
  void operator()(const char* key, const std::string& value) { line(key, quote(value)); }
  void operator()(const char* key, const std::string& value, const OneOf&) { line(key, quote(value)); }
  void operator()(const char* key, const std::vector<int64_t>& value, const Length&);
  void operator()(const char* key, const std::vector<double>& value, const Length&);
  template <class C>
  requires requires(C c, Writer& w) { c.visit(w); }
  void operator()(const char* key, C& value) {
    line(key, "");
    ++depth_;
    value.visit(*this);
    --depth_;
  }
  const std::string& text() const { return text_; }

 private:
  void line(const char* key, const std::string& value);
  static std::string format(double value);
  static std::string quote(const std::string& value);
  std::string text_;
  int depth_ = 0;
};

/// The YAML file, with each override `a.b=value` (value in YAML) put in. Throws Error.
std::shared_ptr<Source> open(const std::string& path, const std::vector<std::string>& overrides);
std::shared_ptr<Source> parse(const std::string& yaml, const std::string& name);

/// The same of what Writer wrote of two structs of one type: line by line the same keys.
std::string first_difference(const std::string& there, const std::string& here);

}  // namespace config

/// Reads a config struct from a YAML file and `key=value` overrides. Throws Error.
template <class C>
C read_config(const std::string& path, const std::vector<std::string>& overrides = {}) {
  C c;
  config::Reader reader(config::open(path, overrides));
  c.visit(reader);
  reader.finish();
  return c;
}

/// The same from YAML text; `name` stands for the file in messages.
template <class C>
C parse_config(const std::string& yaml, const std::string& name) {
  C c;
  config::Reader reader(config::parse(yaml, name));
  c.visit(reader);
  reader.finish();
  return c;
}

/// The struct as YAML: every key, resolved. read_config() of it gives the struct back.
template <class C>
std::string write_config(const C& c) {
  config::Writer writer;
  const_cast<C&>(c).visit(writer);  // visit() is one function for reading and writing; Writer only looks
  return writer.text();
}

/// The first key whose value differs between two configurations, as "optimizer.lr: 0.01 there, 0.02 here"; "" if none.
template <class C>
std::string first_difference(const C& there, const C& here) {
  return config::first_difference(write_config(there), write_config(here));
}

/// The word of `words` nearest to `word` by edit distance, or "" if none is near.
std::string nearest(const std::string& word, const std::vector<std::string>& words);

}  // namespace gt
