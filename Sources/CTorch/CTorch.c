#define _GNU_SOURCE
#include "CTorch.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/// One argument or result of an operator.
typedef uint64_t Value;
typedef void *List;

/// PyTorch's functions. A call consumes the tensors on its stack.
struct tessera_torch {
    int32_t (*call)(const char *, const char *, Value *, uint64_t);
    uint64_t (*version)(void);
    int32_t (*from_blob)(
        void *, int64_t, const int64_t *, const int64_t *, int64_t, int32_t, int32_t, int32_t, tessera_tensor *
    );
    int32_t (*empty)(
        int64_t, const int64_t *, const int64_t *, int32_t, int32_t, int32_t, tessera_tensor *
    );
    int32_t (*view)(
        tessera_tensor, int64_t, const int64_t *, const int64_t *, int64_t, tessera_tensor *
    );
    int32_t (*copy)(tessera_tensor, tessera_tensor, int32_t);
    int32_t (*subtract)(tessera_tensor, tessera_tensor, double, tessera_tensor *);
    int32_t (*pad)(tessera_tensor, const int64_t *, int64_t, const char *, double *, tessera_tensor *);
    int32_t (*axes)(tessera_tensor, int64_t *);
    int32_t (*stride)(tessera_tensor, int64_t, int64_t *);
    int32_t (*again)(tessera_tensor, tessera_tensor *);
    int32_t (*forget)(tessera_tensor);
    int32_t (*new_list)(size_t, List *);
    int32_t (*push)(List, Value);
    int32_t (*new_string)(const char *, size_t, void **);
    int32_t (*parse_device)(const char *, uint32_t *, int32_t *);
    int32_t (*types[4])(void);
    int32_t (*cpu)(void);
    void (*gradients)(bool);
    // Optional functions.
    const char *(*what)(void);
    int32_t (*new_value)(Value **);
    void (*set_threads)(int);
    void (*openmp_threads)(int);
    int32_t (*pinned)(
        int64_t, const int64_t *, const int64_t *, int32_t, int32_t, int32_t, tessera_tensor *
    );
    int32_t (*data)(tessera_tensor, void **);
    // From the CUDA runtime, if it is loaded.
    int (*cuda_memory)(size_t *, size_t *), (*cuda_device)(int *), (*cuda_select)(int);
};

static _Thread_local char fault[4096];

const char *tessera_torch_fault(void) { return fault; }

static int failed(tessera_torch torch) {
    const char *text = torch->what ? torch->what() : NULL;
    snprintf(fault, sizeof fault, "%s", text && *text ? text : "PyTorch gave no message");
    return 1;
}

/// - Returns: the name of the symbol that is missing
static const char *fill(tessera_torch torch, void *library) {
    const struct {
        void *slot;
        const char *name;
        int optional;
    } table[] = {
        {&torch->call, "torch_call_dispatcher", 0},
        {&torch->version, "aoti_torch_abi_version", 0},
        {&torch->from_blob, "aoti_torch_create_tensor_from_blob", 0},
        {&torch->empty, "aoti_torch_empty_strided", 0},
        {&torch->view, "aoti_torch__reinterpret_tensor", 0},
        {&torch->copy, "aoti_torch_copy_", 0},
        {&torch->subtract, "aoti_torch_aten_subtract_Tensor", 0},
        {&torch->pad, "aoti_torch_aten_pad", 0},
        {&torch->axes, "aoti_torch_get_dim", 0},
        {&torch->stride, "aoti_torch_get_stride", 0},
        {&torch->again, "aoti_torch_new_tensor_handle", 0},
        {&torch->forget, "aoti_torch_delete_tensor_object", 0},
        {&torch->new_list, "torch_new_list_reserve_size", 0},
        {&torch->push, "torch_list_push_back", 0},
        {&torch->new_string, "torch_new_string_handle", 0},
        {&torch->parse_device, "torch_parse_device_string", 0},
        {&torch->types[tessera_torch_float32], "aoti_torch_dtype_float32", 0},
        {&torch->types[tessera_torch_bfloat16], "aoti_torch_dtype_bfloat16", 0},
        {&torch->types[tessera_torch_float16], "aoti_torch_dtype_float16", 0},
        {&torch->types[tessera_torch_int64], "aoti_torch_dtype_int64", 0},
        {&torch->cpu, "aoti_torch_device_type_cpu", 0},
        {&torch->gradients, "aoti_torch_grad_mode_set_enabled", 0},
        // Available since 2.13.
        {&torch->what, "torch_exception_get_what_without_backtrace", 1},
        {&torch->new_value, "torch_new_stable_ivalue", 1},
        // at::set_num_threads(int), which is not part of the stable ABI.
        {&torch->set_threads, "_ZN2at15set_num_threadsEi", 1},
        {&torch->openmp_threads, "omp_set_num_threads", 1},
        {&torch->pinned, "aoti_torch_empty_strided_pinned", 1},
        {&torch->data, "aoti_torch_get_data_ptr", 1},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        void *found = dlsym(library, table[i].name);
        if (!found && !table[i].optional) return table[i].name;
        memcpy(table[i].slot, &found, sizeof found);
    }
    return NULL;
}

