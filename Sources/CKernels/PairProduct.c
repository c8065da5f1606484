#include <immintrin.h>
#include <string.h>

#include "Vector.h"

/// As in Product.c, but with two adjacent inputs per word, as VDPBF16PS expects.
enum { OUTPUTS = 64, ROUND = 16, ROWS = 6, PAIRS = 128 };

static long rounded(long outputs) { return (outputs + ROUND - 1) / ROUND * ROUND; }

long tessera_packed_pairs_size(long depth, long outputs) {
    return (depth + 1) / 2 * rounded(outputs);
}

/// Packs weights whose inputs are adjacent in memory, with outputs `step` apart.
TESSERA_KERNEL static void pack_words(const unsigned short *weight, long step, long pairs, long rest,
                                      long width, unsigned *packed) {
    for (long k = 0; k < pairs; k++, packed += width) {
        for (long j = 0; j < rest; j++) memcpy(packed + j, weight + j * step + 2 * k, 4);
        for (long j = rest; j < width; j++) packed[j] = 0;
    }
}

/// Packs weights whose outputs are adjacent in memory, with inputs `step` apart.
TESSERA_KERNEL static void pack_rows(const unsigned short *weight, long step, long pairs, long rest,
                                     long width, unsigned *packed) {
    for (long k = 0; k < pairs; k++, packed += width) {
        const unsigned short *low = weight + 2 * k * step, *high = low + step;
        for (long j = 0; j < rest; j++) packed[j] = low[j] | (unsigned)high[j] << 16;
        for (long j = rest; j < width; j++) packed[j] = 0;
    }
}

void tessera_pack_pairs(const unsigned short *weight, long output_step, long depth_step, long depth,
                        long outputs, unsigned *packed) {
    for (long first = 0; first < outputs; first += OUTPUTS) {
        long rest = outputs - first < OUTPUTS ? outputs - first : OUTPUTS;
        long width = rounded(rest), pairs = depth / 2;
        const unsigned short *from = weight + first * output_step;
        if (depth_step == 1)
            pack_words(from, output_step, pairs, rest, width, packed);
        else
            pack_rows(from, depth_step, pairs, rest, width, packed);
        packed += pairs * width;
        if (depth % 2 == 0) continue;
        for (long j = 0; j < width; j++)
            packed[j] = j < rest ? from[j * output_step + (depth - 1) * depth_step] : 0;
        packed += width;
    }
}

/// c[r][j] (+)= Σ a[r][k] · b[k][j] over pairs, for ROWS rows and `vectors` · 16 columns. Rows past `valid` repeat the
/// last valid row and are not written.
typedef void (*tile_function)(const unsigned *const *a, const unsigned *b, long ldb, float *c,
                              long ldc, long pairs, long valid, int add);

#define TILE(NAME, VECTORS) \
    __attribute__((target("avx512f,avx512bf16"))) static void NAME( \
        const unsigned *const *a, const unsigned *b, long ldb, float *c, long ldc, long pairs, \
        long valid, int add) { \
        __m512 sum[ROWS][VECTORS]; \
        _Pragma("unroll") for (int r = 0; r < ROWS; r++) \
            _Pragma("unroll") for (int v = 0; v < VECTORS; v++) \
                sum[r][v] = add && r < valid ? _mm512_loadu_ps(c + r * ldc + v * 16) \
                                             : _mm512_setzero_ps(); \
        for (long k = 0; k < pairs; k++) { \
            __m512bh weight[VECTORS]; \
            _Pragma("unroll") for (int v = 0; v < VECTORS; v++) \
                weight[v] = (__m512bh)_mm512_loadu_si512(b + k * ldb + v * 16); \
            _Pragma("unroll") for (int r = 0; r < ROWS; r++) { \
                __m512bh input = (__m512bh)_mm512_set1_epi32((int)a[r][k]); \
                _Pragma("unroll") for (int v = 0; v < VECTORS; v++) \
                    sum[r][v] = _mm512_dpbf16_ps(sum[r][v], input, weight[v]); \
            } \
        } \
        _Pragma("unroll") for (int r = 0; r < ROWS; r++) \
            if (r < valid) \
                _Pragma("unroll") for (int v = 0; v < VECTORS; v++) \
                    _mm512_storeu_ps(c + r * ldc + v * 16, sum[r][v]); \
    }

TILE(tile1, 1)
TILE(tile2, 2)
TILE(tile3, 3)
TILE(tile4, 4)

/// The same for processors without AVX512-BF16.
#define PLAIN(NAME, VECTORS) \
    TESSERA_KERNEL static void NAME(const unsigned *const *a, const unsigned *b, long ldb, float *c, \
                                    long ldc, long pairs, long valid, int add) { \
        for (long r = 0; r < valid; r++) { \
            float sum[16 * VECTORS]; \
            for (int j = 0; j < 16 * VECTORS; j++) sum[j] = add ? c[r * ldc + j] : 0; \
            for (long k = 0; k < pairs; k++) { \
                float low = tessera_bits_to_float(a[r][k] << 16); \
                float high = tessera_bits_to_float(a[r][k] & 0xFFFF0000u); \
                for (int j = 0; j < 16 * VECTORS; j++) { \
                    unsigned pair = b[k * ldb + j]; \
                    sum[j] += high * tessera_bits_to_float(pair & 0xFFFF0000u); \
                    sum[j] += low * tessera_bits_to_float(pair << 16); \
                } \
            } \
            for (int j = 0; j < 16 * VECTORS; j++) c[r * ldc + j] = sum[j]; \
        } \
    }

PLAIN(plain1, 1)
PLAIN(plain2, 2)
PLAIN(plain3, 3)
PLAIN(plain4, 4)

void tessera_pair_product(const unsigned *a, long lda, const unsigned *packed, float *c, long ldc,
                          long rows, long depth, long outputs, int add) {
    static const tile_function fast[] = {tile1, tile2, tile3, tile4};
    static const tile_function plain[] = {plain1, plain2, plain3, plain4};
    const tile_function *tiles = tessera_has_bfloat16() ? fast : plain;
    long pairs = (depth + 1) / 2;
    for (long k = 0; k < pairs; k += PAIRS) {
        long share = pairs - k < PAIRS ? pairs - k : PAIRS;
        for (long first = 0; first < outputs; first += OUTPUTS) {
            long rest = outputs - first < OUTPUTS ? outputs - first : OUTPUTS;
            long width = rounded(rest);
            const unsigned *panel = packed + first * pairs + k * width;
            tile_function tile = tiles[width / ROUND - 1];
            int more = add || k > 0;
            for (long row = 0; row < rows; row += ROWS) {
                long valid = rows - row < ROWS ? rows - row : ROWS;
                const unsigned *input[ROWS];
                for (long r = 0; r < ROWS; r++)
                    input[r] = a + (row + (r < valid ? r : valid - 1)) * lda + k;
                float *to = c + row * ldc + first;
                if (rest == width) {
                    tile(input, panel, width, to, ldc, share, valid, more);
                    continue;
                }
                // The last columns are padding and are not part of the result.
                float edge[ROWS * OUTPUTS];
                for (long r = 0; r < valid && more; r++)
                    memcpy(edge + r * OUTPUTS, to + r * ldc, (size_t)rest * sizeof(float));
                tile(input, panel, width, edge, OUTPUTS, share, valid, more);
                for (long r = 0; r < valid; r++)
                    memcpy(to + r * ldc, edge + r * OUTPUTS, (size_t)rest * sizeof(float));
            }
        }
    }
}
