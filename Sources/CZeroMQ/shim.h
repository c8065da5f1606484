#ifndef TESSERA_CZEROMQ_H
#define TESSERA_CZEROMQ_H

#include <sys/eventfd.h>
#include <zmq.h>

// Glibc's module lacks eventfd, which wakes threads that wait in zmq_poll.
static inline int tessera_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

#endif
