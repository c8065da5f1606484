// A library with the C functions of PyTorch that Tessera calls, which fails on request. Tests build it:
//
//     cc -shared -fPIC -O1 fake_torch.c -o FOLDER/libtorch_cpu.so [-DWITHOUT_DISPATCHER] [-DWITHOUT_PINNED]
//
// Its tensors have no content, and everything that is downloaded is 0.1; with TESSERA_FAKE_TORCH_REAL=FOLDER all calls are
// forwarded to the PyTorch in that folder. TESSERA_FAKE_TORCH says what fails:
//
//     oom@K        the K-th operator runs out of memory
//     empty@K      there is no memory for the K-th new tensor
//     full@K       there is no memory for new tensors from the K-th on
//     rows>N       operators run out of memory with more than N rows in a batch
//     lost@K       the device is lost at the K-th operator, and stays lost
//     lost@K:FILE  the same, but only in the first two processes, which are counted in FILE
//     hang@K       the K-th operator never returns
//
// K counts from when the variable was set. TESSERA_FAKE_TORCH_LOG=FILE gets a line for each operator ("call aten::linear") and
// each copy from or to the caller's memory ("upload 2x8x8x4", "download 2x8x8x4").
//
// With TESSERA_FAKE_TORCH_GPUS=N and a libtorch_cuda.so, which may be empty, it has the devices cuda:0 … cuda:N-1, which are the
// processor. TESSERA_FAKE_TORCH_FREE=BYTES is their free memory, as CUDA's runtime would report it; without it that is unknown.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef uint64_t Value;
typedef struct {
    int64_t axes, sizes[8];
    float *memory;
} Tensor;
typedef struct {
    size_t count;
    Value items[16];
} List;

static _Thread_local char message[300];
static long calls, tensors;

static int failed(const char *text) {
    snprintf(message, sizeof message, "%s", text);
    return 1;
}

/// What should fail; the counters start over when it changes.
static const char *wish(void) {
    static char last[4096];
    const char *now = getenv("TESSERA_FAKE_TORCH");
    if (strcmp(now ? now : "", last)) {
        snprintf(last, sizeof last, "%s", now ? now : "");
        calls = tensors = 0;
    }
    return now;
}

static void note(const char *what, const char *which) {
    const char *path = getenv("TESSERA_FAKE_TORCH_LOG");
    FILE *log = path ? fopen(path, "a") : NULL;
    if (!log) return;
    fprintf(log, "%s %s\n", what, which);
    fclose(log);
}

/// Tensors in the caller's memory, and page-locked ones.
static struct Host {
    void *handle;
    bool is_pinned;
    char shape[100];
} hosts[256];

static struct Host *host(void *handle) {
    for (int i = 0; i < 256; i++)
        if (hosts[i].handle == handle) return hosts + i;
    return NULL;
}

static void remember(void *handle, bool is_pinned, int64_t axes, const int64_t *sizes) {
    // Only for the log, which supports one thread.
    struct Host *place = getenv("TESSERA_FAKE_TORCH_LOG") ? host(NULL) : NULL;
    if (!place) return;
    place->handle = handle;
    place->is_pinned = is_pinned;
    int length = *place->shape = 0;
    for (int64_t i = 0; i < axes && length < 80; i++)
        length += snprintf(place->shape + length, 20, "%s%ld", i ? "x" : "", (long)sizes[i]);
}

static void *real(const char *name) {
    static void *library;
    const char *folder = getenv("TESSERA_FAKE_TORCH_REAL");
    if (!folder) return NULL;
    if (!library) {
        char path[4096];
        snprintf(path, sizeof path, "%s/libtorch_cpu.so", folder);
        library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
        if (!library) {
            fprintf(stderr, "fake torch: %s\n", dlerror());
            exit(99);
        }
    }
    return dlsym(library, name);
}

