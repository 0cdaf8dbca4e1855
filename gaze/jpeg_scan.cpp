// The entropy-coded data of JPEG files (https://www.w3.org/Graphics/JPEG/itu-t81.pdf, annexes F and G).
#include <algorithm>

#include "core/check.h"
#include "gaze/picture_files.h"

namespace gt {

namespace {

/// The bits of a scan, up to its next marker.
class Bits {
 public:
  explicit Bits(std::string_view data) : data_(data) {}

  /// The next 16 bits without taking them; bits after the end are 0.
  uint32_t peek() {
    while (count_ < 16 && !at_marker()) {
      buffer_ = buffer_ << 8 | uint8_t(data_[at_]);
      at_ += uint8_t(data_[at_]) == 0xFF ? 2 : 1;  // FF is followed by a stuffed 0
      count_ += 8;
    }
    return uint32_t(count_ >= 16 ? buffer_ >> (count_ - 16) : buffer_ << (16 - count_)) & 0xFFFF;
  }
  /// Takes bits. Whether there are so many.
  bool take(int bits) {
    if (count_ < bits) peek();
    count_ -= bits;
    return count_ >= 0;
  }
  /// Skips to the restart marker of this number. Whether it comes next.
  bool restart(int number) {
    while (at_ < data_.size() && !at_marker()) at_ += uint8_t(data_[at_]) == 0xFF ? 2 : 1;
    if (at_ + 1 >= data_.size() || uint8_t(data_[at_ + 1]) != 0xD0 + number) return false;
    at_ += 2, count_ = 0;
    return true;
  }

 private:
  bool at_marker() const {
    return at_ >= data_.size() || (uint8_t(data_[at_]) == 0xFF && (at_ + 1 >= data_.size() || data_[at_ + 1] != 0));
  }

  std::string_view data_;
  size_t at_ = 0;
  uint64_t buffer_ = 0;
  int count_ = 0;  // bits in the buffer; negative after its end
};

/// Finds codes of a Huffman table.
class Decoder {
 public:
  explicit Decoder(const HuffmanTable& table) : symbols_(table.symbols) {
    uint32_t code = 0, index = 0;
    for (size_t bits = 1; bits <= 16; ++bits) {
      first_[bits] = code, offset_[bits] = index;
      code += table.counts[bits - 1], index += table.counts[bits - 1];
      end_[bits] = code << (16 - bits);
      code <<= 1;
    }
    for (uint32_t ahead = 0; ahead < short_codes_.size(); ++ahead)
      short_codes_[ahead] = find(ahead << (16 - short_bits));
  }
  /// The next symbol, or -1 if the bits end or hold no code.
  int next(Bits& bits) const {
    const uint32_t ahead = bits.peek();
    Code code = short_codes_[ahead >> (16 - short_bits)];
    if (code.length == 0 || code.length > short_bits) code = find(ahead);
    return code.length > 0 && bits.take(code.length) ? code.symbol : -1;
  }

 private:
  static constexpr int short_bits = 9;
  struct Code {
    uint8_t length = 0, symbol = 0;  // length 0: none
  };

  /// The code with which 16 bits begin.
  Code find(uint32_t ahead) const {
    for (int length = 1; length <= 16; ++length)
      if (ahead < end_[size_t(length)]) {
        const size_t index = offset_[size_t(length)] + (ahead >> (16 - length)) - first_[size_t(length)];
        return {uint8_t(length), symbols_[index]};
      }
    return {};
  }

  const std::vector<uint8_t>& symbols_;
  std::array<uint32_t, 17> first_ = {}, offset_ = {}, end_ = {};
  std::array<Code, 1 << short_bits> short_codes_ = {};  // by the next bits; longer codes are found by find()
};

/// Goes through a scan's codes without computing values. `nonzero` has a bit for each coefficient of each block.
class Walker {
 public:
  Walker(const JpegScan& scan, const JpegFile& file) : scan_(scan), file_(file), bits_(scan.data) {
    for (const JpegScan::Part& part : scan.parts) {
      dc_.emplace_back(scan.tables[0][part.dc_table]);
      ac_.emplace_back(scan.tables[1][part.ac_table]);
    }
  }

  /// Whether a block's codes are there and allowed.
  bool block(size_t part, uint64_t& nonzero) {
    if (file_.lossless) return dc(part);
    if (!file_.progressive) return dc(part) && ac(part);
    if (scan_.first == 0) return scan_.high == 0 ? dc(part) : bits_.take(1);
    return scan_.high == 0 ? ac_first(nonzero) : ac_refine(nonzero);
  }

  /// Ends a restart interval. Whether the next marker is the right one.
  bool restart() {
    run_ = 0;
    return bits_.restart(restarts_++ % 8);
  }

