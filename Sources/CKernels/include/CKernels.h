/// Hot loops of the CPU backends.
///
/// Every array is dense float32 in row-major order unless a row stride (`ld…`, in elements) is given.
/// Each kernel is compiled for AVX-512, AVX2 and the base instruction set, and the one that fits the
/// processor is chosen when the program is loaded. No kernel allocates, and none keeps state.
#ifndef TESSERA_CKERNELS_H
#define TESSERA_CKERNELS_H

#include <stddef.h>

/// Elementwise functions; the raw values are those of Swift's `Nonlinearity`.
enum {
    TESSERA_IDENTITY = 0,
    TESSERA_SILU = 1,
    TESSERA_GELU = 2,
    TESSERA_QUICK_GELU = 3,
};

/// Types of elements; the raw values are those of Swift's `Element`. Sums are in float or double.
enum { TESSERA_F32 = 0, TESSERA_BF16 = 1 };

/// In attention: bfloat16 elements that are multiplied as floats.
enum { TESSERA_BF16_WIDENED = 2 };

/// How a second operand is combined.
enum { TESSERA_NOTHING = 0, TESSERA_ADD = 1, TESSERA_MULTIPLY = 2 };

/// out[i] = f(x[i]); in place if `out == x`.
void tessera_activate(const void *x, void *out, long count, int function, int element);

/// out[i] = a[i] + b[i]; in place if `out == a`.
void tessera_add(const void *a, const void *b, void *out, long count, int element);

/// out[r][c] = value[r][c] · GELU(gate[r][c]); rows of `out` are `ldo` elements apart.
void tessera_gate(const void *value, const void *gate, long rows, long columns, void *out, long ldo,
                  int element);

/// Adds to sum[c] and squares[c] the sum and the sum of squares of column c over `rows` rows.
void tessera_column_moments(const void *x, long rows, long columns, double *sum, double *squares,
                            int element);

/// out[r][c] = f(x[r][c] · scale[c] + shift[c]).
void tessera_scale_shift(const void *x, void *out, long rows, long columns, const float *scale,
                         const float *shift, int function, int element);

/// Normalises every row to mean 0 and variance 1 (plus `epsilon`), then times `scale` plus `shift`.
void tessera_layer_norm(const void *x, void *out, long rows, long columns, const float *scale,
                        const float *shift, float epsilon, int element);

/// Rounds to elements.
void tessera_from_float(const float *x, void *out, long count, int element);

/// The elements as float.
void tessera_to_float(const void *x, float *out, long count, int element);

/// c[r][j] = f(c[r][j] + bias[j]), then plus or times second[r][j]; `bias` may be null.
void tessera_finish(float *c, long rows, long columns, long ldc, const float *bias,
                    const float *second, long lds, int function, int with);

/// out[r][j] = from[r][j], plus or times second[r][j], rounded to bfloat16; rows of `out` and `second` are `ld`
/// elements apart.
void tessera_finish_bfloat(const float *from, long rows, long columns, const void *second, void *out,
                           long ld, int with);

/// Softmax of `factor` · x over each row, in place. Where `causal_from` ≥ 0, row r sees only its
/// first `causal_from` + r + 1 columns and the others become 0.
void tessera_softmax(float *x, long rows, long columns, float factor, long causal_from);

/// Floats that `tessera_pack` writes.
long tessera_packed_size(long depth, long outputs);

/// Lays out weights as `tessera_product` reads them; the weight of output j for input k is
/// weight[j · output_step + k · depth_step].
void tessera_pack(const float *weight, long output_step, long depth_step, long depth, long outputs,
                  float *packed);

/// The same from bfloat16 weights.
void tessera_pack_widened(const unsigned short *weight, long output_step, long depth_step,
                          long depth, long outputs, float *packed);

/// c = a · Wᵀ, plus c where `add`, for `rows` rows of `depth` inputs and packed weights of `outputs`
/// rows; c must not be a. Each element is one chain of additions in the order of the inputs: the bits
/// do not depend on how many rows or outputs are computed together.
void tessera_product(const float *a, long lda, const float *packed, float *c, long ldc, long rows,
                     long depth, long outputs, int add);

/// Words that `tessera_pack_pairs` writes.
long tessera_packed_pairs_size(long depth, long outputs);

/// Lays out bfloat16 weights as `tessera_pair_product` reads them, as `tessera_pack` does. One of the steps is 1.
void tessera_pack_pairs(const unsigned short *weight, long output_step, long depth_step, long depth,
                        long outputs, unsigned *packed);

/// As `tessera_product`, of bfloat16 numbers with float32 sums. Rows of `a` are pairs of inputs, `lda` words
/// apart; the second of an odd last one is 0.
void tessera_pair_product(const unsigned *a, long lda, const unsigned *packed, float *c, long ldc,
                          long rows, long depth, long outputs, int add);

/// Words of four bytes that `tessera_pack_head` writes for a head of `keys` keys.
long tessera_packed_head_size(long keys, long width, int element);

