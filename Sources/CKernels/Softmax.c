#include "Vector.h"

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
        TESSERA_PANEL_SUM(total, seen, WEIGHT)
        float inverse = 1.0f / total;
        for (long k = 0; k < seen; k++) row[k] *= inverse;
        for (long k = seen; k < columns; k++) row[k] = 0;
    }
}
