// How libFuzzer changes a PNG so that it remains one: chunk by chunk, with corrected checksums, and inside compressed
// data. Without this nearly every change ends at a CRC.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "Chunks.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

enum { MAX_CHUNKS = 64, MAX_INFLATED = 1 << 16, CHUNK_OVERHEAD = 12 };

static const uint8_t SIGNATURE[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
static const char *const TYPES[] = {
    "IHDR", "PLTE", "IDAT", "IEND", "tRNS", "gAMA", "cHRM", "sRGB", "iCCP", "sBIT", "bKGD", "hIST",
    "pHYs", "sPLT", "tIME", "iTXt", "tEXt", "zTXt", "eXIf", "cICP", "oFFs", "pCAL", "sCAL", "acTL"};
static const uint32_t EDGES[] = {0, 1, 2, 7, 8, 9, 255, 256, 257, 65535, 65536, 1u << 20, 0x7FFFFFFF,
                                 0x80000000u, 0xFFFFFFFFu};

typedef struct {
    uint8_t type[4];
    uint8_t *bytes;
    size_t size;
} chunk;

typedef struct {
    chunk items[MAX_CHUNKS];
    int count;
} picture;

static uint32_t state;

// SplitMix32.
static uint32_t next(void) {
    uint32_t z = (state += 0x9E3779B9u);
    z = (z ^ (z >> 16)) * 0x21F0AAADu;
    z = (z ^ (z >> 15)) * 0x735A2D97u;
    return z ^ (z >> 15);
}

static uint32_t below(uint32_t bound) { return bound ? next() % bound : 0; }

static uint32_t big(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void put_big(uint8_t *at, uint32_t value) {
    for (int i = 0; i < 4; i++) at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void replace(chunk *c, uint8_t *bytes, size_t size) {
    free(c->bytes);
    c->bytes = bytes;
    c->size = size;
}

static int split(const uint8_t *data, size_t size, picture *p) {
    p->count = 0;
    if (size < sizeof SIGNATURE || memcmp(data, SIGNATURE, sizeof SIGNATURE) != 0) return 0;
    size_t at = sizeof SIGNATURE;
    while (p->count < MAX_CHUNKS && size - at >= CHUNK_OVERHEAD) {
        size_t room = size - at - CHUNK_OVERHEAD, told = big(data + at);
        size_t length = told < room ? told : room;
        chunk *c = &p->items[p->count++];
        memcpy(c->type, data + at + 4, 4);
        c->bytes = malloc(length + 1);
        if (length) memcpy(c->bytes, data + at + 8, length);
        c->size = length;
        at += length + CHUNK_OVERHEAD;
    }
    return p->count > 0;
}

static size_t join(const picture *p, uint8_t *out, size_t max) {
    if (max < sizeof SIGNATURE) return 0;
    memcpy(out, SIGNATURE, sizeof SIGNATURE);
    size_t at = sizeof SIGNATURE;
    for (int i = 0; i < p->count; i++) {
        const chunk *c = &p->items[i];
        if (max - at < c->size + CHUNK_OVERHEAD) break;
        put_big(out + at, (uint32_t)c->size);
        memcpy(out + at + 4, c->type, 4);
        if (c->size) memcpy(out + at + 8, c->bytes, c->size);
        put_big(out + at + 8 + c->size, (uint32_t)crc32(0, out + at + 4, (uInt)c->size + 4));
        at += c->size + CHUNK_OVERHEAD;
    }
    return at;
}

// Inflates zlib data from `from` on, at most MAX_INFLATED bytes, lets libFuzzer change it, and compresses it again.
static void mutate_inflated(chunk *c, size_t from) {
    if (c->size <= from) return;
    uint8_t *plain = malloc(MAX_INFLATED);
    z_stream z = {0};
    z.next_in = c->bytes + from;
    z.avail_in = (uInt)(c->size - from);
    z.next_out = plain;
    z.avail_out = MAX_INFLATED;
    if (inflateInit(&z) == Z_OK) {
        inflate(&z, Z_FINISH);
        inflateEnd(&z);
    }
    size_t size = MAX_INFLATED - z.avail_out;
    size = LLVMFuzzerMutate(plain, size, MAX_INFLATED);
    uLong room = compressBound(size);
    uint8_t *packed = malloc(from + room + 1);
    memcpy(packed, c->bytes, from);
    if (compress2(packed + from, &room, plain, size, 1) == Z_OK) {
        replace(c, packed, from + room);
    } else {
        free(packed);
    }
    free(plain);
}

static void mutate_payload(chunk *c) {
    size_t room = c->size + 64;
    uint8_t *bytes = malloc(room);
    if (c->size) memcpy(bytes, c->bytes, c->size);
    replace(c, bytes, LLVMFuzzerMutate(bytes, c->size, room));
}

// Writes an edge-case number into four bytes somewhere.
static void mutate_number(chunk *c) {
    if (c->size < 4) return;
    uint32_t place = below((uint32_t)c->size - 3);
    if (memcmp(c->type, "IHDR", 4) == 0 && c->size >= 8) place = 4 * below(2);
    put_big(c->bytes + place, EDGES[below(sizeof EDGES / sizeof *EDGES)]);
}

static chunk copy(const chunk *c) {
    chunk made = *c;
    made.bytes = malloc(c->size + 1);
    if (c->size) memcpy(made.bytes, c->bytes, c->size);
    return made;
}

static void insert(picture *p, int place, chunk c) {
    if (p->count == MAX_CHUNKS) {
        free(c.bytes);
        return;
    }
    memmove(p->items + place + 1, p->items + place, (size_t)(p->count - place) * sizeof(chunk));
    p->items[place] = c;
    p->count++;
}

static void remove_at(picture *p, int place) {
    free(p->items[place].bytes);
    p->count--;
    memmove(p->items + place, p->items + place + 1, (size_t)(p->count - place) * sizeof(chunk));
}

static size_t compressed_from(const chunk *c) {
    if (memcmp(c->type, "IDAT", 4) == 0) return 0;
    // A name, a zero byte and the method precede the profile and the text.
    const uint8_t *end = c->size ? memchr(c->bytes, 0, c->size) : NULL;
    return end ? (size_t)(end - c->bytes) + 2 : 0;
}

static int is_compressed(const chunk *c) {
    return memcmp(c->type, "IDAT", 4) == 0 || memcmp(c->type, "iCCP", 4) == 0
        || memcmp(c->type, "zTXt", 4) == 0;
}

static void mutate_once(picture *p) {
    int place = (int)below((uint32_t)p->count);
    chunk *c = &p->items[place];
    switch (below(8)) {
    case 0: mutate_payload(c); break;
    case 1: mutate_number(c); break;
    case 2: insert(p, (int)below((uint32_t)p->count + 1), copy(c)); break;
    case 3: if (p->count > 1) remove_at(p, place); break;
    case 4: memcpy(c->type, TYPES[below(sizeof TYPES / sizeof *TYPES)], 4); break;
    case 5: {
        chunk moved = copy(c);
        remove_at(p, place);
        insert(p, (int)below((uint32_t)p->count + 1), moved);
        break;
    }
    default:
        if (is_compressed(c) && compressed_from(c) <= c->size) {
            mutate_inflated(c, compressed_from(c));
        } else {
            mutate_payload(c);
        }
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    state = seed;
    picture p;
    if (below(16) == 0 || !split(data, size, &p)) return LLVMFuzzerMutate(data, size, max_size);
    for (uint32_t i = 0; i <= below(3); i++) mutate_once(&p);
    size_t result = join(&p, data, max_size);
    for (int i = 0; i < p.count; i++) free(p.items[i].bytes);
    return result;
}

size_t png_with_profile(const uint8_t *profile, size_t size, int is_grey, uint8_t **out) {
    // One pixel, preceded by the profile.
    uint8_t header[13] = {0, 0, 0, 1, 0, 0, 0, 1, 8, (uint8_t)(is_grey ? 0 : 2), 0, 0, 0};
    uint8_t row[4] = {0, 10, 200, 90};
    uLong packed = compressBound(size), rows = compressBound(sizeof row);
    uint8_t *profile_bytes = malloc(packed + 4), *row_bytes = malloc(rows);
    memcpy(profile_bytes, "p\0\0", 3);
    compress2(profile_bytes + 3, &packed, profile, size, 0);
    compress2(row_bytes, &rows, row, is_grey ? 2 : 4, 0);
    picture p = {.count = 4};
    const char *types[] = {"IHDR", "iCCP", "IDAT", "IEND"};
    uint8_t *bytes[] = {header, profile_bytes, row_bytes, header};
    size_t sizes[] = {sizeof header, packed + 3, rows, 0}, whole = sizeof SIGNATURE;
    for (int i = 0; i < 4; i++) {
        memcpy(p.items[i].type, types[i], 4);
        p.items[i].bytes = bytes[i];
        p.items[i].size = sizes[i];
        whole += sizes[i] + CHUNK_OVERHEAD;
    }
    *out = malloc(whole);
    size_t made = join(&p, *out, whole);
    free(profile_bytes);
    free(row_bytes);
    return made;
}
