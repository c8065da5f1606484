#include "Vector.h"

/// Columns that one pass keeps in registers.
enum { PANEL = 16 };

TESSERA_KERNEL void tessera_column_moments(const float *x, long rows, long columns, double *sum,
                                           double *squares) {
    long c = 0;
    for (; c + PANEL <= columns; c += PANEL) {
        double s[PANEL] = {0}, q[PANEL] = {0};
        for (long r = 0; r < rows; r++) {
            const float *row = x + r * columns + c;
            for (int j = 0; j < PANEL; j++) {
                double v = row[j];
                s[j] += v;
                q[j] += v * v;
            }
        }
        for (int j = 0; j < PANEL; j++) {
            sum[c + j] += s[j];
            squares[c + j] += q[j];
        }
    }
    for (; c < columns; c++) {
        for (long r = 0; r < rows; r++) {
            double v = x[r * columns + c];
            sum[c] += v;
            squares[c] += v * v;
        }
    }
}

/// Sum of f(x[i]) with PANEL accumulators; the order does not depend on the processor's width.
#define PANEL_SUM(result, count, TERM) \
    { \
        float lanes[PANEL] = {0}; \
        long i = 0; \
        for (; i + PANEL <= (count); i += PANEL) \
            for (int j = 0; j < PANEL; j++) lanes[j] += TERM(i + j); \
        for (; i < (count); i++) lanes[i % PANEL] += TERM(i); \
        for (int half = PANEL / 2; half > 0; half /= 2) \
            for (int j = 0; j < half; j++) lanes[j] += lanes[j + half]; \
        result = lanes[0]; \
    }

TESSERA_KERNEL void tessera_layer_norm(const float *x, float *out, long rows, long columns,
                                       const float *scale, const float *shift, float epsilon) {
    for (long r = 0; r < rows; r++) {
        const float *from = x + r * columns;
        float *to = out + r * columns;
        float sum, squares;
#define VALUE(i) from[i]
        PANEL_SUM(sum, columns, VALUE)
        float mean = sum / (float)columns;
#define SQUARE(i) ((from[i] - mean) * (from[i] - mean))
        PANEL_SUM(squares, columns, SQUARE)
        float inverse = 1.0f / __builtin_sqrtf(squares / (float)columns + epsilon);
        for (long i = 0; i < columns; i++)
            to[i] = (from[i] - mean) * inverse * scale[i] + shift[i];
    }
}

TESSERA_KERNEL void tessera_softmax(float *x, long rows, long columns, float factor,
                                    long causal_from) {
    for (long r = 0; r < rows; r++) {
        float *row = x + r * columns;
        long seen = causal_from >= 0 && causal_from + r + 1 < columns ? causal_from + r + 1 : columns;
        float lanes[PANEL];
        for (int j = 0; j < PANEL; j++) lanes[j] = row[0];
        long i = 0;
        for (; i + PANEL <= seen; i += PANEL)
            for (int j = 0; j < PANEL; j++)
                lanes[j] = row[i + j] > lanes[j] ? row[i + j] : lanes[j];
        for (; i < seen; i++) lanes[0] = row[i] > lanes[0] ? row[i] : lanes[0];
        float top = lanes[0];
        for (int j = 1; j < PANEL; j++) top = lanes[j] > top ? lanes[j] : top;
        for (long k = 0; k < seen; k++) row[k] = tessera_exp((row[k] - top) * factor);
        float total;
#define WEIGHT(i) row[i]
        PANEL_SUM(total, seen, WEIGHT)
        float inverse = 1.0f / total;
        for (long k = 0; k < seen; k++) row[k] *= inverse;
        for (long k = seen; k < columns; k++) row[k] = 0;
    }
}
