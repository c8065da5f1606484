/// PNGs that are made and changed chunk by chunk.
#ifndef TESSERA_FUZZ_CHUNKS_H
#define TESSERA_FUZZ_CHUNKS_H

#include <stddef.h>
#include <stdint.h>

/// A PNG of one pixel with an ICC profile. The caller frees `out`.
size_t png_with_profile(const uint8_t *profile, size_t size, int is_grey, uint8_t **out);

#endif
