#include <lcms2.h>

// What Swift cannot read from the header's macros: rows of floats, 0…1.
static const cmsUInt32Number tessera_gray_floats = TYPE_GRAY_FLT;
static const cmsUInt32Number tessera_rgb_floats = TYPE_RGB_FLT;
