#include "COneDNN.h"

#include <dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// From libgomp, which Debian's oneDNN uses for its threads.
extern void omp_set_num_threads(int);

/// Limits oneDNN to the calling thread, both for compiling and for computing.
static void stay_alone(void) {
    static __thread int done;
    if (!done) omp_set_num_threads(1);
    done = 1;
}

// Memory descriptors are opaque in version 3 and structures in version 2.
#if DNNL_VERSION_MAJOR >= 3
#define REF(md) (md)
#define FREE_DESCRIPTION(md) \
    do { \
        if (md) dnnl_memory_desc_destroy(md); \
    } while (0)
#else
#define REF(md) (&(md))
#define FREE_DESCRIPTION(md) (void)(md)
#endif

typedef dnnl_memory_desc_t description;

static int describe(description *md, int rank, const long *extents, dnnl_data_type_t type,
                    const long *strides) {
    dnnl_dims_t dims, steps;
    for (int i = 0; i < rank; i++) {
        dims[i] = extents[i];
        steps[i] = strides ? strides[i] : 0;
    }
#if DNNL_VERSION_MAJOR >= 3
    dnnl_status_t status =
        strides ? dnnl_memory_desc_create_with_strides(md, rank, dims, type, steps)
                : dnnl_memory_desc_create_with_tag(md, rank, dims, type, dnnl_format_tag_any);
#else
    dnnl_status_t status = strides ? dnnl_memory_desc_init_by_strides(md, rank, dims, type, steps)
                                   : dnnl_memory_desc_init_by_tag(md, rank, dims, type, dnnl_format_tag_any);
#endif
    return status == dnnl_success;
}

static description copied(const_dnnl_primitive_desc_t pd, dnnl_query_t what) {
#if DNNL_VERSION_MAJOR >= 3
    description md = NULL;
    dnnl_memory_desc_clone(&md, dnnl_primitive_desc_query_md(pd, what, 0));
    return md;
#else
    return *dnnl_primitive_desc_query_md(pd, what, 0);
#endif
}

static dnnl_data_type_t type_of(int element) { return element == TESSERA_BF16 ? dnnl_bf16 : dnnl_f32; }

static dnnl_engine_t engine(void) {
    static dnnl_engine_t shared;
    static int made;
    // If two threads race here, each creates one; the loser's is never freed.
    if (!__atomic_load_n(&made, __ATOMIC_ACQUIRE)) {
        dnnl_engine_t mine;
        if (dnnl_engine_create(&mine, dnnl_cpu, 0) != dnnl_success) return NULL;
        __atomic_store_n(&shared, mine, __ATOMIC_RELEASE);
        __atomic_store_n(&made, 1, __ATOMIC_RELEASE);
    }
    return __atomic_load_n(&shared, __ATOMIC_ACQUIRE);
}

const char *tessera_dnnl_version(void) {
    static char text[32];
    const dnnl_version_t *v = dnnl_version();
    snprintf(text, sizeof text, "%d.%d.%d", v->major, v->minor, v->patch);
    return text;
}

const char *tessera_dnnl_instructions(void) {
    switch ((int)dnnl_get_effective_cpu_isa()) {
        case dnnl_cpu_isa_sse41: return "sse41";
        case dnnl_cpu_isa_avx: return "avx";
        case dnnl_cpu_isa_avx2: return "avx2";
        case dnnl_cpu_isa_avx512_core: return "avx512_core";
        case dnnl_cpu_isa_avx512_core_vnni: return "avx512_core_vnni";
        case dnnl_cpu_isa_avx512_core_bf16: return "avx512_core_bf16";
        default: return dnnl_get_effective_cpu_isa() > dnnl_cpu_isa_avx512_core_bf16 ? "avx512_core_amx" : "other";
    }
}

// MARK: Operations

struct tessera_dnnl_layout {
    description packed, plain;
    int element;
    long inputs, outputs;
};

struct tessera_dnnl_operation {
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t primitive;
    description in, packed, bias, second, out, scratch;
    int has_bias, has_second, second_slot, sums;
};

static dnnl_primitive_desc_t product_description(description *in, description *weights, description *bias,
                                                 description *out, dnnl_primitive_attr_t attributes) {
    dnnl_primitive_desc_t pd = NULL;
#if DNNL_VERSION_MAJOR >= 3
    dnnl_matmul_primitive_desc_create(&pd, engine(), *in, *weights, bias ? *bias : NULL, *out, attributes);
#else
    dnnl_matmul_desc_t what;
    if (dnnl_matmul_desc_init(&what, in, weights, bias, out) == dnnl_success)
        dnnl_primitive_desc_create(&pd, &what, attributes, engine(), NULL);
#endif
    return pd;
}

