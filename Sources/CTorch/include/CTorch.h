/// The parts of an installed PyTorch (2.10 or newer) that Tessera uses: its stable C functions, looked up with dlopen
/// and dlsym. PyTorch is not needed at build time.
///
/// Functions that can fail return 0 on success; otherwise `tessera_torch_fault` has PyTorch's own message. Tensors are
/// handles that the caller deletes. Gradients are never recorded. All functions may be called from several threads at
/// once.
#ifndef TESSERA_TORCH_H
#define TESSERA_TORCH_H

#include <stddef.h>
#include <stdint.h>

/// A loaded library; it is never unloaded.
typedef struct tessera_torch *tessera_torch;
typedef struct tessera_tensor *tessera_tensor;

/// Element types of tensors.
enum tessera_torch_type {
    tessera_torch_float32,
    tessera_torch_bfloat16,
    tessera_torch_float16,
    tessera_torch_int64,
};

/// Kinds of arguments, named after the types in the operators' schemas.
enum tessera_torch_kind {
    tessera_torch_none,             ///< an optional argument that is omitted
    tessera_torch_tensor,           ///< Tensor
    tessera_torch_optional_tensor,  ///< Tensor?
    tessera_torch_tensors,          ///< Tensor[] of two
    tessera_torch_ints,             ///< int[]
    tessera_torch_optional_ints,    ///< int[]?
    tessera_torch_int,              ///< int
    tessera_torch_bool,             ///< bool
    tessera_torch_double,           ///< float
    tessera_torch_text,             ///< str
    tessera_torch_dtype,            ///< ScalarType
};

#define TESSERA_TORCH_AXES 6

typedef struct {
    enum tessera_torch_kind kind;
    /// Number of `ints`.
    int count;
    int64_t ints[TESSERA_TORCH_AXES];
    double number;
    tessera_tensor tensors[2];
    const char *text;
} tessera_torch_argument;

static inline tessera_torch_argument tessera_torch_of_tensors(
    enum tessera_torch_kind kind, tessera_tensor first, tessera_tensor second
) {
    tessera_torch_argument a = {.kind = kind, .tensors = {first, second}};
    return a;
}
static inline tessera_torch_argument tessera_torch_of_int(enum tessera_torch_kind kind, int64_t value) {
    tessera_torch_argument a = {.kind = kind, .ints = {value}};
    return a;
}
static inline tessera_torch_argument tessera_torch_of_ints(
    enum tessera_torch_kind kind, const int64_t *values, int count
) {
    tessera_torch_argument a = {.kind = kind, .count = count};
    for (int i = 0; i < count && i < TESSERA_TORCH_AXES; i++) a.ints[i] = values[i];
    return a;
}
static inline tessera_torch_argument tessera_torch_of_double(double value) {
    tessera_torch_argument a = {.kind = tessera_torch_double, .number = value};
    return a;
}
/// The text must outlive the argument.
static inline tessera_torch_argument tessera_torch_of_text(const char *text) {
    tessera_torch_argument a = {.kind = tessera_torch_text, .text = text};
    return a;
}

/// The result of `tessera_torch_open`.
enum tessera_torch_opening {
    tessera_torch_opened,
    tessera_torch_unloadable,     ///< the fault is dlopen's message
    tessera_torch_symbol_missing, ///< the fault is the symbol's name
    tessera_torch_no_cuda,        ///< CUDA was asked for, and the library was built without it
    tessera_torch_no_cuda_libraries, ///< it was built with CUDA, but the CUDA library cannot be loaded
};

/// Opens `libtorch_cpu.so` in a folder, and `libtorch_cuda.so` next to it if `cuda` is set.
enum tessera_torch_opening tessera_torch_open(const char *folder, int cuda, tessera_torch *result);

/// The message of the last failure in this thread.
const char *tessera_torch_fault(void);

/// Translates a name such as "cuda:1" into PyTorch's device type and index.
int tessera_torch_parse_device(tessera_torch torch, const char *name, int32_t *type, int32_t *index);
/// Sets the number of CPU threads that operations use when called from this thread.
void tessera_torch_threads(tessera_torch torch, int count);
/// Resets OpenMP to one thread, for other libraries that use it in this thread.
void tessera_torch_one_thread(tessera_torch torch);

/// An uninitialised tensor.
int tessera_torch_empty(
    tessera_torch torch, int axes, const int64_t *sizes, const int64_t *strides, enum tessera_torch_type type,
    int32_t device, int32_t index, tessera_tensor *result
);
/// A tensor on the CPU that uses the caller's memory.
int tessera_torch_borrow(
    tessera_torch torch, void *memory, int axes, const int64_t *sizes, const int64_t *strides,
    enum tessera_torch_type type, tessera_tensor *result
);
/// An uninitialised tensor in page-locked host memory, from which a GPU can copy by DMA.
int tessera_torch_pinned(
    tessera_torch torch, int axes, const int64_t *sizes, const int64_t *strides, enum tessera_torch_type type,
    tessera_tensor *result
);
/// The address of a tensor's first element; only for tensors in host memory.
int tessera_torch_memory(tessera_torch torch, tessera_tensor tensor, void **result);
/// Free and total bytes of a CUDA device, as its driver counts them. Memory in PyTorch's cache is not counted as free.
int tessera_torch_free_memory(tessera_torch torch, int32_t index, uint64_t *free_bytes, uint64_t *all_bytes);
/// A view of the same storage.
int tessera_torch_view(
    tessera_torch torch, tessera_tensor tensor, int axes, const int64_t *sizes, const int64_t *strides, int64_t offset,
    tessera_tensor *result
);
/// Copies elements, converting their type and moving them between devices.
int tessera_torch_copy(tessera_torch torch, tessera_tensor to, tessera_tensor from, int without_waiting);
/// a + b, broadcast.
int tessera_torch_add(tessera_torch torch, tessera_tensor a, tessera_tensor b, tessera_tensor *result);
/// Pads the last axes with zeros; `pairs` starts with the last axis.
int tessera_torch_pad(tessera_torch torch, tessera_tensor x, const int64_t *pairs, int count, tessera_tensor *result);
/// Number of axes, and strides of at most TESSERA_TORCH_AXES axes, in elements.
int tessera_torch_strides(tessera_torch torch, tessera_tensor tensor, int64_t *axes, int64_t *strides);
/// Calls an operator, for example "aten::conv2d" with overload "", and stores the handles of its results.
int tessera_torch_call(
    tessera_torch torch, const char *operator_name, const char *overload, const tessera_torch_argument *arguments,
    int count, tessera_tensor *results, int result_count
);
void tessera_torch_delete(tessera_torch torch, tessera_tensor tensor);

/// Asks NVML for the name of an NVIDIA GPU and its memory in bytes. Returns nonzero if the driver or the GPU is missing.
int tessera_nvidia_gpu(int index, char *name, size_t size, uint64_t *free_bytes, uint64_t *all_bytes);

/// Asks NVML for the temperature of an NVIDIA GPU, in degrees Celsius. Returns a negative number if the driver or the GPU
/// is missing.
int tessera_nvidia_temperature(int index);

#endif
