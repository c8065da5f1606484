#include "CTIFF.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <tiffio.h>
#include <unistd.h>

/// One libtiff handle for the file, with its own file offset.
typedef struct {
    int descriptor;
    uint64_t at;
    tessera_tiff *owner;
} view;

struct tessera_tiff {
    view writing;
    view reading;
    TIFF *writer;
    TIFF *reader;
    char error[300];
};

static void note(tessera_tiff *tiff, const char *text) {
    if (!tiff->error[0]) snprintf(tiff->error, sizeof tiff->error, "%s", text);
}

// The first error is the cause; later ones are its consequences.
static int fail(TIFF *handle, void *user, const char *module, const char *format, va_list arguments) {
    (void)handle;
    (void)module;
    char text[300];
    vsnprintf(text, sizeof text, format, arguments);
    note(user, text);
    return 1;
}

// Warnings are about tags, which do not affect pixels.
static int ignore(TIFF *handle, void *user, const char *module, const char *format, va_list arguments) {
    (void)handle;
    (void)user;
    (void)module;
    (void)format;
    (void)arguments;
    return 1;
}

static tmsize_t take(thandle_t handle, void *bytes, tmsize_t count) {
    view *v = handle;
    tmsize_t done = 0;
    while (done < count) {
        ssize_t part = pread(v->descriptor, (char *)bytes + done, (size_t)(count - done), (off_t)v->at);
        if (part < 0 && errno == EINTR) continue;
        if (part < 0) note(v->owner, strerror(errno));
        if (part <= 0) break;
        done += part;
        v->at += (uint64_t)part;
    }
    return done;
}

static tmsize_t append(thandle_t handle, void *bytes, tmsize_t count) {
    view *v = handle;
    tmsize_t done = 0;
    while (done < count) {
        ssize_t part =
            pwrite(v->descriptor, (const char *)bytes + done, (size_t)(count - done), (off_t)v->at);
        if (part < 0 && errno == EINTR) continue;
        if (part <= 0) {
            note(v->owner, part < 0 ? strerror(errno) : "nothing could be written");
            break;
        }
        done += part;
        v->at += (uint64_t)part;
    }
    return done;
}

static toff_t size_of(thandle_t handle) {
    struct stat status;
    return fstat(((view *)handle)->descriptor, &status) == 0 ? (toff_t)status.st_size : 0;
}

static toff_t seek(thandle_t handle, toff_t offset, int whence) {
    view *v = handle;
    switch (whence) {
    case SEEK_CUR: v->at += offset; break;
    case SEEK_END: v->at = size_of(handle) + offset; break;
    default: v->at = offset;
    }
    return v->at;
}

// The caller closes the descriptor.
static int leave(thandle_t handle) {
    (void)handle;
    return 0;
}

static TIFF *open_view(tessera_tiff *tiff, view *v, const char *mode) {
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    if (!options) return NULL;
    TIFFOpenOptionsSetErrorHandlerExtR(options, fail, tiff);
    TIFFOpenOptionsSetWarningHandlerExtR(options, ignore, tiff);
    TIFF *handle = TIFFClientOpenExt(
        "picture", mode, v, take, append, seek, leave, size_of, NULL, NULL, options);
    TIFFOpenOptionsFree(options);
    return handle;
}

tessera_tiff *tessera_tiff_open(int descriptor) {
    tessera_tiff *tiff = calloc(1, sizeof *tiff);
    if (!tiff) return NULL;
    tiff->writing = (view){descriptor, 0, tiff};
    tiff->reading = (view){descriptor, 0, tiff};
    return tiff;
}

// Every failure goes through here, so that each one has a message.
static int outcome(tessera_tiff *tiff, int succeeded) {
    if (succeeded && !tiff->error[0]) return 0;
    note(tiff, "libtiff gave up");
    return -1;
}

