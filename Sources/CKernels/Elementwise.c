#include "Vector.h"

TESSERA_KERNEL void tessera_activate(const float *x, float *out, long count, int function) {
#define LOOP(F) \
    for (long i = 0; i < count; i++) out[i] = F(x[i])
    TESSERA_WITH_FUNCTION(function, LOOP)
#undef LOOP
}

TESSERA_KERNEL void tessera_add(const float *a, const float *b, float *out, long count) {
    for (long i = 0; i < count; i++) out[i] = a[i] + b[i];
}

TESSERA_KERNEL void tessera_finish(float *c, long rows, long columns, long ldc, const float *bias,
                                   const float *channel, const float *residual, long ldr,
                                   int function) {
    for (long r = 0; r < rows; r++) {
        float *row = c + r * ldc;
        if (bias)
            for (long j = 0; j < columns; j++) row[j] += bias[j];
        if (channel)
            for (long j = 0; j < columns; j++) row[j] += channel[j];
#define LOOP(F) \
    for (long j = 0; j < columns; j++) row[j] = F(row[j])
        if (function != TESSERA_IDENTITY) {
            TESSERA_WITH_FUNCTION(function, LOOP)
        }
#undef LOOP
        if (residual)
            for (long j = 0; j < columns; j++) row[j] += residual[r * ldr + j];
    }
}

TESSERA_KERNEL void tessera_geglu(const float *x, const float *bias, float *restrict out, long rows,
                                  long columns) {
    for (long r = 0; r < rows; r++) {
        const float *value = x + r * 2 * columns;
        const float *gate = value + columns;
        float *to = out + r * columns;
        for (long j = 0; j < columns; j++)
            to[j] = (value[j] + bias[j]) * tessera_gelu(gate[j] + bias[columns + j]);
    }
}

TESSERA_KERNEL void tessera_scale_shift(const float *x, float *restrict out, long rows,
                                        long columns, const float *restrict scale,
                                        const float *restrict shift, int function) {
#define LOOP(F) \
    for (long r = 0; r < rows; r++) \
        for (long c = 0; c < columns; c++) \
            out[r * columns + c] = F(x[r * columns + c] * scale[c] + shift[c])
    TESSERA_WITH_FUNCTION(function, LOOP)
#undef LOOP
}
