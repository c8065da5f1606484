#include "Reading.h"

#include <stdlib.h>
#include <string.h>

#include "CPNG.h"
#include "shim.h"

// Sources/Engine/Images/PNGImage.swift
enum { HIGHEST_COMPRESSION = 1032 };
// Larger pictures are refused here, for speed; the program's own limits are far above.
enum { LARGEST_AREA = 1 << 16 };

static int is_acceptable(const tessera_png_header *header, size_t size) {
    return (uint64_t)header->width * header->height <= LARGEST_AREA
        && header->stored_bytes / HIGHEST_COMPRESSION <= size;
}

// Reads every byte, so that AddressSanitizer notices memory that was not written or is not owned.
static void touch(const void *bytes, size_t size) {
    static volatile uint8_t sum;
    for (size_t i = 0; i < size; i++) sum ^= ((const uint8_t *)bytes)[i];
}

void read_as_rgb(const uint8_t *data, size_t size) {
    tessera_png_reader *reader = tessera_png_reader_open(data, size);
    if (!reader) return;
    tessera_png_header header;
    if (tessera_png_reader_header(reader, &header) == 0 && is_acceptable(&header, size)) {
        size_t stride = 3 * (size_t)header.width;
        uint8_t *pixels = calloc(header.height, stride);
        if (pixels && tessera_png_reader_rows(reader, pixels, stride) == 0) {
            touch(pixels, stride * header.height);
            int count = tessera_png_reader_text_count(reader);
            for (int i = 0; i < count; i++) {
                tessera_png_text text = tessera_png_reader_text(reader, i);
                touch(text.key, text.key_length);
                touch(text.value, text.value_length);
            }
        }
        free(pixels);
    }
    touch(tessera_png_reader_error(reader), strlen(tessera_png_reader_error(reader)));
    tessera_png_reader_close(reader);
}

// As Sources/Engine/Images/ColourConversion.swift does.
static cmsHPROFILE told_profile(const tessera_png_colours *colours, int is_grey) {
    if (colours->profile) {
        size_t size = colours->profile_size;
        uint8_t *profile = malloc(size + 1);
        memcpy(profile, colours->profile, size);
        tessera_hide_float_tables(profile, size);
        cmsHPROFILE opened = cmsOpenProfileFromMem(profile, (cmsUInt32Number)size);
        free(profile);
        return opened;
    }
    double gamma = colours->gamma > 0 ? colours->gamma : 1 / 2.2;
    if (!(gamma >= 0.1 && gamma <= 10)) return NULL;
    cmsToneCurve *curve = cmsBuildGamma(NULL, 1 / gamma);
    if (!curve) return NULL;
    const double *c = colours->chromaticities;
    cmsCIExyY white = {c[0], c[1], 1};
    cmsCIExyYTRIPLE primaries = {{c[2], c[3], 1}, {c[4], c[5], 1}, {c[6], c[7], 1}};
    cmsToneCurve *curves[3] = {curve, curve, curve};
    cmsHPROFILE profile = is_grey ? cmsCreateGrayProfile(cmsD50_xyY(), curve)
                                  : cmsCreateRGBProfile(&white, &primaries, curves);
    cmsFreeToneCurve(curve);
    return profile;
}

static cmsHTRANSFORM conversion(const tessera_png_colours *colours, int is_grey) {
    cmsHPROFILE own = told_profile(colours, is_grey);
    if (!own) return NULL;
    cmsHTRANSFORM transform = NULL;
    cmsHPROFILE target = cmsCreate_sRGBProfile();
    if (target && cmsGetColorSpace(own) == (is_grey ? cmsSigGrayData : cmsSigRgbData)) {
        transform = cmsCreateTransform(
            own, is_grey ? TYPE_GRAY_FLT : TYPE_RGB_FLT, target, TYPE_RGB_FLT,
            INTENT_RELATIVE_COLORIMETRIC,
            cmsFLAGS_BLACKPOINTCOMPENSATION | cmsFLAGS_NOOPTIMIZE | cmsFLAGS_NOCACHE);
    }
    if (target) cmsCloseProfile(target);
    cmsCloseProfile(own);
    return transform;
}

static void read_rows(
    tessera_png_reader *reader, const tessera_png_header *header, const tessera_png_rows_layout *layout,
    cmsHTRANSFORM transform) {
    int own = layout->channels <= 2 ? 1 : 3;
    size_t width = header->width, count = width * (size_t)layout->channels;
    // Interlaced rows keep what earlier passes left in them.
    uint16_t *rows = calloc(header->height, count * sizeof *rows);
    float *colours = calloc(width, (size_t)own * sizeof *colours);
    float *rgb = calloc(width, 3 * sizeof *rgb);
    if (!rows || !colours || !rgb) goto done;
    for (int pass = 0; pass < layout->passes; pass++) {
        for (size_t y = 0; y < header->height; y++) {
            uint16_t *row = rows + y * count;
            if (tessera_png_reader_row(reader, row) != 0) goto done;
            if (pass < layout->passes - 1 || !transform) continue;
            for (size_t x = 0; x < width; x++) {
                for (int c = 0; c < own; c++) {
                    colours[x * (size_t)own + (size_t)c] =
                        (float)row[x * (size_t)layout->channels + (size_t)c] / 65535;
                }
            }
            cmsDoTransform(transform, colours, rgb, (cmsUInt32Number)width);
            touch(rgb, width * 3 * sizeof *rgb);
        }
    }
    touch(rows, header->height * count * sizeof *rows);
    tessera_png_reader_finish(reader);
done:
    free(rows);
    free(colours);
    free(rgb);
}

void read_as_stored(const uint8_t *data, size_t size) {
    tessera_png_reader *reader = tessera_png_reader_open(data, size);
    if (!reader) return;
    tessera_png_header header;
    tessera_png_rows_layout layout;
    tessera_png_colours colours;
    if (tessera_png_reader_plain_header(reader, &header, &layout, &colours) == 0
        && is_acceptable(&header, size)) {
        touch(&colours, sizeof colours);
        if (colours.profile) touch(colours.profile, colours.profile_size);
        int is_grey = layout.channels <= 2;
        int is_plain = !colours.profile && (colours.is_srgb || colours.chromaticities[0] == 0);
        cmsHTRANSFORM transform = is_plain ? NULL : conversion(&colours, is_grey);
        if (transform || is_plain) read_rows(reader, &header, &layout, transform);
        if (transform) cmsDeleteTransform(transform);
    }
    tessera_png_reader_close(reader);
}
