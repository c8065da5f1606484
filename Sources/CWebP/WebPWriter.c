#include "CWebP.h"

#include <stdlib.h>
#include <string.h>
#include <webp/encode.h>

struct tessera_webp_writer {
    WebPPicture picture;
    WebPMemoryWriter output;
    int quality;
    int next;
    // An odd row that waits for the second row of its pair, because chroma is subsampled vertically.
    int has_pending;
    uint8_t *pair;
};

// Above this area, in pixels, a partition of the file could exceed the maximum that the format allows.
enum { LARGE = 1 << 24 };

tessera_webp_writer *tessera_webp_writer_open(uint32_t width, uint32_t height, int quality) {
    tessera_webp_writer *writer = calloc(1, sizeof *writer);
    if (!writer) return NULL;
    writer->quality = quality;
    WebPMemoryWriterInit(&writer->output);
    writer->pair = malloc((size_t)6 * width);
    int done = writer->pair && WebPPictureInit(&writer->picture);
    if (done) {
        writer->picture.width = (int)width;
        writer->picture.height = (int)height;
        done = WebPPictureAlloc(&writer->picture);
    }
    if (done) return writer;
    tessera_webp_writer_close(writer);
    return NULL;
}

// Converts rows and copies them into the planes. The number of rows is even, except at the end.
static int import(tessera_webp_writer *writer, const uint8_t *rows, int count, size_t stride) {
    WebPPicture strip, *whole = &writer->picture;
    if (!WebPPictureInit(&strip)) return -1;
    strip.width = whole->width;
    strip.height = count;
    if (!WebPPictureImportRGB(&strip, rows, (int)stride)) {
        WebPPictureFree(&strip);
        return -1;
    }
    size_t width = (size_t)whole->width, half = (width + 1) / 2;
    for (int y = 0; y < count; y++) {
        memcpy(whole->y + (size_t)(writer->next + y) * (size_t)whole->y_stride,
            strip.y + (size_t)y * (size_t)strip.y_stride, width);
    }
    for (int y = 0; y < (count + 1) / 2; y++) {
        size_t to = (size_t)(writer->next / 2 + y) * (size_t)whole->uv_stride;
        size_t from = (size_t)y * (size_t)strip.uv_stride;
        memcpy(whole->u + to, strip.u + from, half);
        memcpy(whole->v + to, strip.v + from, half);
    }
    writer->next += count;
    WebPPictureFree(&strip);
    return 0;
}

int tessera_webp_writer_rows(
    tessera_webp_writer *writer, const uint8_t *rows, size_t count, size_t stride) {
    size_t line = (size_t)3 * (size_t)writer->picture.width;
    if (count > 0 && writer->has_pending) {
        memcpy(writer->pair + line, rows, line);
        writer->has_pending = 0;
        if (import(writer, writer->pair, 2, line) != 0) return -1;
        rows += stride;
        count--;
    }
    size_t even = count / 2 * 2;
    if (even > 0 && import(writer, rows, (int)even, stride) != 0) return -1;
    if (count > even) {
        memcpy(writer->pair, rows + even * stride, line);
        writer->has_pending = 1;
    }
    return 0;
}

int tessera_webp_writer_encode(tessera_webp_writer *writer, const uint8_t **bytes, size_t *count) {
    size_t line = (size_t)3 * (size_t)writer->picture.width;
    if (writer->has_pending && import(writer, writer->pair, 1, line) != 0) return VP8_ENC_ERROR_OUT_OF_MEMORY;
    writer->has_pending = 0;
    WebPConfig config;
    if (!WebPConfigPreset(&config, WEBP_PRESET_DEFAULT, (float)writer->quality)) {
        return VP8_ENC_ERROR_INVALID_CONFIGURATION;
    }
    int64_t area = (int64_t)writer->picture.width * writer->picture.height;
    if (area > LARGE) config.partitions = 3;
    writer->picture.writer = WebPMemoryWrite;
    writer->picture.custom_ptr = &writer->output;
    int done = WebPEncode(&config, &writer->picture);
    if (!done && writer->picture.error_code == VP8_ENC_ERROR_PARTITION0_OVERFLOW) {
        // The first partition holds the modes of all blocks and has a maximum size: coarser modes fit.
        WebPMemoryWriterClear(&writer->output);
        writer->picture.error_code = VP8_ENC_OK;
        config.partition_limit = 100;
        done = WebPEncode(&config, &writer->picture);
    }
    if (!done) return writer->picture.error_code;
    *bytes = writer->output.mem;
    *count = writer->output.size;
    return 0;
}

void tessera_webp_writer_close(tessera_webp_writer *writer) {
    WebPMemoryWriterClear(&writer->output);
    WebPPictureFree(&writer->picture);
    free(writer->pair);
    free(writer);
}
