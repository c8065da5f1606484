#include "CWebP.h"

#include <webp/decode.h>

static int status(VP8StatusCode code) {
    switch (code) {
    case VP8_STATUS_OK: return TESSERA_WEBP_OK;
    case VP8_STATUS_OUT_OF_MEMORY: return TESSERA_WEBP_NO_MEMORY;
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED: return TESSERA_WEBP_TOO_SHORT;
    case VP8_STATUS_UNSUPPORTED_FEATURE: return TESSERA_WEBP_UNSUPPORTED;
    default: return TESSERA_WEBP_DAMAGED;
    }
}

int tessera_webp_read_header(const uint8_t *bytes, size_t count, tessera_webp_header *header) {
    WebPBitstreamFeatures features;
    VP8StatusCode code = WebPGetFeatures(bytes, count, &features);
    if (code != VP8_STATUS_OK) return status(code);
    header->width = (uint32_t)features.width;
    header->height = (uint32_t)features.height;
    header->has_alpha = features.has_alpha;
    header->is_animated = features.has_animation;
    return TESSERA_WEBP_OK;
}

int tessera_webp_read(const uint8_t *bytes, size_t count, uint8_t *pixels, size_t width, size_t height) {
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config)) return TESSERA_WEBP_UNSUPPORTED;
    config.output.colorspace = MODE_RGBA;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = pixels;
    config.output.u.RGBA.stride = (int)(4 * width);
    config.output.u.RGBA.size = 4 * width * height;
    VP8StatusCode code = WebPDecode(bytes, count, &config);
    int fits = config.output.width == (int)width && config.output.height == (int)height;
    WebPFreeDecBuffer(&config.output);
    return code == VP8_STATUS_OK && !fits ? TESSERA_WEBP_DAMAGED : status(code);
}