/// Floats of working memory that `tessera_attend` needs for `rows` queries.
long tessera_attend_scratch_size(long rows, long width, int element);

/// Lays out one head's keys and values, whose rows are `ldk` and `ldv` elements apart.
void tessera_pack_head(const void *keys, long ldk, const void *values, long ldv, long count,
                       long width, void *packed, int element);

/// Scaled dot-product attention of `rows` queries to a packed head, one block of keys at a time
/// with a running softmax (Milakov and Gimelshein 2018; Dao et al. 2022), so that the weights of all
/// queries over all keys are never in memory. Where `causal_from` ≥ 0, row r sees only the first
/// `causal_from` + r + 1 keys. Of bfloat16 elements, the weights are rounded to bfloat16, too, unless
/// they are multiplied as floats.
void tessera_attend(const void *queries, long ldq, const void *packed, void *out, long ldo,
                    long rows, long keys, long width, long causal_from, float *scratch,
                    int element);

/// One row per output pixel, from pixel `first` on, each of `kernel` · `kernel` · `channels` inputs
/// (kernel row, kernel column, channel); positions outside the `height` × `width` picture are 0.
void tessera_im2col(const float *picture, long height, long width, long channels, long kernel,
                    long stride, long top, long left, long out_width, long first, long count,
                    float *columns);

/// A 3 × 3 convolution of stride 1 over one picture `[height, width, inputs]`, with `top` and `left` zeros before it.
/// Inputs and outputs are multiples of 16.
struct tessera_winograd {
    long height, width, inputs;
    long out_height, out_width, outputs;
    long top, left;
    int element;
};

/// Lays out kernels `[outputs, inputs, 3, 3]` as elements for `tessera_convolve_winograd`, as many as there are.
void tessera_winograd_pack(const float *weight, long inputs, long outputs, void *packed,
                           int element);

/// Floats of working memory for a block of tiles.
long tessera_winograd_scratch_size(long inputs, long tiles);

/// Computes some outputs (from a multiple of 64 on) of `tiles` tiles of 4 × 4 pixels, counted along the rows, by
/// Winograd's products in float32 (Lavin and Gray, 2016); plus `second`, if any. Bits do not depend on
/// which tiles and outputs are computed together.
void tessera_convolve_winograd(const struct tessera_winograd *of, long first, long tiles,
                               long first_output, long end_output, const void *picture,
                               const void *packed, const float *bias, const void *second, void *out,
                               float *scratch);

/// Floats of working memory for a block of tiles.
long tessera_winograd_pairs_scratch_size(long inputs, long tiles);

/// As `tessera_convolve_winograd`, of bfloat16 numbers, tiles of 2 × 2 pixels and with products of pairs, for processors
/// that `tessera_has_bfloat16`.
void tessera_convolve_winograd_pairs(const struct tessera_winograd *of, long first, long tiles,
                                     long first_output, long end_output, const void *picture,
                                     const void *packed, const float *bias, const void *second,
                                     void *out, float *scratch);

/// IEEE half precision to float; `from` may lie at any address.
void tessera_from_half(const void *from, float *out, long count);

/// Float to IEEE half precision, rounded to nearest, ties to even; `out` may lie at any address.
void tessera_to_half(const float *from, void *out, long count);

/// bfloat16 to float; `from` may lie at any address.
void tessera_from_bfloat(const void *from, float *out, long count);

/// Whether no 16-bit float of `count` has all bits of `exponent` set, which infinities and NaN have: 0x7C00 for
/// half, 0x7F80 for bfloat16. `from` may lie at any address.
int tessera_finite_words(const void *from, long count, unsigned exponent);

/// The same for floats.
int tessera_finite_floats(const void *from, long count);

/// A non-cryptographic checksum of `count` bytes, as fast as memory.
unsigned long long tessera_checksum(const void *bytes, size_t count);

/// Hints to the processor that this thread is spinning (PAUSE).
static inline void tessera_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/// Names the calling thread, as debuggers and `top -H` show it (15 bytes at most).
void tessera_name_thread(const char *name);

/// Whether the processor has AVX2 and fused products and sums, as in Haswell (2013) and Zen (2017).
int tessera_has_avx2(void);

/// Whether the processor has AVX-512 as in Skylake-SP (2017) and later.
int tessera_has_avx512(void);

/// Whether the processor has AVX512-BF16.
int tessera_has_bfloat16(void);

/// Whether Intel made the processor.
int tessera_is_intel(void);

/// Makes OpenBLAS use the kernels of this processor.
///
/// OpenBLAS knows the processors that existed when it was released and falls back on kernels of
/// 2004 for later ones, at a fifth of the speed. In that case it is initialised
/// again for the best family whose instructions the processor has. Must be called before any other
/// thread uses OpenBLAS; does nothing when OPENBLAS_CORETYPE is set, or where this OpenBLAS cannot
/// be initialised again.
void tessera_wake_openblas(void);

#endif
