#include "Pairs.h"
#include "Vector.h"

typedef unsigned short bfloat;

#define ELEMENT float
#define GET(v) (v)
#define PUT(v) (v)
#define NAMED(name) name##_f32
#define ROUGHLY(name) tessera_##name
#include "Elements.h"

#define ELEMENT bfloat
#define GET(v) tessera_bits_to_float((unsigned)(v) << 16)
#define PUT(v) tessera_to_bfloat(v)
#define NAMED(name) name##_bf16
#define ROUGHLY(name) tessera_rough_##name
#include "Elements.h"

/// Calls the version of a loop for the given element type.
#define FOR_ELEMENT(element, name, ...) \
    if (element == TESSERA_BF16) name##_bf16(__VA_ARGS__); \
    else name##_f32(__VA_ARGS__)

void tessera_activate(const void *x, void *out, long count, int function, int element) {
    FOR_ELEMENT(element, activate, x, out, count, function);
}

void tessera_add(const void *a, const void *b, void *out, long count, int element) {
    FOR_ELEMENT(element, add, a, b, out, count);
}

void tessera_gate(const void *value, const void *gate, long rows, long columns, void *out, long ldo,
                  int element) {
    if (element == TESSERA_BF16 && tessera_has_bfloat16())
        tessera_gate_pairs(value, gate, rows, columns, out, ldo);
    else
        FOR_ELEMENT(element, gate, value, gate, rows, columns, out, ldo);
}

void tessera_scale_shift(const void *x, void *out, long rows, long columns, const float *scale,
                         const float *shift, int function, int element) {
    FOR_ELEMENT(element, scale_shift, x, out, rows, columns, scale, shift, function);
}

void tessera_column_moments(const void *x, long rows, long columns, double *sum, double *squares,
                            int element) {
    FOR_ELEMENT(element, column_moments, x, rows, columns, sum, squares);
}

void tessera_layer_norm(const void *x, void *out, long rows, long columns, const float *scale,
                        const float *shift, float epsilon, int element) {
    FOR_ELEMENT(element, layer_norm, x, out, rows, columns, scale, shift, epsilon);
}

void tessera_from_float(const float *x, void *out, long count, int element) {
    FOR_ELEMENT(element, from_float, x, out, count);
}

void tessera_to_float(const void *x, float *out, long count, int element) {
    FOR_ELEMENT(element, to_float, x, out, count);
}
