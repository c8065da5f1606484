/// Loops that are generic over the element type. `Elements.c` includes this file once per type.
///
/// `ELEMENT` is the type in memory, `GET` and `PUT` convert to and from float, `NAMED` gives the function its name, and
/// `ROUGHLY` picks the approximation that is accurate enough for the type.

TESSERA_KERNEL static void NAMED(activate)(const ELEMENT *x, ELEMENT *out, long count,
                                           int function) {
#define LOOP(F) \
    for (long i = 0; i < count; i++) out[i] = PUT(F(GET(x[i])))
    TESSERA_WITH_FUNCTION(function, LOOP)
#undef LOOP
}

TESSERA_KERNEL static void NAMED(add)(const ELEMENT *a, const ELEMENT *b, ELEMENT *out,
                                      long count) {
    for (long i = 0; i < count; i++) out[i] = PUT(GET(a[i]) + GET(b[i]));
}

TESSERA_KERNEL static void NAMED(gate)(const ELEMENT *value, const ELEMENT *gate, long rows,
                                       long columns, ELEMENT *restrict out, long ldo) {
    for (long r = 0; r < rows; r++)
        for (long c = 0; c < columns; c++)
            out[r * ldo + c] =
                PUT(GET(value[r * columns + c]) * ROUGHLY(gelu)(GET(gate[r * columns + c])));
}

TESSERA_KERNEL static void NAMED(scale_shift)(const ELEMENT *x, ELEMENT *restrict out, long rows,
                                              long columns, const float *restrict scale,
                                              const float *restrict shift, int function) {
#define LOOP(F) \
    for (long r = 0; r < rows; r++) \
        for (long c = 0; c < columns; c++) \
            out[r * columns + c] = PUT(F(GET(x[r * columns + c]) * scale[c] + shift[c]))
    TESSERA_WITH_FUNCTION(function, LOOP)
#undef LOOP
}

TESSERA_KERNEL static void NAMED(column_moments)(const ELEMENT *x, long rows, long columns,
                                                 double *sum, double *squares) {
    long c = 0;
    for (; c + PANEL <= columns; c += PANEL) {
        double s[PANEL] = {0}, q[PANEL] = {0};
        for (long r = 0; r < rows; r++) {
            const ELEMENT *row = x + r * columns + c;
            for (int j = 0; j < PANEL; j++) {
                double v = GET(row[j]);
                s[j] += v;
                q[j] += v * v;
            }
        }
        for (int j = 0; j < PANEL; j++) {
            sum[c + j] += s[j];
            squares[c + j] += q[j];
        }
    }
    for (; c < columns; c++) {
        for (long r = 0; r < rows; r++) {
            double v = GET(x[r * columns + c]);
            sum[c] += v;
            squares[c] += v * v;
        }
    }
}

TESSERA_KERNEL static void NAMED(layer_norm)(const ELEMENT *x, ELEMENT *out, long rows,
                                             long columns, const float *scale, const float *shift,
                                             float epsilon) {
    for (long r = 0; r < rows; r++) {
        const ELEMENT *from = x + r * columns;
        ELEMENT *to = out + r * columns;
        float sum, squares;
#define VALUE(i) GET(from[i])
        TESSERA_PANEL_SUM(sum, columns, VALUE)
        float mean = sum / (float)columns;
#define SQUARE(i) ((GET(from[i]) - mean) * (GET(from[i]) - mean))
        TESSERA_PANEL_SUM(squares, columns, SQUARE)
        float inverse = 1.0f / __builtin_sqrtf(squares / (float)columns + epsilon);
        for (long i = 0; i < columns; i++)
            to[i] = PUT((GET(from[i]) - mean) * inverse * scale[i] + shift[i]);
#undef VALUE
#undef SQUARE
    }
}

TESSERA_KERNEL static void NAMED(from_float)(const float *x, ELEMENT *out, long count) {
    for (long i = 0; i < count; i++) out[i] = PUT(x[i]);
}

TESSERA_KERNEL static void NAMED(to_float)(const ELEMENT *x, float *out, long count) {
    for (long i = 0; i < count; i++) out[i] = GET(x[i]);
}

#undef ELEMENT
#undef GET
#undef PUT
#undef NAMED
#undef ROUGHLY
