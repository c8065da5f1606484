// Target: whole JPEG, WebP and TIFF files, read row by row as `PictureFile` does.
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "CJPEG.h"
#include "CTIFF.h"
#include "CWebP.h"

// Larger pictures are refused here, for speed; the program's own limits are far above.
enum { LARGEST_AREA = 1 << 16 };

static void touch(const void *bytes, size_t size) {
    static volatile uint8_t sum;
    for (size_t i = 0; i < size; i++) sum ^= ((const uint8_t *)bytes)[i];
}

static void read_jpeg(int file) {
    tessera_jpeg_reader *reader = tessera_jpeg_reader_open(file);
    if (!reader) return;
    tessera_jpeg_header header;
    if (tessera_jpeg_reader_header(reader, &header) == 0
        && (uint64_t)header.width * header.height <= LARGEST_AREA) {
        size_t count = (size_t)header.channels * header.width;
        uint16_t *row = malloc(2 * count);
        uint32_t y = 0;
        while (y < header.height && tessera_jpeg_reader_row(reader, row) == 0) {
            touch(row, 2 * count);
            y++;
        }
        if (y == header.height) tessera_jpeg_reader_finish(reader);
        free(row);
    }
    tessera_jpeg_reader_close(reader);
}

static void read_tiff(int file) {
    tessera_tiff_reader *reader = tessera_tiff_reader_open(file);
    if (!reader) return;
    tessera_tiff_header header;
    if (tessera_tiff_reader_header(reader, &header) == 0
        && (uint64_t)header.width * header.height <= LARGEST_AREA) {
        if (header.profile) touch(header.profile, header.profile_size);
        size_t count = (size_t)(header.colours + header.has_alpha) * header.width;
        uint16_t *row = malloc(2 * count);
        for (uint32_t y = 0; y < header.height && tessera_tiff_reader_row(reader, row) == 0; y++) {
            touch(row, 2 * count);
        }
        free(row);
    }
    tessera_tiff_reader_close(reader);
}

static void read_webp(const uint8_t *data, size_t size) {
    tessera_webp_header header;
    if (tessera_webp_read_header(data, size, &header) != TESSERA_WEBP_OK || header.is_animated
        || (uint64_t)header.width * header.height > LARGEST_AREA) {
        return;
    }
    size_t bytes = (size_t)4 * header.width * header.height;
    uint8_t *pixels = calloc(1, bytes);
    if (tessera_webp_read(data, size, pixels, header.width, header.height) == TESSERA_WEBP_OK) {
        touch(pixels, bytes);
    }
    free(pixels);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 4) return 0;
    if (data[0] == 'R') {
        read_webp(data, size);
        return 0;
    }
    int file = memfd_create("picture", 0);
    if (file < 0) return 0;
    if (write(file, data, size) == (ssize_t)size && lseek(file, 0, SEEK_SET) == 0) {
        if (data[0] == 0xFF) {
            read_jpeg(file);
        } else {
            read_tiff(file);
        }
    }
    close(file);
    return 0;
}
