#include <immintrin.h>

#include "Vector.h"

/// Lavin and Gray (2016), F(2×2, 3×3): computes 2 × 2 outputs of a 3 × 3 kernel from 4 × 4 inputs with 16
/// multiplications instead of 36. Its transforms only add and halve, so rounding their results to bfloat16 costs little
/// accuracy; the larger tiles of Winograd.c would lose three times as much.
enum { PATCH = 4, TILE = 2, KERNEL = 3, POINTS = PATCH * PATCH };

/// Inputs and outputs whose transformed kernels are in memory at once.
enum { DEPTH = 64, WIDTH = 64, LANES = 16 };

#define PAIRS_KERNEL __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16"))) static
#define PAIRS_INLINE PAIRS_KERNEL inline __attribute__((always_inline))

static long at_most(long a, long b) { return a < b ? a : b; }

long tessera_winograd_pairs_scratch_size(long inputs, long tiles) {
    return POINTS * (tiles * inputs / 2 + DEPTH / 2 * WIDTH + tiles * WIDTH);
}

PAIRS_INLINE __m512 load(const unsigned short *from) {
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)from));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

PAIRS_INLINE void store(unsigned short *to, __m512 value) {
    _mm256_storeu_si256((__m256i *)to, (__m256i)_mm512_cvtneps_pbh(value));
}

/// Rounds two vectors of weights, of adjacent inputs, to bfloat16 and packs them as pairs.
PAIRS_INLINE __m512i pair(__m512 low, __m512 high) {
    __m512i first = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(low));
    __m512i second = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(high));
    return _mm512_or_si512(first, _mm512_slli_epi32(second, 16));
}

/// Evaluates four values of a patch's row or column at the points 0, 1, −1 and ∞.
PAIRS_INLINE void patch_points(__m512 a, __m512 b, __m512 c, __m512 d, __m512 *out, long step) {
    out[0] = _mm512_sub_ps(a, c);
    out[step] = _mm512_add_ps(b, c);
    out[2 * step] = _mm512_sub_ps(c, b);
    out[3 * step] = _mm512_sub_ps(b, d);
}

/// Evaluates three values of a kernel's row or column at the points.
PAIRS_INLINE void kernel_points(__m512 a, __m512 b, __m512 c, __m512 *out, long step) {
    __m512 half = _mm512_set1_ps(0.5f);
    __m512 even = _mm512_mul_ps(half, _mm512_add_ps(a, c)), odd = _mm512_mul_ps(half, b);
    out[0] = a;
    out[step] = _mm512_add_ps(even, odd);
    out[2 * step] = _mm512_sub_ps(even, odd);
    out[3 * step] = c;
}

/// The block's patches at all points: [inputs / DEPTH][point][tile][DEPTH].
PAIRS_KERNEL void transform_patches(const struct tessera_winograd *of, long first, long tiles,
                                    const unsigned short *picture, unsigned short *to) {
    long across = (of->out_width + TILE - 1) / TILE, inputs = of->inputs;
    for (long t = 0; t < tiles; t++) {
        long top = (first + t) / across * TILE - of->top;
        long left = (first + t) % across * TILE - of->left;
        const unsigned short *from[PATCH][PATCH];
        for (long y = 0; y < PATCH; y++)
            for (long x = 0; x < PATCH; x++) {
                long row = top + y, column = left + x;
                int outside = row < 0 || row >= of->height || column < 0 || column >= of->width;
                from[y][x] = outside ? 0 : picture + (row * of->width + column) * inputs;
            }
        for (long i = 0; i < inputs; i += LANES) {
            long chunk = i / DEPTH * DEPTH, depth = at_most(DEPTH, inputs - chunk);
            unsigned short *out = to + POINTS * tiles * chunk + t * depth + i - chunk;
            __m512 columns[PATCH * PATCH], points[PATCH];
            _Pragma("unroll") for (int x = 0; x < PATCH; x++) {
                __m512 in[PATCH];
                _Pragma("unroll") for (int y = 0; y < PATCH; y++)
                    in[y] = from[y][x] ? load(from[y][x] + i) : _mm512_setzero_ps();
                patch_points(in[0], in[1], in[2], in[3], columns + x, PATCH);
            }
            _Pragma("unroll") for (int y = 0; y < PATCH; y++) {
                const __m512 *row = columns + y * PATCH;
                patch_points(row[0], row[1], row[2], row[3], points, 1);
                _Pragma("unroll") for (int x = 0; x < PATCH; x++)
                    store(out + (y * PATCH + x) * tiles * depth, points[x]);
            }
        }
    }
}

