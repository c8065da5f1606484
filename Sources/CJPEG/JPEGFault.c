#include "JPEGFault.h"

#include <jerror.h>

_Noreturn void tessera_jpeg_fail(j_common_ptr info, const char *text) {
    tessera_jpeg_fault *fault = (tessera_jpeg_fault *)info->err;
    snprintf(fault->text, sizeof fault->text, "%s", text);
    longjmp(fault->landing, 1);
}

static void failed(j_common_ptr info) {
    char text[JMSG_LENGTH_MAX];
    info->err->format_message(info, text);
    tessera_jpeg_fail(info, text);
}

// If a picture is damaged, libjpeg fills in the missing part and warns: we fail instead. Other warnings are about bytes
// between segments, which some cameras write and which do not affect pixels.
static void warned(j_common_ptr info, int level) {
    if (level >= 0) return;
    switch (info->err->msg_code) {
    case JWRN_ARITH_BAD_CODE:
    case JWRN_BOGUS_PROGRESSION:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_JPEG_EOF:
    case JWRN_MUST_RESYNC: failed(info);
    default: return;
    }
}

static void print(j_common_ptr info) { (void)info; }

void tessera_jpeg_fault_install(tessera_jpeg_fault *fault, j_common_ptr info) {
    info->err = jpeg_std_error(&fault->manager);
    fault->manager.error_exit = failed;
    fault->manager.emit_message = warned;
    fault->manager.output_message = print;
}