static dnnl_primitive_desc_t convolution_description(const tessera_convolution *c, description *in,
                                                     description *weights, description *bias,
                                                     description *out, dnnl_primitive_attr_t attributes) {
    dnnl_primitive_desc_t pd = NULL;
    dnnl_dims_t strides = {c->stride, c->stride}, dilates = {0, 0};
    dnnl_dims_t before = {c->top, c->left}, after = {c->bottom, c->right};
#if DNNL_VERSION_MAJOR >= 3
    dnnl_convolution_forward_primitive_desc_create(&pd, engine(), dnnl_forward_inference,
                                                   dnnl_convolution_direct, *in, *weights,
                                                   bias ? *bias : NULL, *out, strides, dilates, before,
                                                   after, attributes);
#else
    dnnl_convolution_desc_t what;
    if (dnnl_dilated_convolution_forward_desc_init(&what, dnnl_forward_inference, dnnl_convolution_direct, in,
                                                   weights, bias, out, strides, dilates, before,
                                                   after) == dnnl_success)
        dnnl_primitive_desc_create(&pd, &what, attributes, engine(), NULL);
#endif
    return pd;
}

/// Applies a function, then a second operand with the shape of the result; or, for `sum`, adds the previous contents of
/// the result.
static dnnl_primitive_attr_t make_attributes(int function, int with, int sum, description *second) {
    dnnl_primitive_attr_t attributes = NULL;
    if (dnnl_primitive_attr_create(&attributes) != dnnl_success) return NULL;
    dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
    dnnl_post_ops_t after = NULL;
    dnnl_post_ops_create(&after);
    dnnl_alg_kind_t kind = function == TESSERA_GELU ? dnnl_eltwise_gelu_erf : dnnl_eltwise_swish;
    float alpha = function == TESSERA_QUICK_GELU ? 1.702f : function == TESSERA_SILU ? 1.0f : 0.0f;
    if (function) {
#if DNNL_VERSION_MAJOR >= 3
        dnnl_post_ops_append_eltwise(after, kind, alpha, 0);
#else
        dnnl_post_ops_append_eltwise(after, 1, kind, alpha, 0);
#endif
    }
    if (sum) {
#if DNNL_VERSION_MAJOR >= 3
        dnnl_post_ops_append_sum(after, 1, 0, dnnl_data_type_undef);
#else
        dnnl_post_ops_append_sum(after, 1);
#endif
    } else if (with)
        dnnl_post_ops_append_binary(after, with == TESSERA_ADD ? dnnl_binary_add : dnnl_binary_mul, REF(*second));
    dnnl_primitive_attr_set_post_ops(attributes, after);
    dnnl_post_ops_destroy(after);
    return attributes;
}

static void describe_pictures(description *md, long n, long channels, long height, long width, int element) {
    describe(md, 4, (long[]){n, channels, height, width}, type_of(element),
             (long[]){height * width * channels, 1, width * channels, channels});
}

/// Takes ownership of `pd`; returns null if it is null or oneDNN refuses.
static tessera_dnnl_operation operation(dnnl_primitive_desc_t pd, int has_bias, int function, int with,
                                        int sum) {
    if (!pd) return NULL;
    tessera_dnnl_operation it = calloc(1, sizeof *it);
    it->pd = pd;
    it->in = copied(pd, dnnl_query_src_md), it->packed = copied(pd, dnnl_query_weights_md);
    it->out = copied(pd, dnnl_query_dst_md), it->scratch = copied(pd, dnnl_query_scratchpad_md);
    it->has_bias = has_bias, it->has_second = with != TESSERA_NOTHING && !sum, it->sums = sum;
    it->second_slot = function ? 1 : 0;
#if DNNL_VERSION_MAJOR >= 3
    if (has_bias) dnnl_memory_desc_clone(&it->bias, dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 1));
#else
    if (has_bias) it->bias = *dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 1);
#endif
    if (dnnl_primitive_create(&it->primitive, pd) == dnnl_success) return it;
    tessera_dnnl_free_operation(it);
    return NULL;
}

tessera_dnnl_operation tessera_dnnl_product(tessera_dnnl_layout layout, long rows, int has_bias, int function,
                                            int with) {
    stay_alone();
    description in = {0}, bias = {0}, out = {0};
    describe(&in, 2, (long[]){rows, layout->inputs}, type_of(layout->element), (long[]){layout->inputs, 1});
    describe(&out, 2, (long[]){rows, layout->outputs}, type_of(layout->element), (long[]){layout->outputs, 1});
    if (has_bias) describe(&bias, 2, (long[]){1, layout->outputs}, dnnl_f32, (long[]){layout->outputs, 1});
    dnnl_primitive_attr_t attributes = make_attributes(function, with, 0, &out);
    dnnl_primitive_desc_t pd =
        product_description(&in, &layout->packed, has_bias ? &bias : NULL, &out, attributes);
    tessera_dnnl_operation it = operation(pd, has_bias, function, with, 0);
    dnnl_primitive_attr_destroy(attributes);
    FREE_DESCRIPTION(in);
    FREE_DESCRIPTION(out);
    FREE_DESCRIPTION(bias);
    return it;
}

