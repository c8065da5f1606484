#include <string.h>

#include "Vector.h"

/// Outputs per panel of packed weights; the last panel holds the remainder, rounded up to ROUND. A panel is stored
/// input by input, with the outputs of each input contiguous.
enum { WIDTH = 64, ROUND = 16 };

/// Inputs summed before moving on to the next rows, so that this part of a panel stays in the L1 cache.
enum { DEPTH = 128 };

typedef float vector4 __attribute__((vector_size(16), aligned(4)));
typedef float vector8 __attribute__((vector_size(32), aligned(4)));
typedef float vector16 __attribute__((vector_size(64), aligned(4)));

static long rounded(long outputs) { return (outputs + ROUND - 1) / ROUND * ROUND; }

long tessera_packed_size(long depth, long outputs) { return depth * rounded(outputs); }

#define PACK(NAME, TYPE, GET) \
    void NAME(const TYPE *weight, long output_step, long depth_step, long depth, long outputs, \
              float *packed) { \
        for (long first = 0; first < outputs; first += WIDTH) { \
            long rest = outputs - first < WIDTH ? outputs - first : WIDTH; \
            long width = rounded(rest); \
            for (long k = 0; k < depth; k++, packed += width) \
                for (long j = 0; j < width; j++) \
                    packed[j] = \
                        j < rest ? GET(weight[(first + j) * output_step + k * depth_step]) : 0; \
        } \
    }

#define AS_IT_IS(x) x
#define WIDENED(x) tessera_bits_to_float((unsigned)(x) << 16)

PACK(tessera_pack, float, AS_IT_IS)
PACK(tessera_pack_widened, unsigned short, WIDENED)

/// c[r][j] (+)= Σ a[r][k] · b[k][j] for ROWS rows and VECTORS vectors of columns, all in registers.
///
/// Every element is one chain of additions in the order of k, regardless of tiling. Rows past `valid` repeat the last
/// valid row and are not written.
#define TILE(NAME, TARGET, VECTOR, ROWS, VECTORS) \
    __attribute__((target(TARGET))) static void NAME( \
        const float *const *a, const float *b, long ldb, float *c, long ldc, long depth, \
        long valid, int add) { \
        enum { LANES = sizeof(VECTOR) / sizeof(float) }; \
        VECTOR sum[ROWS][VECTORS]; \
        _Pragma("unroll") for (int r = 0; r < ROWS; r++) \
            _Pragma("unroll") for (int v = 0; v < VECTORS; v++) \
                sum[r][v] = add && r < valid ? *(const VECTOR *)(c + r * ldc + v * LANES) \
                                             : (VECTOR){0}; \
        for (long k = 0; k < depth; k++) { \
            VECTOR weight[VECTORS]; \
            _Pragma("unroll") for (int v = 0; v < VECTORS; v++) \
                weight[v] = *(const VECTOR *)(b + k * ldb + v * LANES); \
            _Pragma("unroll") for (int r = 0; r < ROWS; r++) { \
                VECTOR input = a[r][k] - (VECTOR){0}; \
                _Pragma("unroll") for (int v = 0; v < VECTORS; v++) \
                    sum[r][v] = input * weight[v] + sum[r][v]; \
            } \
        } \
        _Pragma("unroll") for (int r = 0; r < ROWS; r++) \
            if (r < valid) \
                _Pragma("unroll") for (int v = 0; v < VECTORS; v++) \
                    *(VECTOR *)(c + r * ldc + v * LANES) = sum[r][v]; \
    }

TILE(tile512x1, "avx512f,avx2,fma", vector16, 6, 1)
TILE(tile512x2, "avx512f,avx2,fma", vector16, 6, 2)
TILE(tile512x3, "avx512f,avx2,fma", vector16, 6, 3)
TILE(tile512x4, "avx512f,avx2,fma", vector16, 6, 4)
TILE(tile256, "avx2,fma", vector8, 6, 2)
TILE(tile128, "sse2", vector4, 2, 4)

typedef void (*tile_function)(const float *const *a, const float *b, long ldb, float *c, long ldc,
                              long depth, long valid, int add);

/// How one instruction set tiles a panel: `rows` rows and `columns` columns at a time; `tile[i]` computes (i + 1) ·
/// ROUND columns.
struct tiling {
    long rows;
    long columns;
    tile_function tile[WIDTH / ROUND];
};

static const struct tiling tiling512 = {6, WIDTH, {tile512x1, tile512x2, tile512x3, tile512x4}};
static const struct tiling tiling256 = {6, ROUND, {tile256}};
static const struct tiling tiling128 = {2, ROUND, {tile128}};

static const struct tiling *best_tiling(void) {
    if (__builtin_cpu_supports("avx512f")) return &tiling512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &tiling256;
    return &tiling128;
}

void tessera_product(const float *a, long lda, const float *packed, float *c, long ldc, long rows,
                     long depth, long outputs, int add) {
    const struct tiling *tiling = best_tiling();
    enum { MOST_ROWS = 6 };
    for (long k = 0; k < depth; k += DEPTH) {
        long share = depth - k < DEPTH ? depth - k : DEPTH;
        for (long first = 0; first < outputs; first += WIDTH) {
            long rest = outputs - first < WIDTH ? outputs - first : WIDTH;
            long width = rounded(rest);
            const float *panel = packed + first * depth + k * width;
            for (long row = 0; row < rows; row += tiling->rows) {
                long valid = rows - row < tiling->rows ? rows - row : tiling->rows;
                const float *input[MOST_ROWS];
                for (long r = 0; r < tiling->rows; r++)
                    input[r] = a + (row + (r < valid ? r : valid - 1)) * lda + k;
                for (long j = 0; j < width; j += tiling->columns) {
                    long columns = width - j < tiling->columns ? width - j : tiling->columns;
                    tile_function tile = tiling->tile[columns / ROUND - 1];
                    float *to = c + row * ldc + first + j;
                    if (j + columns <= rest) {
                        tile(input, panel + j, width, to, ldc, share, valid, add || k > 0);
                        continue;
                    }
                    // The last columns are padding and are not part of the result.
                    float edge[MOST_ROWS * WIDTH];
                    long real = rest - j;
                    for (long r = 0; r < valid && (add || k > 0); r++)
                        memcpy(edge + r * WIDTH, to + r * ldc, (size_t)real * sizeof(float));
                    tile(input, panel + j, width, edge, WIDTH, share, valid, add || k > 0);
                    for (long r = 0; r < valid; r++)
                        memcpy(to + r * ldc, edge + r * WIDTH, (size_t)real * sizeof(float));
                }
            }
        }
    }
}
