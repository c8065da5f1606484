// Target: the kernels that read bytes of files and frames in place, at any address: conversions of half and bfloat16
// numbers, and the checksum of prepared weights.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "CKernels.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    size_t skip = data[0] % 8, left = size - 1;
    if (skip > left) skip = left;
    // Memory of exactly this size, so that a read beyond it is detected; misaligned by `skip`.
    uint8_t *bytes = malloc(left);
    memcpy(bytes, data + 1, left);
    const uint8_t *from = bytes + skip;
    long count = (long)((left - skip) / 2);
    float *floats = malloc((size_t)count * sizeof *floats + 1);
    uint8_t *halves = malloc((size_t)count * 2 + 1);
    tessera_from_half(from, floats, count);
    tessera_to_half(floats, halves, count);
    for (long i = 0; i < count; i++) {
        // Every half-precision number is exact in float32: a round trip keeps its bits, unless it is NaN.
        uint16_t was, is;
        memcpy(&was, from + 2 * i, 2);
        memcpy(&is, halves + 2 * i, 2);
        if (was != is && (was & 0x7FFF) <= 0x7C00) abort();
    }
    tessera_from_bfloat(from, floats, count);
    for (long i = 0; i < count; i++) {
        uint16_t was;
        uint32_t is;
        memcpy(&was, from + 2 * i, 2);
        memcpy(&is, floats + i, 4);
        if (is != (uint32_t)was << 16) abort();
    }
    if (tessera_checksum(from, left - skip) != tessera_checksum(from, left - skip)) abort();
    free(bytes);
    free(floats);
    free(halves);
    return 0;
}
