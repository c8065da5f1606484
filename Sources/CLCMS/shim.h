#include <lcms2.h>
#include <stddef.h>
#include <stdint.h>

// Macros that Swift cannot import: formats for rows of floats, 0…1, and ink 0…100.
static const cmsUInt32Number tessera_cmyk_floats = TYPE_CMYK_FLT;
static const cmsUInt32Number tessera_gray_floats = TYPE_GRAY_FLT;
static const cmsUInt32Number tessera_rgb_floats = TYPE_RGB_FLT;

static inline uint32_t tessera_big_endian(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/// Renames the tags D2B0 to D2B3 of an ICC profile, so that Little CMS does not see them.
///
/// They are chains of any number of float tables. All of the tables may share the same bytes of the file, but each is
/// kept separately: a picture of 3 kB used 4 GB of memory. A program need not use them (ICC.1:2010, 9.2): a profile
/// that has them also has integer tables or a matrix.
static inline void tessera_hide_float_tables(uint8_t *profile, size_t size) {
    const size_t head = 128, entry = 12;
    if (size < head + 4) return;
    size_t count = tessera_big_endian(profile + head), room = (size - head - 4) / entry;
    if (count > room) count = room;
    for (size_t i = 0; i < count; i++) {
        uint8_t *name = profile + head + 4 + i * entry;
        if (name[0] == 'D' && name[1] == '2' && name[2] == 'B') name[0] = 'x';
    }
}
