/// Shared by the kernels: run-time dispatch by processor, and elementary functions that the compiler can vectorise (no
/// branches, no calls, no tables).
#ifndef TESSERA_VECTOR_H
#define TESSERA_VECTOR_H

#include "CKernels.h"

/// Compiles a function once per instruction set; the loader binds the best version.
#define TESSERA_KERNEL \
    __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#define TESSERA_INLINE static inline __attribute__((always_inline))

TESSERA_INLINE float tessera_bits_to_float(unsigned bits) {
    float value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}

TESSERA_INLINE unsigned tessera_float_to_bits(float value) {
    unsigned bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return bits;
}

/// e^x with a relative error of about 1e-7; x is clamped to −87…88, where e^x is a normal float.
///
/// x = n·ln 2 + r, |r| ≤ ln 2 / 2; e^r by a minimax polynomial (Lawson fit of (e^r − 1 − r)/r²).
TESSERA_INLINE float tessera_exp(float x) {
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    // Adding 1.5 · 2^23 rounds to the nearest integer and leaves it in the low mantissa bits.
    float shifted = x * 1.44269504f + 12582912.0f;
    float n = shifted - 12582912.0f;
    float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 0.00138146011f;
    p = p * r + 0.00836871658f;
    p = p * r + 0.041668389f;
    p = p * r + 0.166665211f;
    p = p * r + 0.49999994f;
    float e = (p * r) * r + r + 1.0f;
    unsigned exponent = tessera_float_to_bits(shifted) << 23;
    return tessera_bits_to_float(tessera_float_to_bits(e) + exponent);
}

/// The error function with an absolute error of about 1e-7.
///
/// An odd polynomial for |x| ≤ 1; beyond that 1 − e^q(|x|), with q fitted to ln erfc (both Lawson fits).
TESSERA_INLINE float tessera_erf(float x) {
    float a = __builtin_fabsf(x);
    float s = x * x;
    float p = 7.8891230e-05f;
    p = p * s - 0.00080208422f;
    p = p * s + 0.00518953567f;
    p = p * s - 0.0268544443f;
    p = p * s + 0.112836003f;
    p = p * s - 0.37612626f;
    p = p * s + 0.128379166f;
    float small = x + x * p;

    float t = a > 4.1f ? 4.1f : a;
    float q = 0.000186776786f;
    q = q * t - 0.00295187486f;
    q = q * t + 0.0218563043f;
    q = q * t - 0.103147954f;
    q = q * t - 0.638093591f;
    q = q * t - 1.12712252f;
    q = q * t - 0.000332691969f;
    float large = __builtin_copysignf(1.0f - tessera_exp(q), x);
    return a > 1.0f ? large : small;
}

TESSERA_INLINE float tessera_silu(float x) { return x / (1.0f + tessera_exp(-x)); }

TESSERA_INLINE float tessera_quick_gelu(float x) {
    return x / (1.0f + tessera_exp(-1.702f * x));
}

TESSERA_INLINE float tessera_gelu(float x) {
    return 0.5f * x * (1.0f + tessera_erf(x * 0.707106781f));
}

/// The same with a relative error of 5e-4, a quarter of bfloat16's rounding error.
///
/// Φ(−a) = 2^q(a), q fitted to log₂ Φ(−a) for 0 ≤ a ≤ 6, 2^q as in `tessera_exp` (both Lawson fits).
TESSERA_INLINE float tessera_rough_gelu(float x) {
    float a = __builtin_fabsf(x);
    a = a > 6.0f ? 6.0f : a;
    float q = -0.000201684656f;
    q = q * a + 0.0044676126f;
    q = q * a - 0.0428327844f;
    q = q * a - 0.472785503f;
    q = q * a - 1.14439988f;
    q = q * a - 1.00053179f;
    float shifted = q + 12582912.0f;
    float f = q - (shifted - 12582912.0f);
    float p = 0.0551716694f;
    p = p * f + 0.242611131f;
    p = p * f + 0.693260986f;
    p = p * f + 0.999928073f;
    unsigned exponent = tessera_float_to_bits(shifted) << 23;
    float tail = tessera_bits_to_float(tessera_float_to_bits(p) + exponent);
    return x * (x < 0 ? tail : 1.0f - tail);
}

/// Runs `statement` with `APPLY(v)` bound to the chosen function, so that the choice is made outside the loops.
#define TESSERA_WITH_FUNCTION(function, LOOP) \
    switch (function) { \
        case TESSERA_SILU: LOOP(tessera_silu); break; \
        case TESSERA_GELU: LOOP(tessera_gelu); break; \
        case TESSERA_QUICK_GELU: LOOP(tessera_quick_gelu); break; \
        default: LOOP(); break; \
    }

/// `x` rounded to the nearest bfloat16, ties to even; NaN stays NaN.
TESSERA_INLINE unsigned short tessera_to_bfloat(float x) {
    unsigned bits = tessera_float_to_bits(x);
    unsigned rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
    unsigned quiet = (bits >> 16) | 0x40u;
    return (unsigned short)((bits & 0x7FFFFFFFu) > 0x7F800000u ? quiet : rounded);
}

/// Columns that one pass keeps in registers.
enum { PANEL = 16 };

/// Sum of f(x[i]) with PANEL accumulators; the order of additions does not depend on the vector width.
#define TESSERA_PANEL_SUM(result, count, TERM) \
    { \
        float lanes[PANEL] = {0}; \
        long i = 0; \
        for (; i + PANEL <= (count); i += PANEL) \
            for (int j = 0; j < PANEL; j++) lanes[j] += TERM(i + j); \
        for (; i < (count); i++) lanes[i % PANEL] += TERM(i); \
        for (int half = PANEL / 2; half > 0; half /= 2) \
            for (int j = 0; j < half; j++) lanes[j] += lanes[j + half]; \
        result = lanes[0]; \
    }

#endif
