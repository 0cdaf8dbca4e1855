// CUDA's vector types for the emulation, with CUDA's alignment, so that UndefinedBehaviorSanitizer finds misaligned
// accesses.
#pragma once

namespace gt::emulation {

template <class T>
struct alignas(2 * sizeof(T)) Vector2 {
  T x, y;
};

template <class T>
struct Vector3 {
  T x, y, z;
};

template <class T>
struct alignas(4 * sizeof(T)) Vector4 {
  T x, y, z, w;
};

}  // namespace gt::emulation

using char2 = gt::emulation::Vector2<signed char>;
using char4 = gt::emulation::Vector4<signed char>;
using uchar2 = gt::emulation::Vector2<unsigned char>;
using uchar3 = gt::emulation::Vector3<unsigned char>;
using uchar4 = gt::emulation::Vector4<unsigned char>;
using short2 = gt::emulation::Vector2<short>;
using short4 = gt::emulation::Vector4<short>;
using ushort2 = gt::emulation::Vector2<unsigned short>;
using ushort4 = gt::emulation::Vector4<unsigned short>;
using int2 = gt::emulation::Vector2<int>;
using int3 = gt::emulation::Vector3<int>;
using int4 = gt::emulation::Vector4<int>;
using uint2 = gt::emulation::Vector2<unsigned>;
using uint3 = gt::emulation::Vector3<unsigned>;
using uint4 = gt::emulation::Vector4<unsigned>;
using longlong2 = gt::emulation::Vector2<long long>;
using ulonglong2 = gt::emulation::Vector2<unsigned long long>;
using float2 = gt::emulation::Vector2<float>;
using float3 = gt::emulation::Vector3<float>;
using float4 = gt::emulation::Vector4<float>;
using double2 = gt::emulation::Vector2<double>;

constexpr uchar4 make_uchar4(unsigned char x, unsigned char y, unsigned char z, unsigned char w) {
  return {x, y, z, w};
}
constexpr short2 make_short2(short x, short y) { return {x, y}; }
constexpr short4 make_short4(short x, short y, short z, short w) { return {x, y, z, w}; }
constexpr ushort2 make_ushort2(unsigned short x, unsigned short y) { return {x, y}; }
constexpr ushort4 make_ushort4(unsigned short x, unsigned short y, unsigned short z, unsigned short w) {
  return {x, y, z, w};
}
constexpr int2 make_int2(int x, int y) { return {x, y}; }
constexpr int3 make_int3(int x, int y, int z) { return {x, y, z}; }
constexpr int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
constexpr uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
constexpr uint3 make_uint3(unsigned x, unsigned y, unsigned z) { return {x, y, z}; }
constexpr uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
constexpr float2 make_float2(float x, float y) { return {x, y}; }
constexpr float3 make_float3(float x, float y, float z) { return {x, y, z}; }
constexpr float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
constexpr double2 make_double2(double x, double y) { return {x, y}; }

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
  constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
};
