/// Hot loops of the CPU backends.
///
/// Every array is dense float32 in row-major order unless a row stride (`ld…`, in elements) is given. Each kernel is
/// compiled for AVX-512, AVX2 and the baseline instruction set, and the best one for the processor is chosen at load
/// time. Kernels do not allocate and keep no state.
#ifndef TESSERA_CKERNELS_H
#define TESSERA_CKERNELS_H

#include <stddef.h>

/// Elementwise functions; the raw values match Swift's `Nonlinearity`.
enum {
    TESSERA_IDENTITY = 0,
    TESSERA_SILU = 1,
    TESSERA_GELU = 2,
    TESSERA_QUICK_GELU = 3,
};

/// Element types; the raw values match Swift's `Element`. Sums are accumulated in float or double.
enum { TESSERA_F32 = 0, TESSERA_BF16 = 1 };

/// In attention: bfloat16 elements that are multiplied as float32.
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

/// Normalises every row to mean 0 and variance 1 (with `epsilon` added to the variance), then multiplies by `scale` and
/// adds `shift`.
void tessera_layer_norm(const void *x, void *out, long rows, long columns, const float *scale,
                        const float *shift, float epsilon, int element);

/// Rounds floats to the element type.
void tessera_from_float(const float *x, void *out, long count, int element);

/// Converts elements to float.
void tessera_to_float(const void *x, float *out, long count, int element);

/// c[r][j] = f(c[r][j] + bias[j]), then adds or multiplies by second[r][j]; `bias` may be null.
void tessera_finish(float *c, long rows, long columns, long ldc, const float *bias,
                    const float *second, long lds, int function, int with);

/// out[r][j] = from[r][j], plus or times second[r][j], rounded to bfloat16; the rows of `out` and `second` are `ld`
/// elements apart.
void tessera_finish_bfloat(const float *from, long rows, long columns, const void *second, void *out,
                           long ld, int with);

/// Softmax of `factor` · x over each row, in place. If `causal_from` ≥ 0, row r sees only its first `causal_from` + r +
/// 1 columns, and the others become 0.
void tessera_softmax(float *x, long rows, long columns, float factor, long causal_from);

/// Number of floats that `tessera_pack` writes.
long tessera_packed_size(long depth, long outputs);

/// Packs weights for `tessera_product`; the weight of output j for input k is weight[j · output_step + k · depth_step].
void tessera_pack(const float *weight, long output_step, long depth_step, long depth, long outputs,
                  float *packed);

/// The same from bfloat16 weights.
void tessera_pack_widened(const unsigned short *weight, long output_step, long depth_step,
                          long depth, long outputs, float *packed);

/// c = a · Wᵀ, plus c if `add` is set, for `rows` rows of `depth` inputs and packed weights of `outputs` rows; c must
/// not alias a. Each element is one chain of additions in the order of the inputs, so the result is bit-identical
/// however many rows or outputs are computed together.
void tessera_product(const float *a, long lda, const float *packed, float *c, long ldc, long rows,
                     long depth, long outputs, int add);

/// Number of words that `tessera_pack_pairs` writes.
long tessera_packed_pairs_size(long depth, long outputs);

/// Packs bfloat16 weights for `tessera_pair_product`, like `tessera_pack`. One of the two steps must be 1.
void tessera_pack_pairs(const unsigned short *weight, long output_step, long depth_step, long depth,
                        long outputs, unsigned *packed);

/// Like `tessera_product`, for bfloat16 inputs with float32 sums. Rows of `a` are pairs of inputs, `lda` words apart;
/// if `depth` is odd, the second element of the last pair is 0.
void tessera_pair_product(const unsigned *a, long lda, const unsigned *packed, float *c, long ldc,
                          long rows, long depth, long outputs, int add);

/// Number of 4-byte words that `tessera_pack_head` writes for a head of `keys` keys.
long tessera_packed_head_size(long keys, long width, int element);

/// Scratch memory that `tessera_attend` needs for `rows` queries, in floats.
long tessera_attend_scratch_size(long rows, long width, int element);

/// Packs one head's keys and values, whose rows are `ldk` and `ldv` elements apart.
void tessera_pack_head(const void *keys, long ldk, const void *values, long ldv, long count,
                       long width, void *packed, int element);