/// Loads functions of the CUDA runtime, which PyTorch's CUDA library depends on. Without them free memory is unknown.
static void fill_cuda(tessera_torch torch, void *library) {
    const struct {
        void *slot;
        const char *name;
    } table[] = {
        {&torch->cuda_memory, "cudaMemGetInfo"},
        {&torch->cuda_device, "cudaGetDevice"},
        {&torch->cuda_select, "cudaSetDevice"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        void *found = dlsym(library, table[i].name);
        memcpy(table[i].slot, &found, sizeof found);
    }
}

/// Whether a library's segments lie within its file: the loader would map a truncated one, and the process would die of
/// SIGBUS.
static bool is_whole(const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return true; // The loader will say why.
    struct stat status;
    Elf64_Ehdr header;
    bool whole = fstat(file, &status) == 0 && S_ISREG(status.st_mode);
    if (whole && pread(file, &header, sizeof header, 0) == (ssize_t)sizeof header
        && !memcmp(header.e_ident, ELFMAG, SELFMAG) && header.e_phentsize == sizeof(Elf64_Phdr)) {
        for (int i = 0; whole && i < header.e_phnum; i++) {
            Elf64_Phdr part;
            const uint64_t size = (uint64_t)status.st_size;
            whole = pread(file, &part, sizeof part, (off_t)(header.e_phoff + (uint64_t)i * sizeof part))
                    == (ssize_t)sizeof part
                && (part.p_type != PT_LOAD
                    || (part.p_filesz <= size && part.p_offset <= size - part.p_filesz));
        }
    }
    close(file);
    return whole;
}

/// The first truncated PyTorch library in a folder, or NULL.
static const char *truncated(const char *folder, int cuda) {
    static const char *const names[] = {"libc10.so", "libtorch_cpu.so", "libc10_cuda.so", "libtorch_cuda.so"};
    char path[4096];
    for (int i = 0; i < (cuda ? 4 : 2); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        if (!is_whole(path)) return names[i];
    }
    return NULL;
}

enum tessera_torch_opening tessera_torch_open(const char *folder, int cuda, tessera_torch *result) {
    char path[4096];
    // Idle CPU threads sleep: on a shared machine, spinning ones would take time from threads that compute. PyTorch's
    // OpenMP reads this when it is loaded.
    setenv("OMP_WAIT_POLICY", "passive", 0);
    // The library's own definitions take precedence: this process may have loaded another OpenBLAS or oneDNN.
    const int mode = RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND;
    const char *part = truncated(folder, cuda);
    if (part) {
        snprintf(fault, sizeof fault, "%s is truncated, or not a file", part);
        return tessera_torch_unloadable;
    }
    snprintf(path, sizeof path, "%s/libtorch_cpu.so", folder);
    void *library = dlopen(path, mode);
    if (!library) {
        snprintf(fault, sizeof fault, "%s", dlerror());
        return tessera_torch_unloadable;
    }
    tessera_torch torch = calloc(1, sizeof *torch);
    const char *missing = fill(torch, library);
    if (missing) {
        snprintf(fault, sizeof fault, "%s", missing);
        free(torch);
        return tessera_torch_symbol_missing;
    }
    if (cuda) {
        // Number GPUs as nvidia-smi does, unless the user chose otherwise.
        setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID", 0);
        snprintf(path, sizeof path, "%s/libtorch_cuda.so", folder);
        FILE *there = fopen(path, "r");
        if (there) fclose(there);
        // Loading it registers the same operators for the GPU.
        void *half = there ? dlopen(path, mode) : NULL;
        if (!half) {
            const char *message = there ? dlerror() : "there is no libtorch_cuda.so";
            snprintf(fault, sizeof fault, "%s", message);
            free(torch);
            return there ? tessera_torch_no_cuda_libraries : tessera_torch_no_cuda;
        }
        fill_cuda(torch, half);
    }
    *result = torch;
    return tessera_torch_opened;
}

int tessera_torch_parse_device(tessera_torch torch, const char *name, int32_t *type, int32_t *index) {
    uint32_t number;
    if (torch->parse_device(name, &number, index)) return failed(torch);
    *type = (int32_t)number;
    if (*index < 0) *index = 0;
    return 0;
}

/// The thread count that was last set in PyTorch for this thread.
static _Thread_local int threads_now;

void tessera_torch_threads(tessera_torch torch, int count) {
    if (threads_now != count && torch->set_threads) {
        torch->set_threads(count);
        threads_now = count;
    } else if (torch->openmp_threads) {
        torch->openmp_threads(count);
    }
}

void tessera_torch_one_thread(tessera_torch torch) {
    if (torch->openmp_threads) torch->openmp_threads(1);
}

int tessera_torch_empty(
    tessera_torch torch, int axes, const int64_t *sizes, const int64_t *strides, enum tessera_torch_type type,
    int32_t device, int32_t index, tessera_tensor *result
) {
    return torch->empty(axes, sizes, strides, torch->types[type](), device, index, result)
        ? failed(torch) : 0;
}

int tessera_torch_borrow(
    tessera_torch torch, void *memory, int axes, const int64_t *sizes, const int64_t *strides,
    enum tessera_torch_type type, tessera_tensor *result
) {
    int32_t code = torch->types[type]();
    return torch->from_blob(memory, axes, sizes, strides, 0, code, torch->cpu(), 0, result)
        ? failed(torch) : 0;
}

int tessera_torch_pinned(
    tessera_torch torch, int axes, const int64_t *sizes, const int64_t *strides, enum tessera_torch_type type,
    tessera_tensor *result
) {
    if (!torch->pinned) return 1;
    int32_t code = torch->types[type]();
    return torch->pinned(axes, sizes, strides, code, torch->cpu(), 0, result) ? failed(torch) : 0;
}

int tessera_torch_memory(tessera_torch torch, tessera_tensor tensor, void **result) {
    if (!torch->data) return 1;
    return torch->data(tensor, result) ? failed(torch) : 0;
}

int tessera_torch_free_memory(tessera_torch torch, int32_t index, uint64_t *free_bytes, uint64_t *all_bytes) {
    if (!torch->cuda_memory || !torch->cuda_device || !torch->cuda_select) return 1;
    int before;
    size_t available, all;
    if (torch->cuda_device(&before) || torch->cuda_select(index)) return 1;
    const int status = torch->cuda_memory(&available, &all);
    torch->cuda_select(before);
    if (status) return 1;
    *free_bytes = available;
    *all_bytes = all;
    return 0;
}

int tessera_torch_view(
    tessera_torch torch, tessera_tensor tensor, int axes, const int64_t *sizes, const int64_t *strides, int64_t offset,
    tessera_tensor *result
) {
    return torch->view(tensor, axes, sizes, strides, offset, result) ? failed(torch) : 0;
}

int tessera_torch_copy(tessera_torch torch, tessera_tensor to, tessera_tensor from, int without_waiting) {
    torch->gradients(false);
    return torch->copy(to, from, without_waiting) ? failed(torch) : 0;
}

int tessera_torch_add(tessera_torch torch, tessera_tensor a, tessera_tensor b, tessera_tensor *result) {
    torch->gradients(false);
    // aten::add takes its factor as a Scalar, which cannot be passed.
    return torch->subtract(a, b, -1, result) ? failed(torch) : 0;
}

int tessera_torch_pad(tessera_torch torch, tessera_tensor x, const int64_t *pairs, int count, tessera_tensor *result) {
    double zero = 0;
    torch->gradients(false);
    return torch->pad(x, pairs, count, "constant", &zero, result) ? failed(torch) : 0;
}

int tessera_torch_strides(tessera_torch torch, tessera_tensor tensor, int64_t *axes, int64_t *strides) {
    if (torch->axes(tensor, axes)) return failed(torch);
    for (int64_t i = 0; i < *axes && i < TESSERA_TORCH_AXES; i++)
        if (torch->stride(tensor, i, strides + i)) return failed(torch);
    return 0;
}

/// A value that the callee frees.
static int boxed(tessera_torch torch, Value value, Value *result) {
    Value *box;
    if (torch->new_value) {
        if (torch->new_value(&box)) return failed(torch);
    } else {
        box = malloc(sizeof *box);
    }
    *box = value;
    *result = (Value)(uintptr_t)box;
    return 0;
}

static int again(tessera_torch torch, tessera_tensor tensor, Value *result) {
    tessera_tensor copy;
    if (torch->again(tensor, &copy)) return failed(torch);
    *result = (Value)(uintptr_t)copy;
    return 0;
}

static int encode(tessera_torch torch, const tessera_torch_argument *a, Value *result) {
    List list;
    Value value;
    void *text;
    int32_t code;
    *result = 0;
    switch (a->kind) {
    case tessera_torch_none: return 0;
    case tessera_torch_tensor: return again(torch, a->tensors[0], result);
    case tessera_torch_optional_tensor:
        if (!a->tensors[0]) return 0;
        return again(torch, a->tensors[0], &value) || boxed(torch, value, result);
    case tessera_torch_tensors:
        if (torch->new_list(2, &list)) return failed(torch);
        for (int i = 0; i < 2; i++) {
            if (again(torch, a->tensors[i], &value)) return 1;
            if (torch->push(list, value)) return failed(torch);
        }
        *result = (Value)(uintptr_t)list;
        return 0;
    case tessera_torch_ints:
    case tessera_torch_optional_ints:
        if (torch->new_list((size_t)a->count, &list)) return failed(torch);
        for (int i = 0; i < a->count; i++)
            if (torch->push(list, (Value)a->ints[i])) return failed(torch);
        if (a->kind == tessera_torch_optional_ints)
            return boxed(torch, (Value)(uintptr_t)list, result);
        *result = (Value)(uintptr_t)list;
        return 0;
    case tessera_torch_int:
    case tessera_torch_bool:
        *result = (Value)a->ints[0];
        return 0;
    case tessera_torch_double:
        memcpy(result, &a->number, sizeof a->number);
        return 0;
    case tessera_torch_text:
        if (torch->new_string(a->text, strlen(a->text), &text)) return failed(torch);
        *result = (Value)(uintptr_t)text;
        return 0;
    case tessera_torch_dtype:
        code = torch->types[a->ints[0]]();
        *result = (Value)(uint32_t)code;
        return 0;
    }
    return 0;
}

int tessera_torch_call(
    tessera_torch torch, const char *operator_name, const char *overload, const tessera_torch_argument *arguments,
    int count, tessera_tensor *results, int result_count
) {
    Value stack[16];
    torch->gradients(false);
    for (int i = 0; i < count; i++)
        if (encode(torch, arguments + i, stack + i)) return 1;
    if (torch->call(operator_name, overload, stack, torch->version())) return failed(torch);
    for (int i = 0; i < result_count; i++) results[i] = (tessera_tensor)(uintptr_t)stack[i];
    return 0;
}

void tessera_torch_delete(tessera_torch torch, tessera_tensor tensor) { torch->forget(tensor); }
