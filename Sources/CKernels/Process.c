#define _GNU_SOURCE
#include "CKernels.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void tessera_name_thread(const char *name) {
    char cut[16];
    strncpy(cut, name, sizeof cut - 1);
    cut[sizeof cut - 1] = 0;
    pthread_setname_np(pthread_self(), cut);
}

/// The name of the best OpenBLAS kernel family that this processor can run, or null.
static const char *best_family(void) {
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")
        && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("avx512cd"))
        return "SkylakeX";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "Haswell";
    return NULL;
}

void tessera_wake_openblas(void) {
    typedef char *(*name_function)(void);
    typedef void (*plain_function)(void);
    const char *variable = "OPENBLAS_CORETYPE";
    const char *family = best_family();
    // These are OpenBLAS-internal symbols; builds for a single processor type lack the last two.
    name_function current = (name_function)dlsym(RTLD_DEFAULT, "openblas_get_corename");
    plain_function quit = (plain_function)dlsym(RTLD_DEFAULT, "gotoblas_dynamic_quit");
    plain_function start = (plain_function)dlsym(RTLD_DEFAULT, "gotoblas_dynamic_init");
    if (getenv(variable) || !family || !current || !quit || !start) return;
    static const char *const old[] = {"Prescott", "Core2", "Penryn", "Nehalem", "Generic"};
    for (size_t i = 0; i < sizeof old / sizeof *old; i++) {
        if (strcasecmp(current(), old[i]) != 0) continue;
        setenv(variable, family, 1);
        quit();
        start();
        unsetenv(variable);
        return;
    }
}

int tessera_has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

int tessera_has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

int tessera_has_bfloat16(void) { return __builtin_cpu_supports("avx512bf16") != 0; }

int tessera_is_intel(void) { return __builtin_cpu_is("intel") != 0; }