/// Scaled dot-product attention of `rows` queries to a packed head, one block of keys at a time with a running softmax
/// (Milakov and Gimelshein 2018; Dao et al. 2022), so that the full weight matrix is never in memory. If `causal_from`
/// ≥ 0, row r sees only the first `causal_from` + r + 1 keys. For bfloat16 elements the weights are rounded to
/// bfloat16, too, unless the elements are multiplied as floats.
void tessera_attend(const void *queries, long ldq, const void *packed, void *out, long ldo,
                    long rows, long keys, long width, long causal_from, float *scratch,
                    int element);

/// Writes one row per output pixel, starting at pixel `first`, each of `kernel` · `kernel` · `channels` inputs (kernel
/// row, kernel column, channel); positions outside the `height` × `width` picture are 0.
void tessera_im2col(const float *picture, long height, long width, long channels, long kernel,
                    long stride, long top, long left, long out_width, long first, long count,
                    float *columns);

/// A 3 × 3 convolution with stride 1 over one picture `[height, width, inputs]`, padded with `top` rows and `left`
/// columns of zeros. The numbers of inputs and outputs are multiples of 16.
struct tessera_winograd {
    long height, width, inputs;
    long out_height, out_width, outputs;
    long top, left;
    int element;
};

/// Packs kernels `[outputs, inputs, 3, 3]` for `tessera_convolve_winograd`, as elements; the packed size equals the
/// unpacked one.
void tessera_winograd_pack(const float *weight, long inputs, long outputs, void *packed,
                           int element);

/// Scratch memory for a block of tiles, in floats.
long tessera_winograd_scratch_size(long inputs, long tiles);

/// Computes some outputs (`first_output` is a multiple of 64) of `tiles` tiles of 4 × 4 pixels, in row-major order,
/// with float32 Winograd products (Lavin and Gray, 2016), and adds `second` unless it is null. The result is
/// bit-identical however tiles and outputs are grouped.
void tessera_convolve_winograd(const struct tessera_winograd *of, long first, long tiles,
                               long first_output, long end_output, const void *picture,
                               const void *packed, const float *bias, const void *second, void *out,
                               float *scratch);

/// Scratch memory for a block of tiles, in floats.
long tessera_winograd_pairs_scratch_size(long inputs, long tiles);

/// Like `tessera_convolve_winograd`, but for bfloat16, with tiles of 2 × 2 pixels and pairwise products; needs
/// `tessera_has_bfloat16`.
void tessera_convolve_winograd_pairs(const struct tessera_winograd *of, long first, long tiles,
                                     long first_output, long end_output, const void *picture,
                                     const void *packed, const float *bias, const void *second,
                                     void *out, float *scratch);

/// IEEE half precision to float; `from` need not be aligned.
void tessera_from_half(const void *from, float *out, long count);

/// Float to IEEE half precision, rounded to nearest, ties to even; `out` need not be aligned.
void tessera_to_half(const float *from, void *out, long count);

/// bfloat16 to float; `from` need not be aligned.
void tessera_from_bfloat(const void *from, float *out, long count);

/// Whether none of `count` 16-bit floats is infinite or NaN, that is, has all bits of `exponent` set: 0x7C00 for half,
/// 0x7F80 for bfloat16. `from` need not be aligned.
int tessera_finite_words(const void *from, long count, unsigned exponent);

/// The same for float32.
int tessera_finite_floats(const void *from, long count);

/// A non-cryptographic checksum of `count` bytes, at memory bandwidth.
unsigned long long tessera_checksum(const void *bytes, size_t count);

/// Tells the processor that this thread is spinning (PAUSE).
static inline void tessera_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/// Names the calling thread, as shown by debuggers and `top -H` (at most 15 bytes).
void tessera_name_thread(const char *name);

/// Whether the processor has AVX2 and FMA, as in Haswell (2013) and Zen (2017).
int tessera_has_avx2(void);

/// Whether the processor has AVX-512 as in Skylake-SP (2017) and later.
int tessera_has_avx512(void);

/// Whether the processor has AVX512-BF16.
int tessera_has_bfloat16(void);

/// Whether Intel made the processor.
int tessera_is_intel(void);

/// Makes OpenBLAS use its best kernels for this processor.
///
/// OpenBLAS only knows processors from before its release, and falls back to kernels from 2004 for newer ones, at a
/// fifth of the speed. In that case it is reinitialised for the best kernel family that the processor supports. Must be
/// called before any other thread uses OpenBLAS; does nothing if OPENBLAS_CORETYPE is set or this OpenBLAS cannot be
/// reinitialised.
void tessera_wake_openblas(void);

#endif
