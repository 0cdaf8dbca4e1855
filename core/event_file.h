// TensorBoard's event files: records with checksums (TFRecord), each of which holds a message Event of protocol
// buffers. Sources: tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto,
// tensorflow/core/lib/io/record_writer.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gt {

/// The checksum CRC-32C (Castagnoli, reflected polynomial 0x82F63B78).
uint32_t crc32c(std::string_view bytes);

/// Names and values of one step.
using EventScalars = std::vector<std::pair<std::string, double>>;

/// A picture of one step.
struct EventImage {
  std::string tag;
  int64_t height = 0, width = 0, channels = 0;  // 1 grey, 3 RGB, 4 RGB and alpha
  std::string png;                              // the bytes of a PNG file
};

/// The records of an event file. `wall_time` is in seconds since 1970. A file begins with event_header(). Values are
/// stored in f32, as TensorBoard has it.
std::string event_header(double wall_time);
/// A run starts at `step`: readers forget what the files before have from there on.
std::string event_restart(double wall_time, int64_t step);
std::string event_scalars(double wall_time, int64_t step, const EventScalars& scalars);
std::string event_image(double wall_time, int64_t step, const EventImage& image);

}  // namespace gt
