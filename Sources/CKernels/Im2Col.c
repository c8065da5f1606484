#include "CKernels.h"

#include <string.h>

void tessera_im2col(const float *picture, long height, long width, long channels, long kernel,
                    long stride, long top, long left, long out_width, long first, long count,
                    float *columns) {
    long line = kernel * channels;
    for (long p = first; p < first + count; p++) {
        long y = p / out_width * stride - top;
        long x = p % out_width * stride - left;
        // Kernel columns begin…end are inside the picture and contiguous in memory.
        long begin = x < 0 ? -x : 0;
        long end = x + kernel > width ? width - x : kernel;
        for (long k = 0; k < kernel; k++, columns += line) {
            if (y + k < 0 || y + k >= height || begin >= end) {
                memset(columns, 0, (size_t)line * sizeof(float));
                continue;
            }
            if (begin > 0) memset(columns, 0, (size_t)(begin * channels) * sizeof(float));
            const float *from = picture + ((y + k) * width + x + begin) * channels;
            memcpy(columns + begin * channels, from,
                   (size_t)((end - begin) * channels) * sizeof(float));
            if (end < kernel)
                memset(columns + end * channels, 0,
                       (size_t)((kernel - end) * channels) * sizeof(float));
        }
    }
}
