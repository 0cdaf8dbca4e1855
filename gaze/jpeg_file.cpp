// The segments of a JPEG file (https://www.w3.org/Graphics/JPEG/itu-t81.pdf, annexes B and G).
#include <algorithm>

#include "core/check.h"
#include "gaze/picture_files.h"

namespace gt {

namespace {

constexpr uint8_t fill = 0xFF, baseline = 0xC0, progressive = 0xC2, lossless = 0xC3, huffman = 0xC4, jpg = 0xC8,
                  arithmetic = 0xCC, last_frame = 0xCF, first_restart = 0xD0, last_restart = 0xD7, start = 0xD8,
                  end_of_image = 0xD9, start_of_scan = 0xDA, quantisers = 0xDB, line_count = 0xDC,
                  restart_interval = 0xDD, app1 = 0xE1, app14 = 0xEE;
constexpr size_t max_scans = 200;

bool is_restart(uint8_t marker) { return marker >= first_restart && marker <= last_restart; }

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

class Parser {
 public:
  Parser(const std::string& path, std::string_view bytes, const ReadOptions& options, bool is_medical)
      : path_(path), bytes_(bytes), options_(options), is_medical_(is_medical) {}

  JpegFile parse() {
    while (!step()) {
    }
    check_whole();
    file_.picture = bytes_.substr(0, at_);
    return std::move(file_);
  }

 private:
  template <class... Parts>
  [[noreturn]] void damaged(const Parts&... parts) const {
    fail(path_, ": is damaged, ", parts...);
  }
  void expect(bool condition, const char* what) const {
    if (!condition) damaged(what);
  }
  [[noreturn]] void truncated() const { fail(path_, ": is truncated, the end of the image is missing"); }

  /// Reads the next marker and its segment. Whether it is the end of the image. Stray bytes between segments are
  /// skipped, as every decoder does.
  bool step() {
    while (at_ + 1 < bytes_.size() && (uint8_t(bytes_[at_]) != fill || uint8_t(bytes_[at_ + 1]) == fill ||
                                       bytes_[at_ + 1] == 0 || is_restart(uint8_t(bytes_[at_ + 1]))))
      ++at_;
    if (at_ + 1 >= bytes_.size()) truncated();
    const uint8_t marker = uint8_t(bytes_[at_ + 1]);
    at_ += 2;
    if (marker == end_of_image) return true;
    expect(marker != start, "it begins again before its end");
    if (at_ + 2 > bytes_.size()) truncated();
    const size_t length = size_t(big_endian(bytes_, at_, 2));  // counts itself
    expect(length >= 2, "a segment has no length");
    if (at_ + length > bytes_.size()) truncated();
    const std::string_view body = bytes_.substr(at_ + 2, length - 2);
    at_ += length;
    segment(marker, body);
    return false;
  }

  void segment(uint8_t marker, std::string_view body) {
    if (marker == huffman) return read_huffman(body);
    if (marker == quantisers) return read_quantisers(body);
    if (marker == start_of_scan) return read_scan(body);
    if (marker == line_count) fail(path_, ": gives its height after its pixels (DNL), which is not supported");
    if (marker == arithmetic || (marker >= baseline && marker <= last_frame && marker != jpg))
      return read_frame(marker, body);
    if (marker == restart_interval) {
      expect(body.size() == 2, "its restart interval is not 2 bytes");
      restart_interval_ = int64_t(big_endian(body, 0, 2));
    } else if (marker == app1 && body.starts_with(std::string_view("Exif\0\0", 6))) {
      if (file_.orientation == 1) file_.orientation = exif_orientation(path_, body.substr(6));
    } else if (marker == app14 && body.size() >= 12 && body.starts_with("Adobe")) {
      expect(uint8_t(body[11]) <= 2, "its Adobe marker has an unknown colour transform");
      adobe_ = true;
    }
  }

