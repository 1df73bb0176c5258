/*
 * The time of day, moved: put before the C library by LD_PRELOAD.  The file that MOVED_CLOCK
 * names has the number of seconds by which it is later than it is, as eight bytes in the
 * machine's order; who changes them moves the clock of all processes that have them mapped.
 *
 * Clocks that nobody can set are left alone.  tests/movedclock.py compiles this.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *later;

static int64_t moved(void) {
    if (later == NULL) {
        static const int64_t none = 0;
        const char *path = getenv("MOVED_CLOCK");
        int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
        void *found = MAP_FAILED;
        if (fd >= 0) {
            found = mmap(NULL, sizeof none, PROT_READ, MAP_SHARED, fd, 0);
            close(fd);
        }
        later = found == MAP_FAILED ? &none : found;
    }
    return *later;
}

static int isTimeOfDay(clockid_t clock) {
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
}

int clock_gettime(clockid_t clock, struct timespec *when) {
    static int (*real)(clockid_t, struct timespec *);
    if (real == NULL)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, when);
    if (result == 0 && isTimeOfDay(clock))
        when->tv_sec += moved();
    return result;
}

int gettimeofday(struct timeval *restrict when, void *restrict zone) {
    struct timespec now;
    (void)zone;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    if (result == 0) {
        when->tv_sec = now.tv_sec;
        when->tv_usec = now.tv_nsec / 1000;
    }
    return result;
}

time_t time(time_t *when) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return -1;
    if (when != NULL)
        *when = now.tv_sec;
    return now.tv_sec;
}

/* Until a time of day: by this lock.acquire(timeout=...) of Python 3.10 waits. */
int sem_timedwait(sem_t *restrict sem, const struct timespec *restrict until) {
    static int (*real)(sem_t *, const struct timespec *);
    if (real == NULL)
        real = (int (*)(sem_t *, const struct timespec *))dlsym(RTLD_NEXT, "sem_timedwait");
    struct timespec shown = *until;
    shown.tv_sec -= moved();
    return real(sem, &shown);
}
