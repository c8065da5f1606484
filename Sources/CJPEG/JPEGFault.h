/// Turns libjpeg's errors into return values.
#ifndef TESSERA_JPEG_FAULT_H
#define TESSERA_JPEG_FAULT_H

#include <stddef.h>
#include <stdio.h>

// libjpeg's header needs the two above.
#include <jpeglib.h>
#include <setjmp.h>

/// libjpeg's error manager, with the jump target and the message of an error.
typedef struct {
    // Must be the first field: libjpeg passes its address.
    struct jpeg_error_mgr manager;
    jmp_buf landing;
    char text[JMSG_LENGTH_MAX];
} tessera_jpeg_fault;

/// Installs handlers that store the message and jump to the landing.
void tessera_jpeg_fault_install(tessera_jpeg_fault *fault, j_common_ptr info);

/// Fails with our own message.
_Noreturn void tessera_jpeg_fail(j_common_ptr info, const char *text);

#endif
