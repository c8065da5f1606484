#include "CPNG.h"

#include "Fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tessera_png_writer {
    tessera_png_fault fault;
    png_structp png;
    png_infop info;
    int descriptor;
    size_t pending;
    uint8_t buffer[1 << 16];
};

static void flush(png_structp png) {
    tessera_png_writer *writer = png_get_io_ptr(png);
    size_t done = 0;
    while (done < writer->pending) {
        ssize_t count = write(writer->descriptor, writer->buffer + done, writer->pending - done);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) png_error(png, strerror(errno));
        done += (size_t)count;
    }
    writer->pending = 0;
}

static void append(png_structp png, png_bytep bytes, size_t count) {
    tessera_png_writer *writer = png_get_io_ptr(png);
    while (count > 0) {
        size_t room = sizeof writer->buffer - writer->pending;
        size_t part = count < room ? count : room;
        memcpy(writer->buffer + writer->pending, bytes, part);
        writer->pending += part;
        bytes += part;
        count -= part;
        if (writer->pending == sizeof writer->buffer) flush(png);
    }
}

// libpng may request a flush after every chunk; `end` flushes once.
static void keep(png_structp png) { (void)png; }

tessera_png_writer *tessera_png_writer_open(
    int descriptor, uint32_t width, uint32_t height, int depth) {
    tessera_png_writer *writer = calloc(1, sizeof *writer);
    if (!writer) return NULL;
    writer->descriptor = descriptor;
    if (setjmp(writer->fault.landing) != 0) goto failed;
    writer->png = png_create_write_struct(
        PNG_LIBPNG_VER_STRING, &writer->fault, tessera_png_fail, tessera_png_ignore);
    if (!writer->png) goto failed;
    writer->info = png_create_info_struct(writer->png);
    if (!writer->info) goto failed;
    // The caller decides how large a picture may be.
    png_set_user_limits(writer->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_write_fn(writer->png, writer, append, keep);
    png_set_IHDR(
        writer->png, writer->info, width, height, depth, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
        PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_sRGB(writer->png, writer->info, PNG_sRGB_INTENT_PERCEPTUAL);
    return writer;
failed:
    tessera_png_writer_close(writer);
    return NULL;
}

// Converts UTF-8 to Latin-1 in place; returns 0 and changes nothing if a character is not in Latin-1.
static int to_latin1(char *text) {
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c >= 0xC4) return 0;
    }
    unsigned char *out = (unsigned char *)text;
    for (const unsigned char *c = out; *c; c++) {
        if (*c >= 0xC2 && c[1]) {
            *out++ = (unsigned char)((*c & 3) << 6 | (c[1] & 0x3F));
            c++;
        } else {
            *out++ = *c;
        }
    }
    *out = 0;
    return 1;
}

int tessera_png_writer_text(tessera_png_writer *writer, const char *key, const char *value) {
    char *volatile own = strdup(value);
    if (!own) return -1;
    if (setjmp(writer->fault.landing) != 0) {
        free(own);
        return -1;
    }
    int latin1 = to_latin1(own);
    png_text text = {
        .compression = latin1 ? PNG_TEXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_NONE,
        .key = (char *)(uintptr_t)key,
        .text = own,
        .text_length = latin1 ? strlen(own) : 0,
        .itxt_length = latin1 ? 0 : strlen(own),
    };
    png_set_text(writer->png, writer->info, &text, 1);
    free(own);
    return 0;
}

int tessera_png_writer_begin(tessera_png_writer *writer) {
    if (setjmp(writer->fault.landing) != 0) return -1;
    png_write_info(writer->png, writer->info);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    // PNG stores the high byte first.
    if (png_get_bit_depth(writer->png, writer->info) == 16) png_set_swap(writer->png);
#endif
    return 0;
}

int tessera_png_writer_rows(
    tessera_png_writer *writer, const uint8_t *rows, size_t count, size_t stride) {
    if (setjmp(writer->fault.landing) != 0) return -1;
    for (size_t i = 0; i < count; i++) png_write_row(writer->png, rows + i * stride);
    return 0;
}

int tessera_png_writer_end(tessera_png_writer *writer) {
    if (setjmp(writer->fault.landing) != 0) return -1;
    png_write_end(writer->png, NULL);
    flush(writer->png);
    return 0;
}

const char *tessera_png_writer_error(const tessera_png_writer *writer) {
    return writer->fault.text;
}

void tessera_png_writer_close(tessera_png_writer *writer) {
    png_destroy_write_struct(&writer->png, &writer->info);
    free(writer);
}