  void read_frame(uint8_t marker, std::string_view body) {
    if (marker >= 0xC9) fail(path_, ": is an arithmetic-coded JPEG, expected Huffman codes");
    file_.lossless = is_medical_ && marker == lossless;
    if (marker > progressive && !file_.lossless)
      fail(path_, ": is a lossless or hierarchical JPEG, expected baseline or progressive");
    expect(file_.components.empty(), "it has two frames");
    expect(body.size() >= 6, "its frame is too short");
    file_.bits = uint8_t(body[0]);
    const int min_bits = file_.lossless ? 2 : 8, max_bits = file_.lossless ? 16 : is_medical_ ? 12 : 8;
    if (file_.bits < min_bits || file_.bits > max_bits)
      fail(path_, ": has ", file_.bits, " bits per value, expected ", is_medical_ ? "8 to 16" : "8");
    file_.progressive = marker == progressive;
    file_.height = int64_t(big_endian(body, 1, 2)), file_.width = int64_t(big_endian(body, 3, 2));
    check_size(path_, file_.height, file_.width, options_);
    const size_t count = uint8_t(body[5]);
    expect(body.size() == 6 + 3 * count, "its frame has not 3 bytes for each component");
    if (count != 1 && (is_medical_ || (count != 3 && count != 4)))
      fail(path_, ": has ", count, " components, expected ", is_medical_ ? "1" : "1, 3 or 4");
    for (size_t i = 0; i < count; ++i) add_component(body.substr(6 + 3 * i, 3));
    count_blocks();
    progress_.assign(count, {});
    for (auto& bits : progress_) bits.fill(unsent);
  }

  void add_component(std::string_view entry) {
    const int sampling = uint8_t(entry[1]);
    const JpegComponent c{.id = uint8_t(entry[0]), .horizontal = sampling >> 4, .vertical = sampling & 15};
    expect(c.horizontal >= 1 && c.horizontal <= 4 && c.vertical >= 1 && c.vertical <= 4,
           "a component's sampling factor is not 1 to 4");
    for (const JpegComponent& other : file_.components) expect(other.id != c.id, "two components have one name");
    expect(uint8_t(entry[2]) < 4, "a component's quantiser is not 0 to 3");
    file_.components.push_back(c);
    quantiser_of_.push_back(uint8_t(entry[2]));
  }

  void count_blocks() {
    const int64_t side = file_.lossless ? 1 : 8;
    int horizontal = 1, vertical = 1;
    for (const JpegComponent& c : file_.components)
      horizontal = std::max(horizontal, c.horizontal), vertical = std::max(vertical, c.vertical);
    for (JpegComponent& c : file_.components) {
      c.blocks_across = divide_up(divide_up(file_.width * c.horizontal, horizontal), side);
      c.blocks_down = divide_up(divide_up(file_.height * c.vertical, vertical), side);
    }
  }

  void read_huffman(std::string_view body) {
    while (!body.empty()) {
      expect(body.size() >= 17, "a Huffman table is cut short");
      const size_t kind = uint8_t(body[0]) >> 4, number = uint8_t(body[0]) & 15;
      expect(kind <= 1 && number <= 3, "a Huffman table has an unknown number");
      HuffmanTable table;
      size_t codes = 0, next = 0;  // next: the first code of the length
      for (size_t bits = 1; bits <= 16; ++bits) {
        const size_t count = table.counts[bits - 1] = uint8_t(body[bits]);
        codes += count;
        next = 2 * next + count;
        expect(next < size_t(1) << bits, "a Huffman table has more codes than bits");
      }
      expect(codes <= 256, "a Huffman table has more than 256 codes");
      expect(codes > 0 && body.size() >= 17 + codes, "a Huffman table is cut short");
      table.symbols.assign(body.begin() + 17, body.begin() + 17 + int64_t(codes));
      if (kind == 0)
        for (const uint8_t s : table.symbols) expect(s <= 16, "a Huffman table of DC values has a symbol above 16");
      tables_[kind][number] = std::move(table);
      body.remove_prefix(17 + codes);
    }
  }

  void read_quantisers(std::string_view body) {
    while (!body.empty()) {
      const size_t wide = uint8_t(body[0]) >> 4, number = uint8_t(body[0]) & 15, size = 1 + 64 * (wide + 1);
      expect(wide <= 1 && number <= 3 && body.size() >= size, "a table of quantisers is cut short");
      quantised_[number] = true;
      body.remove_prefix(size);
    }
  }

  /// Reads a scan's header, and finds its data: they end at the next marker that is not a restart.
  void read_scan(std::string_view body) {
    expect(!file_.components.empty(), "a scan comes before the frame");
    expect(file_.scans.size() < max_scans, "it has more than 200 scans");
    JpegScan scan;
    const size_t count = body.empty() ? 0 : uint8_t(body[0]);
    expect(count >= 1 && count <= 4 && body.size() == 4 + 2 * count, "a scan's header has another size than it says");
    scan.first = uint8_t(body[1 + 2 * count]), scan.last = uint8_t(body[2 + 2 * count]);
    scan.high = uint8_t(body[3 + 2 * count]) >> 4, scan.low = uint8_t(body[3 + 2 * count]) & 15;
    // These fields are of progressive files. Some encoders of others leave them 0.
    if (!file_.progressive) scan.first = 0, scan.last = 63, scan.high = 0, scan.low = 0;
    for (size_t i = 0; i < count; ++i) add_part(scan, body.substr(1 + 2 * i, 2));
    scan.tables = tables_;
    scan.restart_interval = restart_interval_;
    check_progress(scan);
    const size_t begin = at_;
    while (at_ + 1 < bytes_.size() &&
           (uint8_t(bytes_[at_]) != fill || bytes_[at_ + 1] == 0 || is_restart(uint8_t(bytes_[at_ + 1]))))
      ++at_;
    if (at_ + 1 >= bytes_.size()) truncated();
    scan.data = bytes_.substr(begin, at_ - begin);
    file_.scans.push_back(std::move(scan));
  }