 private:
  bool dc(size_t part) {
    const int size = dc_[part].next(bits_);
    if (size == 16) return file_.lossless;  // without further bits
    return size >= 0 && bits_.take(size);
  }
  bool ac(size_t part) {
    for (int k = 1; k < 64; ++k) {
      const int code = ac_[part].next(bits_), zeros = code >> 4, size = code & 15;
      if (code < 0 || !bits_.take(size)) return false;
      if (size == 0 && zeros < 15) return true;  // the rest is 0
      k += zeros;
      if (k > 63) return false;
    }
    return true;
  }
  /// Takes the length of a run of blocks without further coefficients.
  bool start_run(int exponent) {
    const uint32_t more = exponent == 0 ? 0 : bits_.peek() >> (16 - exponent);
    run_ = (int64_t(1) << exponent) + more;
    return bits_.take(exponent);
  }
  bool ac_first(uint64_t& nonzero) {
    if (run_ > 0) return --run_, true;
    for (int k = scan_.first; k <= scan_.last; ++k) {
      const int code = ac_[0].next(bits_), zeros = code >> 4, size = code & 15;
      if (code < 0) return false;
      if (size == 0 && zeros < 15) {
        if (!start_run(zeros)) return false;
        return --run_, true;
      }
      k += zeros;
      if (k > scan_.last || !bits_.take(size)) return false;
      if (size > 0) nonzero |= uint64_t(1) << k;
    }
    return true;
  }
  bool ac_refine(uint64_t& nonzero) {
    int k = scan_.first;
    while (run_ == 0 && k <= scan_.last) {
      const int code = ac_[0].next(bits_), size = code & 15;
      int zeros = code >> 4;
      if (code < 0 || size > 1) return false;
      if (size == 0 && zeros < 15) {
        if (!start_run(zeros)) return false;
        break;
      }
      if (!bits_.take(size)) return false;
      for (; k <= scan_.last; ++k) {  // a bit for each coefficient that is not 0, up to the place of the new one
        if (nonzero >> k & 1) {
          if (!bits_.take(1)) return false;
        } else if (zeros-- == 0) {
          break;
        }
      }
      if (k > scan_.last) return false;
      if (size > 0) nonzero |= uint64_t(1) << k;
      ++k;
    }
    if (run_ == 0) return true;
    --run_;
    for (; k <= scan_.last; ++k)
      if ((nonzero >> k & 1) && !bits_.take(1)) return false;
    return true;
  }

  const JpegScan& scan_;
  const JpegFile& file_;
  Bits bits_;
  std::vector<Decoder> dc_, ac_;
  int64_t run_ = 0;  // blocks left of the run
  int restarts_ = 0;
};

/// The blocks of a component, padded to whole MCUs.
struct Grid {
  int64_t across, down;
  std::vector<uint64_t> nonzero;
};

/// Whether the codes of all blocks of a scan are there.
bool whole(const JpegFile& file, const JpegScan& scan, int64_t mcus_across, int64_t mcus_down,
           std::vector<Grid>& grids) {
  Walker walker(scan, file);
  const bool alone = scan.parts.size() == 1;
  const JpegComponent& first = file.components[scan.parts[0].component];
  const int64_t across = alone ? first.blocks_across : mcus_across, down = alone ? first.blocks_down : mcus_down;
  for (int64_t mcu = 0; mcu < across * down; ++mcu) {
    if (mcu > 0 && scan.restart_interval > 0 && mcu % scan.restart_interval == 0 && !walker.restart()) return false;
    for (size_t part = 0; part < scan.parts.size(); ++part) {
      const JpegComponent& c = file.components[scan.parts[part].component];
      Grid& grid = grids[scan.parts[part].component];
      const int64_t wide = alone ? 1 : c.horizontal, high = alone ? 1 : c.vertical;
      for (int64_t y = mcu / across * high; y < (mcu / across + 1) * high; ++y)
        for (int64_t x = mcu % across * wide; x < (mcu % across + 1) * wide; ++x)
          if (uint64_t unused = 0;
              !walker.block(part, file.progressive ? grid.nonzero[size_t(y * grid.across + x)] : unused))
            return false;
    }
  }
  return true;
}

}  // namespace

void check_jpeg_scans(const std::string& path, const JpegFile& file) {
  int horizontal = 1, vertical = 1;
  for (const JpegComponent& c : file.components)
    horizontal = std::max(horizontal, c.horizontal), vertical = std::max(vertical, c.vertical);
  const int64_t side = file.lossless ? 1 : 8, mcu_width = side * horizontal, mcu_height = side * vertical;
  const int64_t mcus_across = (file.width + mcu_width - 1) / mcu_width,
                mcus_down = (file.height + mcu_height - 1) / mcu_height;
  std::vector<Grid> grids;
  for (const JpegComponent& c : file.components) {
    Grid grid{mcus_across * c.horizontal, mcus_down * c.vertical, {}};
    if (file.progressive) grid.nonzero.resize(size_t(grid.across * grid.down));
    grids.push_back(std::move(grid));
  }
  for (size_t i = 0; i < file.scans.size(); ++i)
    if (!whole(file, file.scans[i], mcus_across, mcus_down, grids))
      fail(path, ": is damaged, the data of scan ", i + 1, " are cut short or hold an unknown code");
}

}  // namespace gt
