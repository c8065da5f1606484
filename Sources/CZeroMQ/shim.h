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

// Glibc's module lacks eventfd, which wakes threads that wait in zmq_poll.
static inline int tessera_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

// It lacks pipe2 too, without which another thread's child could inherit the ends.
int pipe2(int ends[2], int flags);
static inline int tessera_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

// Nor has it descriptors of processes, which name a process and never its successor.
static inline int tessera_pidfd_open(int process) {
    return (int)syscall(SYS_pidfd_open, process, 0);
}
static inline int tessera_pidfd_signal(int descriptor, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, descriptor, signal, (void *)0, 0);
}

#endif
