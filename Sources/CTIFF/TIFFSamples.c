#include "TIFFSamples.h"

#include <math.h>
#include <string.h>
#include <tiffio.h>

int tessera_tiff_samples_known(tessera_tiff_samples samples) {
    uint16_t bits = samples.bits;
    switch (samples.format) {
    // Some programs write "undefined" for integers.
    case SAMPLEFORMAT_VOID:
    case SAMPLEFORMAT_UINT: return (bits >= 1 && bits <= 16) || bits == 32;
    case SAMPLEFORMAT_IEEEFP: return bits == 16 || bits == 32 || bits == 64;
    default: return 0;
    }
}

void tessera_tiff_samples_swap(tessera_tiff_samples samples, uint8_t *row, size_t bytes) {
    size_t size = samples.bits / 8;
    if (samples.bits % 8 != 0 || size < 2) return;
    for (size_t i = 0; i + size <= bytes; i += size) {
        for (size_t k = 0; k < size / 2; k++) {
            uint8_t byte = row[i + k];
            row[i + k] = row[i + size - 1 - k];
            row[i + size - 1 - k] = byte;
        }
    }
}

static uint16_t level(double x) {
    // NaN becomes black.
    if (!(x > 0)) return 0;
    return x >= 1 ? 65535 : (uint16_t)(x * 65535 + 0.5);
}

static double half(uint16_t bits) {
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double value = exponent == 31 ? (fraction ? NAN : INFINITY)
        : exponent == 0           ? ldexp(fraction, -24)
                                  : ldexp(1024 + fraction, exponent - 25);
    return bits >> 15 ? -value : value;
}

// Integers of any other bit depth, most significant bit first.
static void expand_bits(
    unsigned bits, const uint8_t *row, size_t count, size_t step, uint16_t *out, int raw) {
    uint32_t kept = 0, highest = (1u << bits) - 1;
    unsigned held = 0;
    for (size_t i = 0; i < count; i++) {
        while (held < bits) {
            kept = kept << 8 | *row++;
            held += 8;
        }
        held -= bits;
        uint32_t value = kept >> held & highest;
        out[i * step] = (uint16_t)(raw ? value : (value * 65535u + highest / 2) / highest);
    }
}

void tessera_tiff_samples_expand(
    tessera_tiff_samples samples, const uint8_t *row, size_t count, size_t step, uint16_t *out, int raw) {
    int is_float = samples.format == SAMPLEFORMAT_IEEEFP;
    switch (samples.bits) {
    case 8:
        for (size_t i = 0; i < count; i++) out[i * step] = (uint16_t)(raw ? row[i] : row[i] * 257);
        return;
    case 16:
        for (size_t i = 0; i < count; i++) {
            uint16_t value;
            memcpy(&value, row + 2 * i, 2);
            out[i * step] = is_float ? level(half(value)) : value;
        }
        return;
    case 32:
        for (size_t i = 0; i < count; i++) {
            uint32_t value;
            memcpy(&value, row + 4 * i, 4);
            float number;
            memcpy(&number, &value, 4);
            out[i * step] = is_float ? level(number) : (uint16_t)(value >> 16);
        }
        return;
    case 64:
        for (size_t i = 0; i < count; i++) {
            double number;
            memcpy(&number, row + 8 * i, 8);
            out[i * step] = level(number);
        }
        return;
    default: expand_bits(samples.bits, row, count, step, out, raw);
    }
}