tessera_dnnl_operation tessera_dnnl_convolve(tessera_dnnl_layout layout, const tessera_convolution *c,
                                             int has_bias, int with) {
    stay_alone();
    description in = {0}, bias = {0}, out = {0};
    describe_pictures(&in, c->batch, c->inputs, c->height, c->width, layout->element);
    describe_pictures(&out, c->batch, c->outputs, c->out_height, c->out_width, layout->element);
    if (has_bias) describe(&bias, 1, (long[]){c->outputs}, dnnl_f32, (long[]){1});
    dnnl_primitive_attr_t attributes = make_attributes(0, with, with == TESSERA_ADD, &out);
    dnnl_primitive_desc_t pd =
        convolution_description(c, &in, &layout->packed, has_bias ? &bias : NULL, &out, attributes);
    tessera_dnnl_operation it = operation(pd, has_bias, 0, with, with == TESSERA_ADD);
    dnnl_primitive_attr_destroy(attributes);
    FREE_DESCRIPTION(in);
    FREE_DESCRIPTION(out);
    FREE_DESCRIPTION(bias);
    return it;
}

void tessera_dnnl_free_operation(tessera_dnnl_operation it) {
    if (!it) return;
    FREE_DESCRIPTION(it->in);
    FREE_DESCRIPTION(it->packed);
    FREE_DESCRIPTION(it->bias);
    FREE_DESCRIPTION(it->out);
    FREE_DESCRIPTION(it->scratch);
    if (it->primitive) dnnl_primitive_destroy(it->primitive);
    dnnl_primitive_desc_destroy(it->pd);
    free(it);
}

const char *tessera_dnnl_implementation(tessera_dnnl_operation it) {
    const char *name = "";
    dnnl_primitive_desc_query(it->pd, dnnl_query_impl_info_str, 0, &name);
    return name;
}

size_t tessera_dnnl_scratch_size(tessera_dnnl_operation it) {
    return dnnl_memory_desc_get_size(REF(it->scratch));
}

int tessera_dnnl_run(tessera_dnnl_operation it, const void *in, const void *packed, const float *bias,
                     const void *second, void *out, void *scratch) {
    stay_alone();
    static __thread dnnl_stream_t stream;
    if (!stream && dnnl_stream_create(&stream, engine(), dnnl_stream_default_flags) != dnnl_success) return 1;
    struct {
        int what, present;
        description *description;
        const void *at;
    } all[] = {
        {DNNL_ARG_SRC, 1, &it->in, in},
        {DNNL_ARG_WEIGHTS, 1, &it->packed, packed},
        {DNNL_ARG_BIAS, it->has_bias, &it->bias, bias},
        {DNNL_ARG_ATTR_MULTIPLE_POST_OP(it->second_slot) | DNNL_ARG_SRC_1, it->has_second, &it->out, second},
        {DNNL_ARG_DST, 1, &it->out, out},
        {DNNL_ARG_SCRATCHPAD, 1, &it->scratch, scratch},
    };
    // oneDNN has no fast convolution that adds another operand, but it has one that accumulates into the result.
    if (it->sums) memcpy(out, second, dnnl_memory_desc_get_size(REF(it->out)));
    dnnl_exec_arg_t args[sizeof all / sizeof *all];
    int count = 0, failed = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all && !failed; i++) {
        if (!all[i].present) continue;
        dnnl_memory_t memory = NULL;
        // oneDNN writes only to the result and the scratchpad.
        failed = dnnl_memory_create(&memory, REF(*all[i].description), engine(), (void *)all[i].at);
        if (!failed) args[count++] = (dnnl_exec_arg_t){all[i].what, memory};
    }
    failed = failed || dnnl_primitive_execute(it->primitive, stream, count, args) || dnnl_stream_wait(stream);
    for (int i = 0; i < count; i++) dnnl_memory_destroy(args[i].memory);
    return failed;
}

// MARK: Weights

