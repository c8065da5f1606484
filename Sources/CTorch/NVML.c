#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#include "CTorch.h"

/// NVML's memory information, in bytes.
struct memory {
    unsigned long long all, free, used;
};

/// The name of an NVML function and where to store its address.
struct entry {
    void *slot;
    const char *name;
};

/// Looks up NVML functions.
///
/// Returns 0, or 1 if the library or one of the functions is missing.
static int find_all(const struct entry *table, size_t count) {
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) return 1;
    for (size_t i = 0; i < count; i++) {
        void *found = dlsym(library, table[i].name);
        if (!found) return 1;
        memcpy(table[i].slot, &found, sizeof found);
    }
    return 0;
}

int tessera_nvidia_gpu(int index, char *name, size_t size, uint64_t *free_bytes, uint64_t *all_bytes) {
    int (*start)(void), (*find)(unsigned, void **), (*name_of)(void *, char *, unsigned);
    int (*memory_of)(void *, struct memory *);
    const struct entry table[] = {
        {&start, "nvmlInit_v2"},
        {&find, "nvmlDeviceGetHandleByIndex_v2"},
        {&name_of, "nvmlDeviceGetName"},
        {&memory_of, "nvmlDeviceGetMemoryInfo"},
    };
    if (find_all(table, sizeof table / sizeof *table)) return 1;
    void *gpu;
    struct memory memory;
    if (start() || find((unsigned)index, &gpu) || name_of(gpu, name, (unsigned)size) || memory_of(gpu, &memory)) return 1;
    *free_bytes = memory.free;
    *all_bytes = memory.all;
    return 0;
}

int tessera_nvidia_temperature(int index) {
    int (*start)(void), (*find)(unsigned, void **), (*temperature)(void *, int, unsigned *);
    const struct entry table[] = {
        {&start, "nvmlInit_v2"},
        {&find, "nvmlDeviceGetHandleByIndex_v2"},
        {&temperature, "nvmlDeviceGetTemperature"},
    };
    if (find_all(table, sizeof table / sizeof *table)) return -1;
    void *gpu;
    unsigned degrees;
    // 0: the sensor on the GPU die.
    if (start() || find((unsigned)index, &gpu) || temperature(gpu, 0, &degrees)) return -1;
    return (int)degrees;
}
