/// The parts of oneDNN, versions 2 and 3, that Tessera uses: matrix products and convolutions of channels-last
/// activations, with weights in oneDNN's own packed layout and fused post-ops.
///
/// The caller checks shapes. When oneDNN fails, constructors return null and `tessera_dnnl_run` returns nonzero.
/// Everything runs in the calling thread, and several threads may run the same operation at once. Element types,
/// functions and second operands are those of CKernels.h.
#ifndef TESSERA_ONEDNN_H
#define TESSERA_ONEDNN_H

#include <stddef.h>

#include "CKernels.h"

/// A matrix product or convolution of one shape.
typedef struct tessera_dnnl_operation *tessera_dnnl_operation;
/// Memory layout of packed weights.
typedef struct tessera_dnnl_layout *tessera_dnnl_layout;

/// Dimensions of a convolution with zero padding.
typedef struct {
    long batch, height, width, inputs, out_height, out_width, outputs, kernel, stride;
    long top, left, bottom, right;
} tessera_convolution;

/// The version of the loaded library, such as "2.6.3".
const char *tessera_dnnl_version(void);
/// The instruction set that oneDNN uses on this processor.
const char *tessera_dnnl_instructions(void);
/// The layout for matrix products with weights `[outputs, inputs]`.
tessera_dnnl_layout tessera_dnnl_matrix_layout(long inputs, long outputs, int element);
/// The layout for a convolution with weights `[outputs, inputs, kernel, kernel]`; oneDNN's choice also depends on the
/// dimensions of the pictures.
tessera_dnnl_layout tessera_dnnl_kernel_layout(const tessera_convolution *c, int element);
/// Whether two layouts are the same.
int tessera_dnnl_same_layout(tessera_dnnl_layout a, tessera_dnnl_layout b);
void tessera_dnnl_free_layout(tessera_dnnl_layout layout);
/// Size of packed weights, in bytes.
size_t tessera_dnnl_packed_size(tessera_dnnl_layout layout);
/// Packs float32 weights, given in row-major order.
int tessera_dnnl_pack(tessera_dnnl_layout layout, const float *weights, void *packed);
/// Converts packed weights to another layout.
int tessera_dnnl_repack(tessera_dnnl_layout before, const void *from, tessera_dnnl_layout after,
                        void *to);

/// f(a · Wᵀ + bias), then combined with a second operand as `with` says; `function` is one of TESSERA_IDENTITY….
tessera_dnnl_operation tessera_dnnl_product(tessera_dnnl_layout layout, long rows, int bias,
                                            int function, int with);
/// A convolution of channels-last pictures plus bias, then combined with a second operand as `with` says.
tessera_dnnl_operation tessera_dnnl_convolve(tessera_dnnl_layout layout, const tessera_convolution *c,
                                             int bias, int with);
void tessera_dnnl_free_operation(tessera_dnnl_operation operation);
/// oneDNN's name for the implementation that it chose.
const char *tessera_dnnl_implementation(tessera_dnnl_operation operation);
/// Scratch memory that a run needs, in bytes.
size_t tessera_dnnl_scratch_size(tessera_dnnl_operation operation);
/// `bias` is float32; `second` has the shape of `out`; each may be null if the operation was created without it.
int tessera_dnnl_run(tessera_dnnl_operation operation, const void *in, const void *packed,
                     const float *bias, const void *second, void *out, void *scratch);

#endif
