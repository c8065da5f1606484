#include "Vector.h"

/// Lavin and Gray (2016), F(4×4, 3×3): computes 4 × 4 outputs of a 3 × 3 kernel from 6 × 6 inputs with 36
/// multiplications instead of 144. Inputs, kernels and outputs each have a transform; in between are 36 matrix
/// products.
enum { PATCH = 6, TILE = 4, KERNEL = 3, POINTS = PATCH * PATCH };

/// Inputs and outputs whose transformed kernels are in memory at once: together with the tiles of one block they fill
/// the L2 cache.
enum { DEPTH = 64, WIDTH = 64 };

enum { LANES = 16 };
typedef float vector __attribute__((vector_size(64), aligned(4)));
typedef unsigned words __attribute__((vector_size(64)));
typedef unsigned short halves __attribute__((vector_size(32), aligned(2)));

static long at_most(long a, long b) { return a < b ? a : b; }

/// Loads LANES elements, starting at `index`.
TESSERA_INLINE void load(const void *from, long index, int element, vector *to) {
    if (element == TESSERA_F32)
        *to = *(const vector *)((const float *)from + index);
    else
        *to = (vector)(__builtin_convertvector(
                           *(const halves *)((const unsigned short *)from + index), words)
                       << 16);
}

TESSERA_INLINE void store(void *to, long index, int element, const vector *value) {
    if (element == TESSERA_F32) {
        *(vector *)((float *)to + index) = *value;
        return;
    }
    unsigned short *out = (unsigned short *)to + index;
    for (int j = 0; j < LANES; j++) out[j] = tessera_to_bfloat((*value)[j]);
}

/// The points are 0, ±NEAR, ±FAR and ∞ with NEAR² = 1/2 and FAR² = 2: the usual ±1 and ±2 lose three times as much to
/// rounding (Barabasz, Anderson, Soodhalter and Gregg, 2020).
#define NEAR 0.70710678f
#define FAR 1.41421356f

/// Evaluates six values of a patch's row or column at the points.
#define PATCH_TRANSFORM(OUT, D) \
    { \
        vector a = D(4) - 2 * D(2), b = NEAR * D(3) - FAR * D(1); \
        vector c = D(4) - 0.5f * D(2), d = FAR * D(3) - NEAR * D(1); \
        OUT(0) = D(0) - 2.5f * D(2) + D(4); \
        OUT(1) = a + b; \
        OUT(2) = a - b; \
        OUT(3) = c + d; \
        OUT(4) = c - d; \
        OUT(5) = D(1) - 2.5f * D(3) + D(5); \
    }

/// Evaluates three values of a kernel's row or column at the points.
#define KERNEL_TRANSFORM(OUT, G) \
    { \
        vector a = G(0) * (-2.0f / 3) + G(2) * (-1.0f / 3), b = G(1) * (-NEAR * 2 / 3); \
        vector c = G(0) * (1.0f / 6) + G(2) * (1.0f / 3), d = G(1) * (FAR / 6); \
        OUT(0) = G(0); \
        OUT(1) = a + b; \
        OUT(2) = a - b; \
        OUT(3) = c + d; \
        OUT(4) = c - d; \
        OUT(5) = G(2); \
    }

/// Transforms values at the points back to four outputs.
#define TILE_TRANSFORM(OUT, M) \
    { \
        vector a = M(1) + M(2), b = M(1) - M(2), c = M(3) + M(4), d = M(3) - M(4); \
        OUT(0) = M(0) + a + c; \
        OUT(1) = NEAR * b + FAR * d; \
        OUT(2) = 0.5f * a + 2 * c; \
        OUT(3) = (0.5f * NEAR) * b + (2 * FAR) * d + M(5); \
    }

void tessera_winograd_pack(const float *weight, long inputs, long outputs, void *packed,
                           int element) {
    long at = 0;
    for (long first = 0; first < outputs; first += WIDTH) {
        long width = at_most(WIDTH, outputs - first);
        for (long i = 0; i < inputs; i++)
            for (long k = 0; k < KERNEL * KERNEL; k++, at += width) {
                float row[WIDTH];
                for (long j = 0; j < width; j++)
                    row[j] = weight[((first + j) * inputs + i) * KERNEL * KERNEL + k];
                tessera_from_float(row, (char *)packed + at * (element == TESSERA_F32 ? 4 : 2),
                                   width, element);
            }
    }
}

long tessera_winograd_scratch_size(long inputs, long tiles) {
    return POINTS * (tiles * inputs + DEPTH * WIDTH + tiles * WIDTH);
}

