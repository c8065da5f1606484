#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#include "CTorch.h"

/// Bytes, as NVML reports them.
struct memory {
    unsigned long long all, free, used;
};

int tessera_nvidia_gpu(int index, char *name, size_t size, uint64_t *free_bytes, uint64_t *all_bytes) {
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) return 1;
    int (*start)(void), (*find)(unsigned, void **), (*name_of)(void *, char *, unsigned);
    int (*memory_of)(void *, struct memory *);
    const struct {
        void *slot;
        const char *name;
    } table[] = {
        {&start, "nvmlInit_v2"},
        {&find, "nvmlDeviceGetHandleByIndex_v2"},
        {&name_of, "nvmlDeviceGetName"},
        {&memory_of, "nvmlDeviceGetMemoryInfo"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        void *found = dlsym(library, table[i].name);
        if (!found) return 1;
        memcpy(table[i].slot, &found, sizeof found);
    }
    void *gpu;
    struct memory memory;
    if (start() || find((unsigned)index, &gpu) || name_of(gpu, name, (unsigned)size) || memory_of(gpu, &memory)) return 1;
    *free_bytes = memory.free;
    *all_bytes = memory.all;
    return 0;
}

int tessera_nvidia_temperature(int index) {
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) return -1;
    int (*start)(void), (*find)(unsigned, void **), (*temperature)(void *, int, unsigned *);
    const struct {
        void *slot;
        const char *name;
    } table[] = {
        {&start, "nvmlInit_v2"},
        {&find, "nvmlDeviceGetHandleByIndex_v2"},
        {&temperature, "nvmlDeviceGetTemperature"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        void *found = dlsym(library, table[i].name);
        if (!found) return -1;
        memcpy(table[i].slot, &found, sizeof found);
    }
    void *gpu;
    unsigned degrees;
    // 0: the sensor of the GPU's die.
    if (start() || find((unsigned)index, &gpu) || temperature(gpu, 0, &degrees)) return -1;
    return (int)degrees;
}