static tessera_dnnl_layout layout(dnnl_primitive_desc_t pd, description plain, int element, long inputs,
                                  long outputs) {
    if (!pd) return NULL;
    tessera_dnnl_layout it = calloc(1, sizeof *it);
    *it = (struct tessera_dnnl_layout){copied(pd, dnnl_query_weights_md), plain, element, inputs, outputs};
    dnnl_primitive_desc_destroy(pd);
    return it;
}

/// The number of rows for which matrix layouts are chosen; the layouts work with any other number, too.
enum { ROWS = 256 };

tessera_dnnl_layout tessera_dnnl_matrix_layout(long inputs, long outputs, int element) {
    stay_alone();
    description in = {0}, weights = {0}, out = {0}, plain = {0};
    dnnl_data_type_t type = type_of(element);
    describe(&in, 2, (long[]){ROWS, inputs}, type, (long[]){inputs, 1});
    describe(&weights, 2, (long[]){inputs, outputs}, type, NULL);
    describe(&out, 2, (long[]){ROWS, outputs}, type, (long[]){outputs, 1});
    describe(&plain, 2, (long[]){inputs, outputs}, dnnl_f32, (long[]){1, inputs});
    dnnl_primitive_attr_t attributes = make_attributes(0, TESSERA_NOTHING, 0, NULL);
    dnnl_primitive_desc_t pd = product_description(&in, &weights, NULL, &out, attributes);
    dnnl_primitive_attr_destroy(attributes);
    FREE_DESCRIPTION(in);
    FREE_DESCRIPTION(weights);
    FREE_DESCRIPTION(out);
    return layout(pd, plain, element, inputs, outputs);
}

tessera_dnnl_layout tessera_dnnl_kernel_layout(const tessera_convolution *c, int element) {
    stay_alone();
    description in = {0}, weights = {0}, out = {0}, plain = {0};
    long extents[] = {c->outputs, c->inputs, c->kernel, c->kernel};
    describe_pictures(&in, c->batch, c->inputs, c->height, c->width, element);
    describe(&weights, 4, extents, type_of(element), NULL);
    describe_pictures(&out, c->batch, c->outputs, c->out_height, c->out_width, element);
    describe(&plain, 4, extents, dnnl_f32,
             (long[]){c->inputs * c->kernel * c->kernel, c->kernel * c->kernel, c->kernel, 1});
    dnnl_primitive_attr_t attributes = make_attributes(0, TESSERA_NOTHING, 0, NULL);
    dnnl_primitive_desc_t pd = convolution_description(c, &in, &weights, NULL, &out, attributes);
    dnnl_primitive_attr_destroy(attributes);
    FREE_DESCRIPTION(in);
    FREE_DESCRIPTION(weights);
    FREE_DESCRIPTION(out);
    return layout(pd, plain, element, c->inputs, c->outputs);
}

int tessera_dnnl_same_layout(tessera_dnnl_layout a, tessera_dnnl_layout b) {
    return dnnl_memory_desc_equal(REF(a->packed), REF(b->packed));
}

void tessera_dnnl_free_layout(tessera_dnnl_layout it) {
    if (!it) return;
    FREE_DESCRIPTION(it->packed);
    FREE_DESCRIPTION(it->plain);
    free(it);
}

size_t tessera_dnnl_packed_size(tessera_dnnl_layout it) { return dnnl_memory_desc_get_size(REF(it->packed)); }

static int reorder(const description *before, const void *from, const description *after, void *to) {
    stay_alone();
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_stream_t stream = NULL;
    dnnl_memory_t source = NULL, target = NULL;
    int failed = dnnl_memory_create(&source, REF(*before), engine(), (void *)from) ||
                 dnnl_memory_create(&target, REF(*after), engine(), to) ||
                 dnnl_reorder_primitive_desc_create(&pd, REF(*before), engine(), REF(*after), engine(), NULL) ||
                 dnnl_primitive_create(&primitive, pd) ||
                 dnnl_stream_create(&stream, engine(), dnnl_stream_default_flags);
    if (!failed) {
        dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, source}, {DNNL_ARG_TO, target}};
        failed = dnnl_primitive_execute(primitive, stream, 2, args) || dnnl_stream_wait(stream);
    }
    if (source) dnnl_memory_destroy(source);
    if (target) dnnl_memory_destroy(target);
    if (stream) dnnl_stream_destroy(stream);
    if (primitive) dnnl_primitive_destroy(primitive);
    if (pd) dnnl_primitive_desc_destroy(pd);
    return failed;
}

int tessera_dnnl_pack(tessera_dnnl_layout it, const float *weights, void *packed) {
    return reorder(&it->plain, weights, &it->packed, packed);
}

int tessera_dnnl_repack(tessera_dnnl_layout before, const void *from, tessera_dnnl_layout after, void *to) {
    return reorder(&before->packed, from, &after->packed, to);
}