/// The block's patches at all points: [inputs / DEPTH][point][tile][DEPTH].
TESSERA_KERNEL static void transform_patches(const struct tessera_winograd *of, long first,
                                             long tiles, const void *picture, float *to) {
    long across = (of->out_width + TILE - 1) / TILE;
    for (long t = 0; t < tiles; t++) {
        long top = (first + t) / across * TILE - of->top;
        long left = (first + t) % across * TILE - of->left;
        for (long i = 0; i < of->inputs; i += LANES) {
            long chunk = i / DEPTH * DEPTH, depth = at_most(DEPTH, of->inputs - chunk);
            float *out = to + POINTS * tiles * chunk + t * depth + i - chunk;
            vector half[PATCH][PATCH];
            for (long x = 0; x < PATCH; x++) {
                vector in[PATCH];
                for (long y = 0; y < PATCH; y++) {
                    long row = top + y, column = left + x;
                    if (row < 0 || row >= of->height || column < 0 || column >= of->width)
                        in[y] = (vector){0};
                    else
                        load(picture, (row * of->width + column) * of->inputs + i, of->element,
                             &in[y]);
                }
#define D(y) in[y]
#define OUT(y) half[y][x]
                PATCH_TRANSFORM(OUT, D)
#undef D
#undef OUT
            }
            for (long y = 0; y < PATCH; y++) {
                vector points[PATCH];
#define D(x) half[y][x]
#define OUT(x) points[x]
                PATCH_TRANSFORM(OUT, D)
#undef D
#undef OUT
                for (long x = 0; x < PATCH; x++)
                    *(vector *)(out + (y * PATCH + x) * tiles * depth) = points[x];
            }
        }
    }
}

/// Kernels of `depth` inputs and `width` outputs at all points: [point][input][output].
TESSERA_KERNEL static void transform_kernels(const void *packed, long at, long depth, long width,
                                             int element, float *to) {
    for (long i = 0; i < depth; i++, at += KERNEL * KERNEL * width)
        for (long j = 0; j < width; j += LANES) {
            vector half[PATCH][KERNEL];
            for (long x = 0; x < KERNEL; x++) {
                vector in[KERNEL];
                for (long y = 0; y < KERNEL; y++)
                    load(packed, at + (y * KERNEL + x) * width + j, element, &in[y]);
#define G(y) in[y]
#define OUT(y) half[y][x]
                KERNEL_TRANSFORM(OUT, G)
#undef G
#undef OUT
            }
            for (long y = 0; y < PATCH; y++) {
                vector points[PATCH];
#define G(x) half[y][x]
#define OUT(x) points[x]
                KERNEL_TRANSFORM(OUT, G)
#undef G
#undef OUT
                for (long x = 0; x < PATCH; x++)
                    *(vector *)(to + ((y * PATCH + x) * depth + i) * width + j) = points[x];
            }
        }
}

/// Writes the outputs of the block's tiles, starting at `output`; `from` is [point][tile][width].
TESSERA_KERNEL static void transform_tiles(const struct tessera_winograd *of, long first, long tiles,
                                           long output, long width, const float *from,
                                           const float *bias, const void *second, void *to) {
    long across = (of->out_width + TILE - 1) / TILE;
    for (long t = 0; t < tiles; t++) {
        long top = (first + t) / across * TILE, left = (first + t) % across * TILE;
        for (long j = 0; j < width; j += LANES) {
            vector half[TILE][PATCH];
            for (long x = 0; x < PATCH; x++) {
#define M(y) (*(const vector *)(from + (((y) * PATCH + x) * tiles + t) * width + j))
#define OUT(y) half[y][x]
                TILE_TRANSFORM(OUT, M)
#undef M
#undef OUT
            }
            vector shift = *(const vector *)(bias + output + j);
            for (long y = 0; y < at_most(TILE, of->out_height - top); y++) {
                vector row[TILE];
#define M(x) half[y][x]
#define OUT(x) row[x]
                TILE_TRANSFORM(OUT, M)
#undef M
#undef OUT
                for (long x = 0; x < at_most(TILE, of->out_width - left); x++) {
                    long place = ((top + y) * of->out_width + left + x) * of->outputs + output + j;
                    row[x] += shift;
                    if (second) {
                        vector other;
                        load(second, place, of->element, &other);
                        row[x] += other;
                    }
                    store(to, place, of->element, &row[x]);
                }
            }
        }
    }
}

void tessera_convolve_winograd(const struct tessera_winograd *of, long first, long tiles,
                               long first_output, long end_output, const void *picture,
                               const void *packed, const float *bias, const void *second, void *out,
                               float *scratch) {
    float *patches = scratch, *kernels = patches + POINTS * tiles * of->inputs;
    float *sums = kernels + POINTS * DEPTH * WIDTH;
    transform_patches(of, first, tiles, picture, patches);
    for (long output = first_output; output < end_output; output += WIDTH) {
        long width = at_most(WIDTH, of->outputs - output);
        for (long chunk = 0; chunk < of->inputs; chunk += DEPTH) {
            long depth = at_most(DEPTH, of->inputs - chunk);
            long at = KERNEL * KERNEL * (output * of->inputs + chunk * width);
            transform_kernels(packed, at, depth, width, of->element, kernels);
            for (long p = 0; p < POINTS; p++)
                tessera_product(patches + POINTS * tiles * chunk + p * tiles * depth, depth,
                                kernels + p * depth * width, sums + p * tiles * width, width, tiles,
                                depth, width, chunk > 0);
        }
        transform_tiles(of, first, tiles, output, width, sums, bias, second, out);
    }
}
