#include "Vector.h"

TESSERA_KERNEL void tessera_from_half(const void *from, float *out, long count) {
    const unsigned char *bytes = from;
    for (long i = 0; i < count; i++) {
        unsigned short half;
        __builtin_memcpy(&half, bytes + 2 * i, sizeof half);
        // Shifted into place the exponent is 112 too small; the product mends it, and turns
        // subnormal halves into normal floats on the way.
        float size = tessera_bits_to_float((half & 0x7FFFu) << 13) * 0x1p112f;
        unsigned special = (half & 0x7C00u) == 0x7C00u ? 0x7F800000u : 0;
        unsigned sign = (half & 0x8000u) << 16;
        out[i] = tessera_bits_to_float(tessera_float_to_bits(size) | special | sign);
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