/// The kernels of one input and LANES outputs at all points; `from` is [3][3][width].
PAIRS_INLINE void kernel_at_points(const unsigned short *from, long width, __m512 *points) {
    __m512 columns[PATCH * KERNEL];
    _Pragma("unroll") for (int x = 0; x < KERNEL; x++)
        kernel_points(load(from + x * width), load(from + (KERNEL + x) * width),
                      load(from + (2 * KERNEL + x) * width), columns + x, KERNEL);
    _Pragma("unroll") for (int y = 0; y < PATCH; y++) {
        const __m512 *row = columns + y * KERNEL;
        kernel_points(row[0], row[1], row[2], points + y * PATCH, 1);
    }
}

/// Kernels of `depth` inputs and `width` outputs at all points, laid out for `tessera_pair_product`: [point][pair of
/// inputs][output].
PAIRS_KERNEL void transform_kernels(const unsigned short *packed, long depth, long width,
                                    unsigned *to) {
    for (long i = 0; i < depth; i += 2, packed += 2 * KERNEL * KERNEL * width)
        for (long j = 0; j < width; j += LANES) {
            __m512 low[POINTS], high[POINTS];
            kernel_at_points(packed + j, width, low);
            kernel_at_points(packed + KERNEL * KERNEL * width + j, width, high);
            _Pragma("unroll") for (int p = 0; p < POINTS; p++)
                _mm512_storeu_si512(to + (p * depth / 2 + i / 2) * width + j,
                                    pair(low[p], high[p]));
        }
}

/// Writes the outputs of the block's tiles, starting at `output`; `from` is [point][tile][width].
PAIRS_KERNEL void transform_tiles(const struct tessera_winograd *of, long first, long tiles,
                                  long output, long width, const float *from, const float *bias,
                                  const unsigned short *second, unsigned short *to) {
    long across = (of->out_width + TILE - 1) / TILE;
    for (long t = 0; t < tiles; t++) {
        long top = (first + t) / across * TILE, left = (first + t) % across * TILE;
        long rows = at_most(TILE, of->out_height - top), cells = at_most(TILE, of->out_width - left);
        for (long j = 0; j < width; j += LANES) {
            __m512 half[TILE][PATCH];
            _Pragma("unroll") for (int x = 0; x < PATCH; x++) {
                __m512 m[PATCH];
                _Pragma("unroll") for (int y = 0; y < PATCH; y++)
                    m[y] = _mm512_loadu_ps(from + ((y * PATCH + x) * tiles + t) * width + j);
                half[0][x] = _mm512_add_ps(_mm512_add_ps(m[0], m[1]), m[2]);
                half[1][x] = _mm512_sub_ps(_mm512_sub_ps(m[1], m[2]), m[3]);
            }
            __m512 shift = _mm512_loadu_ps(bias + output + j);
            for (long y = 0; y < rows; y++) {
                const __m512 *m = half[y];
                __m512 row[TILE] = {
                    _mm512_add_ps(_mm512_add_ps(m[0], m[1]), m[2]),
                    _mm512_sub_ps(_mm512_sub_ps(m[1], m[2]), m[3]),
                };
                for (long x = 0; x < cells; x++) {
                    long place = ((top + y) * of->out_width + left + x) * of->outputs + output + j;
                    __m512 sum = _mm512_add_ps(row[x], shift);
                    if (second) sum = _mm512_add_ps(sum, load(second + place));
                    store(to + place, sum);
                }
            }
        }
    }
}

void tessera_convolve_winograd_pairs(const struct tessera_winograd *of, long first, long tiles,
                                     long first_output, long end_output, const void *picture,
                                     const void *packed, const float *bias, const void *second,
                                     void *out, float *scratch) {
    unsigned *patches = (unsigned *)scratch;
    unsigned *kernels = patches + POINTS * tiles * of->inputs / 2;
    float *sums = (float *)(kernels + POINTS * DEPTH / 2 * WIDTH);
    transform_patches(of, first, tiles, picture, (unsigned short *)patches);
    for (long output = first_output; output < end_output; output += WIDTH) {
        long width = at_most(WIDTH, of->outputs - output);
        const unsigned short *panel =
            (const unsigned short *)packed + KERNEL * KERNEL * output * of->inputs;
        for (long chunk = 0; chunk < of->inputs; chunk += DEPTH) {
            long depth = at_most(DEPTH, of->inputs - chunk), pairs = depth / 2;
            transform_kernels(panel + KERNEL * KERNEL * chunk * width, depth, width, kernels);
            const unsigned *inputs = patches + POINTS * tiles * chunk / 2;
            for (long p = 0; p < POINTS; p++)
                tessera_pair_product(inputs + p * tiles * pairs, pairs,
                                     kernels + p * pairs * width, sums + p * tiles * width, width,
                                     tiles, depth, width, chunk > 0);
        }
        transform_tiles(of, first, tiles, output, width, sums, bias, second, out);
    }
}
