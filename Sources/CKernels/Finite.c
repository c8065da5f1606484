// Whether all stored values are finite, at memory bandwidth: branch-free, so that it vectorises.
#include "Vector.h"

TESSERA_KERNEL int tessera_finite_words(const void *from, long count, unsigned exponent) {
    const unsigned char *bytes = from;
    unsigned short bad = 0;
    for (long i = 0; i < count; i++) {
        unsigned short word;
        __builtin_memcpy(&word, bytes + 2 * i, sizeof word);
        bad |= (unsigned short)((word & exponent) == exponent);
    }
    return !bad;
}

TESSERA_KERNEL int tessera_finite_floats(const void *from, long count) {
    const unsigned char *bytes = from;
    unsigned bad = 0;
    for (long i = 0; i < count; i++) {
        unsigned word;
        __builtin_memcpy(&word, bytes + 4 * i, sizeof word);
        bad |= (unsigned)((word & 0x7F800000u) == 0x7F800000u);
    }
    return !bad;
}
