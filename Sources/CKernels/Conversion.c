#include "Vector.h"

TESSERA_KERNEL void tessera_from_half(const void *from, float *out, long count) {
    const unsigned char *bytes = from;
    for (long i = 0; i < count; i++) {
        unsigned short half;
        __builtin_memcpy(&half, bytes + 2 * i, sizeof half);
        // After the shift the exponent is 112 too small; the multiplication corrects it and also turns
        // subnormal halves into normal floats.
        float size = tessera_bits_to_float((half & 0x7FFFu) << 13) * 0x1p112f;
        unsigned special = (half & 0x7C00u) == 0x7C00u ? 0x7F800000u : 0;
        unsigned sign = (half & 0x8000u) << 16;
        out[i] = tessera_bits_to_float(tessera_float_to_bits(size) | special | sign);
    }
}

TESSERA_KERNEL void tessera_to_half(const float *from, void *out, long count) {
    unsigned char *bytes = out;
    for (long i = 0; i < count; i++) {
        unsigned bits = tessera_float_to_bits(from[i]);
        unsigned size = bits & 0x7FFFFFFFu;
        // Rounds to nearest, ties to even, and lowers the exponent by 112.
        unsigned normal = (size - (112u << 23) + 0xFFFu + ((size >> 13) & 1)) >> 13;
        // 0.5f has the same ulp as subnormal halves: the addition rounds.
        unsigned subnormal = tessera_float_to_bits(tessera_bits_to_float(size) + 0.5f) - 0x3F000000u;
        unsigned half = size < (113u << 23) ? subnormal : normal;
        half = size >= (143u << 23) ? 0x7C00u : half;
        half = size > 0x7F800000u ? 0x7E00u : half;
        unsigned short rounded = (unsigned short)(half | (bits >> 16 & 0x8000u));
        __builtin_memcpy(bytes + 2 * i, &rounded, sizeof rounded);
    }
}

TESSERA_KERNEL void tessera_from_bfloat(const void *from, float *out, long count) {
    const unsigned char *bytes = from;
    for (long i = 0; i < count; i++) {
        unsigned short half;
        __builtin_memcpy(&half, bytes + 2 * i, sizeof half);
        out[i] = tessera_bits_to_float((unsigned)half << 16);
    }
}