  void add_part(JpegScan& scan, std::string_view entry) {
    const auto component = std::find_if(file_.components.begin(), file_.components.end(),
                                        [&](const JpegComponent& c) { return c.id == uint8_t(entry[0]); });
    expect(component != file_.components.end(), "a scan names a component that the frame lacks");
    const JpegScan::Part part{size_t(component - file_.components.begin()), size_t(uint8_t(entry[1]) >> 4),
                              size_t(uint8_t(entry[1]) & 15)};
    for (const JpegScan::Part& other : scan.parts)
      expect(other.component != part.component, "a scan names a component twice");
    const bool reads_dc = scan.first == 0 && scan.high == 0, reads_ac = scan.last > 0 && !file_.lossless;
    expect(part.dc_table < 4 && part.ac_table < 4, "a scan's Huffman table is not 0 to 3");
    expect(!reads_dc || !tables_[0][part.dc_table].symbols.empty(), "a scan has no Huffman table of DC values");
    expect(!reads_ac || !tables_[1][part.ac_table].symbols.empty(), "a scan has no Huffman table of AC values");
    expect(file_.lossless || quantised_[quantiser_of_[part.component]], "a component has no quantisers");
    scan.parts.push_back(part);
  }

  /// Throws Error for a scan that does not continue the earlier ones.
  void check_progress(const JpegScan& scan) {
    expect(scan.last < 64 && scan.first <= scan.last, "a scan's coefficients are not from 0 to 63");
    if (file_.progressive) {
      expect(scan.first > 0 || scan.last == 0, "a progressive scan mixes DC and AC values");
      expect(scan.first == 0 || scan.parts.size() == 1, "a progressive scan of AC values has several components");
      expect(scan.low <= 13 && (scan.high == 0 || scan.high == scan.low + 1), "a progressive scan skips bits");
    }
    for (const JpegScan::Part& part : scan.parts) {
      auto& bits = progress_[part.component];
      expect(scan.first == 0 || bits[0] != unsent, "a progressive scan of AC values comes before the DC values");
      for (int k = scan.first; k <= scan.last; ++k) {
        expect(bits[size_t(k)] == (scan.high == 0 ? unsent : scan.high), "two scans hold the same coefficients");
        bits[size_t(k)] = scan.low;
      }
    }
  }

  /// Throws Error if something is missing at the end.
  void check_whole() const {
    expect(!file_.components.empty() && !file_.scans.empty(), "it has no frame or no scan");
    if (file_.components.size() == 4 && !adobe_)
      fail(path_, ": is CMYK without an Adobe marker, which would tell whether its colours are inverted");
    for (const auto& bits : progress_)
      for (const int low : bits) expect(low == 0, "it is cut short, its last scans are missing");
    uint64_t blocks = 0, bytes = 0;
    for (const JpegComponent& c : file_.components) blocks += uint64_t(c.blocks_across * c.blocks_down);
    for (const JpegScan& scan : file_.scans) bytes += scan.data.size();
    if (blocks / 8 > bytes)  // a block takes at least 1 bit
      damaged("it is cut short: ", bytes, " bytes cannot hold ", file_.height, "x", file_.width, " pixels");
  }

  static constexpr int unsent = 99;

  const std::string& path_;
  std::string_view bytes_;
  const ReadOptions& options_;
  const bool is_medical_;
  size_t at_ = 2;
  JpegFile file_;
  std::array<std::array<HuffmanTable, 4>, 2> tables_;
  std::array<bool, 4> quantised_ = {};
  std::vector<size_t> quantiser_of_;           // of each component
  std::vector<std::array<int, 64>> progress_;  // lowest bit sent of each component's coefficients
  int64_t restart_interval_ = 0;
  bool adobe_ = false;
};

}  // namespace

JpegFile read_jpeg_file(const std::string& path, std::string_view bytes, const ReadOptions& options, bool is_medical) {
  return Parser(path, bytes, options, is_medical).parse();
}

}  // namespace gt