/// Calls the real function of this name where there is one.
#define FORWARD(name, ...)                                       \
    do {                                                         \
        static __typeof__(&name) function;                       \
        if (!function) function = (__typeof__(&name))real(#name); \
        if (function) return function(__VA_ARGS__);              \
    } while (0)

/// The same, but the caller continues: whether there is a real function.
#define FORWARDED(outcome, name, ...)                                \
    ({                                                               \
        static __typeof__(&name) function;                           \
        if (!function) function = (__typeof__(&name))real(#name);     \
        if (function) outcome = function(__VA_ARGS__);               \
        function != NULL;                                            \
    })

static Tensor *made(int64_t axes, const int64_t *sizes) {
    Tensor *t = calloc(1, sizeof *t);
    t->axes = axes;
    for (int64_t i = 0; i < axes && i < 8; i++) t->sizes[i] = sizes ? sizes[i] : 1;
    return t;
}

uint64_t aoti_torch_abi_version(void) {
    FORWARD(aoti_torch_abi_version);
    return 0x20f000000000000;
}
int32_t aoti_torch_dtype_float32(void) { return 6; }
int32_t aoti_torch_dtype_bfloat16(void) { return 15; }
int32_t aoti_torch_dtype_float16(void) { return 5; }
int32_t aoti_torch_dtype_int64(void) { return 4; }
int32_t aoti_torch_device_type_cpu(void) { return 0; }
void aoti_torch_grad_mode_set_enabled(bool on) { FORWARD(aoti_torch_grad_mode_set_enabled, on); }

int32_t aoti_torch_create_tensor_from_blob(
    void *data, int64_t axes, const int64_t *sizes, const int64_t *strides, int64_t offset, int32_t type, int32_t device,
    int32_t index, void **result
) {
    int32_t outcome = 0;
    if (!FORWARDED(outcome, aoti_torch_create_tensor_from_blob, data, axes, sizes, strides, offset, type, device, index, result)) {
        Tensor *t = made(axes, sizes);
        if (type == 6) t->memory = data;
        *result = t;
    }
    if (!outcome) remember(*result, false, axes, sizes);
    return outcome;
}
int32_t aoti_torch_empty_strided(
    int64_t axes, const int64_t *sizes, const int64_t *strides, int32_t type, int32_t device, int32_t index, void **result
) {
    const char *text = wish();
    long k = 0;
    tensors++;
    if (text && ((sscanf(text, "empty@%ld", &k) == 1 && tensors == k) ||
                 (sscanf(text, "full@%ld", &k) == 1 && tensors >= k)))
        return failed("CUDA out of memory. Tried to allocate 2.00 GiB (fake)");
    FORWARD(aoti_torch_empty_strided, axes, sizes, strides, type,
        device, index, result
    );
    *result = made(axes, sizes);
    return 0;
}
#ifndef WITHOUT_PINNED
/// Ordinary memory, which a PyTorch without CUDA has as well.
int32_t aoti_torch_empty_strided_pinned(
    int64_t axes, const int64_t *sizes, const int64_t *strides, int32_t type, int32_t device, int32_t index, void **result
) {
    int32_t outcome = 0;
    if (!FORWARDED(outcome, aoti_torch_empty_strided, axes, sizes, strides, type, device, index, result))
        *result = made(axes, sizes);
    if (!outcome) remember(*result, true, axes, sizes);
    return outcome;
}
#endif
int32_t aoti_torch_get_data_ptr(void *tensor, void **result) {
    FORWARD(aoti_torch_get_data_ptr, tensor, result);
    return failed("no tensor has content (fake)");
}
int cudaGetDevice(int *index) { return *index = 0; }
int cudaSetDevice(int index) { return index != 0; }
int cudaMemGetInfo(size_t *available, size_t *all) {
    const char *text = getenv("TESSERA_FAKE_TORCH_FREE");
    if (!text) return 1;
    *available = strtoull(text, NULL, 10);
    *all = (size_t)150 << 30;
    return 0;
}
int32_t aoti_torch__reinterpret_tensor(
    void *tensor, int64_t axes, const int64_t *sizes, const int64_t *strides, int64_t offset, void **result
) {
    FORWARD(aoti_torch__reinterpret_tensor, tensor, axes, sizes, strides, offset,
        result
    );
    *result = made(axes, sizes);
    return 0;
}
int32_t aoti_torch_copy_(void *to, void *from, int32_t wait) {
    struct Host *source = host(from), *target = host(to);
    if (target && !target->is_pinned) note("download", target->shape);
    if (source && !target) note("upload", source->shape);
    FORWARD(aoti_torch_copy_, to, from, wait);
    Tensor *t = to;
    int64_t count = 1;
    for (int64_t i = 0; i < t->axes; i++) count *= t->sizes[i];
    for (int64_t i = 0; t->memory && i < count; i++) t->memory[i] = 0.1f;
    return 0;
}
int32_t aoti_torch_aten_subtract_Tensor(void *a, void *b, double factor, void **result) {
    FORWARD(aoti_torch_aten_subtract_Tensor, a, b, factor, result);
    *result = made(((Tensor *)a)->axes, ((Tensor *)a)->sizes);
    return 0;
}
int32_t aoti_torch_aten_pad(
    void *x, const int64_t *pairs, int64_t count, const char *mode, double *value, void **result
) {
    FORWARD(aoti_torch_aten_pad, x, pairs, count, mode, value, result
    );
    *result = made(((Tensor *)x)->axes, ((Tensor *)x)->sizes);
    return 0;
}
int32_t aoti_torch_get_dim(void *tensor, int64_t *axes) {
    FORWARD(aoti_torch_get_dim, tensor, axes);
    *axes = ((Tensor *)tensor)->axes;
    return 0;
}
int32_t aoti_torch_get_size(void *tensor, int64_t axis, int64_t *size) {
    FORWARD(aoti_torch_get_size, tensor, axis, size);
    *size = ((Tensor *)tensor)->sizes[axis];
    return 0;
}
int32_t aoti_torch_get_stride(void *tensor, int64_t axis, int64_t *stride) {
    FORWARD(aoti_torch_get_stride, tensor, axis, stride);
    *stride = 0;
    return 0;
}
int32_t aoti_torch_new_tensor_handle(void *tensor, void **result) {
    FORWARD(aoti_torch_new_tensor_handle, tensor, result);
    Tensor *t = malloc(sizeof *t);
    memcpy(t, tensor, sizeof *t);
    *result = t;
    return 0;
}
int32_t aoti_torch_delete_tensor_object(void *tensor) {
    struct Host *place = host(tensor);
    if (place) place->handle = NULL;
    FORWARD(aoti_torch_delete_tensor_object, tensor);
    free(tensor);
    return 0;
}
int32_t torch_new_list_reserve_size(size_t size, void **result) {
    FORWARD(torch_new_list_reserve_size, size, result);
    *result = calloc(1, sizeof(List));
    return 0;
}
int32_t torch_list_push_back(void *list, Value value) {
    FORWARD(torch_list_push_back, list, value);
    List *l = list;
    l->items[l->count++] = value;
    return 0;
}
int32_t torch_new_string_handle(const char *text, size_t length, void **result) {
    FORWARD(torch_new_string_handle, text, length, result);
    *result = calloc(1, 1);
    return 0;
}
int32_t torch_new_stable_ivalue(Value **result) {
    FORWARD(torch_new_stable_ivalue, result);
    *result = calloc(1, sizeof **result);
    return 0;
}
int32_t torch_parse_device_string(const char *name, uint32_t *type, int32_t *index) {
    const char *gpus = getenv("TESSERA_FAKE_TORCH_GPUS");
    if (gpus && !strncmp(name, "cuda:", 5)) {
        *message = 0;
        *type = 0;
        *index = 0;
        return atoi(name + 5) < atoi(gpus) ? 0 : failed("CUDA error: invalid device ordinal (fake)");
    }
    FORWARD(torch_parse_device_string, name, type, index);
    if (!strncmp(name, "mps", 3) || !strncmp(name, "xpu", 3))
        return failed("Could not run 'aten::empty.memory_format' with arguments from another backend (fake)");
    *type = 0;
    *index = 0;
    return 0;
}
void _ZN2at15set_num_threadsEi(int count) { FORWARD(_ZN2at15set_num_threadsEi, count); }

const char *torch_exception_get_what_without_backtrace(void) {
    if (*message) return message;
    FORWARD(torch_exception_get_what_without_backtrace);
    return "";
}

/// Whether this process is one of the first two, which are counted in FILE.
static bool is_early(const char *file) {
    static int place = -1;
    if (place < 0) {
        FILE *f = fopen(file, "a+");
        if (!f) return false;
        fprintf(f, "x");
        fflush(f);
        place = (int)ftell(f);
        fclose(f);
    }
    return place <= 2;
}

/// - Returns: whether this operator fails
static int fault(Value *stack, const char *name) {
    const char *text = wish();
    *message = 0;
    calls++;
    note("call", name);
    if (!text) return 0;
    long k = 0;
    if (sscanf(text, "rows>%ld", &k) == 1) {
        int64_t rows = 0;
        bool is_batched = !strcmp(name, "aten::conv2d") || !strcmp(name, "aten::group_norm");
        if (is_batched) aoti_torch_get_size((void *)(uintptr_t)stack[0], 0, &rows);
        return rows > k ? failed("CUDA out of memory. Tried to allocate 2.00 GiB (fake)") : 0;
    }
    const char *at = strchr(text, '@');
    if (!at || sscanf(at, "@%ld", &k) != 1) return 0;
    if (!strncmp(text, "oom", 3) && calls == k)
        return failed("CUDA out of memory. Tried to allocate 2.00 GiB (fake)");
    if (!strncmp(text, "hang", 4) && calls == k)
        for (;;) pause();
    const char *file = strchr(text, ':');
    if (!strncmp(text, "lost", 4) && calls >= k && (!file || is_early(file + 1)))
        return failed("CUDA error: unspecified launch failure (fake)");
    return 0;
}

#ifndef WITHOUT_DISPATCHER
int32_t torch_call_dispatcher(const char *name, const char *overload, Value *stack, uint64_t version) {
    if (fault(stack, name)) return 1;
    FORWARD(torch_call_dispatcher, name, overload, stack, version);
    Tensor *first = (Tensor *)(uintptr_t)stack[0];
    if (!strcmp(name, "aten::cat")) first = (Tensor *)(uintptr_t)((List *)(uintptr_t)stack[0])->items[0];
    stack[0] = (Value)(uintptr_t)made(first->axes, first->sizes);
    if (!strcmp(name, "aten::var_mean")) stack[1] = (Value)(uintptr_t)made(1, NULL);
    return 0;
}
#endif