int tessera_tiff_begin(
    tessera_tiff *tiff, uint32_t width, uint32_t height, int depth, int reduced, const char *description,
    const char *software, const char *settings) {
    // 8: BigTIFF. m: no memory mapping of a growing file.
    if (!tiff->writer) tiff->writer = open_view(tiff, &tiff->writing, "w8m");
    TIFF *t = tiff->writer;
    if (!t) return outcome(tiff, 0);
    int done = TIFFSetField(t, TIFFTAG_SUBFILETYPE, reduced ? FILETYPE_REDUCEDIMAGE : 0)
        && TIFFSetField(t, TIFFTAG_IMAGEWIDTH, width) && TIFFSetField(t, TIFFTAG_IMAGELENGTH, height)
        && TIFFSetField(t, TIFFTAG_BITSPERSAMPLE, depth) && TIFFSetField(t, TIFFTAG_SAMPLESPERPIXEL, 3)
        && TIFFSetField(t, TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT)
        && TIFFSetField(t, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_RGB)
        && TIFFSetField(t, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG)
        && TIFFSetField(t, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT)
        && TIFFSetField(t, TIFFTAG_TILEWIDTH, TESSERA_TIFF_TILE)
        && TIFFSetField(t, TIFFTAG_TILELENGTH, TESSERA_TIFF_TILE)
        && TIFFSetField(t, TIFFTAG_COMPRESSION, COMPRESSION_ADOBE_DEFLATE)
        && TIFFSetField(t, TIFFTAG_PREDICTOR, PREDICTOR_HORIZONTAL);
    if (description) done = done && TIFFSetField(t, TIFFTAG_IMAGEDESCRIPTION, description);
    if (software) done = done && TIFFSetField(t, TIFFTAG_SOFTWARE, software);
    if (settings) {
        static const TIFFFieldInfo field = {
            TESSERA_TIFF_SETTINGS, TIFF_VARIABLE2, TIFF_VARIABLE2, TIFF_ASCII, FIELD_CUSTOM, 1, 1, "TesseraSettings"};
        done = done && TIFFMergeFieldInfo(t, &field, 1) == 0
            && TIFFSetField(t, TESSERA_TIFF_SETTINGS, (uint32_t)(strlen(settings) + 1), settings);
    }
    return outcome(tiff, done);
}

int tessera_tiff_put(tessera_tiff *tiff, uint32_t x, uint32_t y, const void *tile, size_t bytes) {
    TIFF *t = tiff->writer;
    if (!t) return outcome(tiff, 0);
    int fits = (tmsize_t)bytes == TIFFTileSize(t);
    ttile_t number = TIFFComputeTile(t, x, y, 0, 0);
    return outcome(
        tiff, fits && TIFFWriteEncodedTile(t, number, (void *)(uintptr_t)tile, (tmsize_t)bytes) >= 0);
}

int tessera_tiff_end(tessera_tiff *tiff) {
    return outcome(tiff, tiff->writer && TIFFWriteDirectory(tiff->writer));
}

int tessera_tiff_look(tessera_tiff *tiff, int number) {
    // A handle sees only the pictures that existed when it was opened.
    if (tiff->reader) TIFFClose(tiff->reader);
    tiff->reading.at = 0;
    tiff->reader = open_view(tiff, &tiff->reading, "rm");
    return outcome(tiff, tiff->reader && TIFFSetDirectory(tiff->reader, (tdir_t)number));
}

int tessera_tiff_get(tessera_tiff *tiff, uint32_t x, uint32_t y, void *tile, size_t bytes) {
    TIFF *t = tiff->reader;
    if (!t) return outcome(tiff, 0);
    int fits = (tmsize_t)bytes == TIFFTileSize(t);
    ttile_t number = TIFFComputeTile(t, x, y, 0, 0);
    return outcome(
        tiff, fits && TIFFReadEncodedTile(t, number, tile, (tmsize_t)bytes) == (tmsize_t)bytes);
}

int tessera_tiff_finish(tessera_tiff *tiff) {
    // Closing a handle may write; the owner closes the descriptor afterwards.
    if (tiff->reader) TIFFClose(tiff->reader);
    if (tiff->writer) TIFFClose(tiff->writer);
    tiff->reader = tiff->writer = NULL;
    return outcome(tiff, 1);
}

const char *tessera_tiff_error(const tessera_tiff *tiff) { return tiff->error; }

void tessera_tiff_close(tessera_tiff *tiff) {
    if (tiff->reader) TIFFClose(tiff->reader);
    if (tiff->writer) TIFFClose(tiff->writer);
    free(tiff);
}
