/// Hot loops of the CPU backends.
///
/// Every array is dense float32 in row-major order unless a row stride (`ld…`, in elements) is given.
/// Each kernel is compiled for AVX-512, AVX2 and the base instruction set, and the one that fits the
/// processor is chosen when the program is loaded. No kernel allocates, and none keeps state.
#ifndef TESSERA_CKERNELS_H
#define TESSERA_CKERNELS_H

/// Elementwise functions; the raw values are those of Swift's `Nonlinearity`.
enum {
    TESSERA_IDENTITY = 0,
    TESSERA_SILU = 1,
    TESSERA_GELU = 2,
    TESSERA_QUICK_GELU = 3,
};

/// out[i] = f(x[i]); in place where `out == x`.
void tessera_activate(const float *x, float *out, long count, int function);

/// out[i] = a[i] + b[i]; in place where `out == a`.
void tessera_add(const float *a, const float *b, float *out, long count);

/// c[r][j] = f(c[r][j] + bias[j] + channel[j]) + residual[r][j]; each of `bias`, `channel` and
/// `residual` may be null.
void tessera_finish(float *c, long rows, long columns, long ldc, const float *bias,
                    const float *channel, const float *residual, long ldr, int function);

/// out[r][j] = (x[r][j] + bias[j]) · gelu(x[r][columns + j] + bias[columns + j]); `x` has rows of
/// 2 · `columns`.
void tessera_geglu(const float *x, const float *bias, float *out, long rows, long columns);

/// Adds to sum[c] and squares[c] the sum and the sum of squares of column c over `rows` rows.
void tessera_column_moments(const float *x, long rows, long columns, double *sum, double *squares);

/// out[r][c] = f(x[r][c] · scale[c] + shift[c]).
void tessera_scale_shift(const float *x, float *out, long rows, long columns, const float *scale,
                         const float *shift, int function);

/// Every row to mean 0 and variance 1 (plus `epsilon`), then times `scale` plus `shift`.
void tessera_layer_norm(const float *x, float *out, long rows, long columns, const float *scale,
                        const float *shift, float epsilon);

/// Softmax of `factor` · x over each row, in place. Where `causal_from` ≥ 0, row r sees only its
/// first `causal_from` + r + 1 columns and the others become 0.
void tessera_softmax(float *x, long rows, long columns, float factor, long causal_from);

/// Floats that `tessera_pack` writes.
long tessera_packed_size(long depth, long outputs);

/// Lays out weights `[outputs, depth]` as `tessera_product` reads them, once per network.
void tessera_pack(const float *weight, long depth, long outputs, float *packed);

/// c = a · Wᵀ for `rows` rows of `depth` inputs and packed weights of `outputs` rows; c must not be
/// a. Each element is one chain of additions in the order of the inputs: the bits do not depend on
/// how many rows or outputs are computed together.
void tessera_product(const float *a, long lda, const float *packed, float *c, long ldc, long rows,
                     long depth, long outputs);

/// One row per output pixel, from pixel `first` on, each of `kernel` · `kernel` · `channels` inputs
/// (kernel row, kernel column, channel); positions outside the `height` × `width` picture are 0.
void tessera_im2col(const float *picture, long height, long width, long channels, long kernel,
                    long stride, long top, long left, long out_width, long first, long count,
                    float *columns);

/// IEEE half precision to float; `from` may lie at any address.
void tessera_from_half(const void *from, float *out, long count);

/// bfloat16 to float; `from` may lie at any address.
void tessera_from_bfloat(const void *from, float *out, long count);

/// Names the calling thread, as debuggers and `top -H` show it (15 bytes at most).
void tessera_name_thread(const char *name);

/// Makes OpenBLAS use the kernels of this processor.
///
/// OpenBLAS knows the processors that existed when it was released and falls back on kernels of
/// 2004 for later ones, at a fifth of the speed. Where that has happened, it is initialised once
/// more for the best family whose instructions the processor has. Must be called before any other
/// thread uses OpenBLAS; does nothing when OPENBLAS_CORETYPE is set, or where this OpenBLAS cannot
/// be initialised again.
void tessera_wake_openblas(void);

#endif
