#include "Vector.h"

TESSERA_KERNEL void tessera_finish(float *c, long rows, long columns, long ldc, const float *bias,
                                   const float *second, long lds, int function, int with) {
    for (long r = 0; r < rows; r++) {
        float *row = c + r * ldc;
        if (bias)
            for (long j = 0; j < columns; j++) row[j] += bias[j];
#define LOOP(F) \
    for (long j = 0; j < columns; j++) row[j] = F(row[j])
        if (function != TESSERA_IDENTITY) {
            TESSERA_WITH_FUNCTION(function, LOOP)
        }
#undef LOOP
        if (with == TESSERA_ADD)
            for (long j = 0; j < columns; j++) row[j] += second[r * lds + j];
        if (with == TESSERA_MULTIPLY)
            for (long j = 0; j < columns; j++) row[j] *= second[r * lds + j];
    }
}

TESSERA_KERNEL void tessera_finish_bfloat(const float *from, long rows, long columns,
                                          const void *second, void *out, long ld, int with) {
    for (long r = 0; r < rows; r++) {
        const float *row = from + r * columns;
        const unsigned short *other = (const unsigned short *)second + r * ld;
        unsigned short *to = (unsigned short *)out + r * ld;
#define OTHER(j) tessera_bits_to_float((unsigned)other[j] << 16)
        if (with == TESSERA_ADD)
            for (long j = 0; j < columns; j++) to[j] = tessera_to_bfloat(row[j] + OTHER(j));
        else if (with == TESSERA_MULTIPLY)
            for (long j = 0; j < columns; j++) to[j] = tessera_to_bfloat(row[j] * OTHER(j));
        else
            for (long j = 0; j < columns; j++) to[j] = tessera_to_bfloat(row[j]);
#undef OTHER
    }
}
