#ifndef TESSERA_CZEROMQ_H
#define TESSERA_CZEROMQ_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <zmq.h>

// Swift's Glibc module lacks eventfd, which wakes threads that wait in zmq_poll.
static inline int tessera_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

// It also lacks pipe2, without which a child started by another thread could inherit the ends.
int pipe2(int ends[2], int flags);
static inline int tessera_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

// It also lacks pidfds, which refer to one process and never to a later one with the same id.
static inline int tessera_pidfd_open(int process) {
    return (int)syscall(SYS_pidfd_open, process, 0);
}
static inline int tessera_pidfd_signal(int descriptor, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, descriptor, signal, (void *)0, 0);
}

#endif
