/* Stands before the C library in a process of its own: a disk that fails or stalls, a wall clock that jumps.
 *
 * LIBC_DOUBLE names a file of 40 bytes, looked at on every call: an errno (int64, 0 for none) that writes below the
 * folder LIBC_DOUBLE_FOLDER fail with, whether (int64) they stall, nanoseconds (int64) that the wall clock is
 * ahead, and the parts in a million (int64) by which it runs fast since (int64) a moment of the monotonic clock, in
 * nanoseconds. The monotonic clock is left alone. Double, for tests: what a program asks the kernel for by itself passes
 * it by.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

struct control { volatile int64_t error, stalls, ahead_ns, fast_ppm, fast_since_ns; };
static struct control none, *control = &none;
static const char *folder;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("LIBC_DOUBLE");
    folder = getenv("LIBC_DOUBLE_FOLDER");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof(struct control), PROT_READ, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED) control = mapped;
    close(file);
}

static int below(const char *path) { return folder && strncmp(path, folder, strlen(folder)) == 0; }

static int fails(int file) {
    if (!control->error && !control->stalls) return 0;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    if (!below(path)) return 0;
    while (control->stalls) usleep(10000);
    errno = (int)control->error;
    return errno != 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define ON_FILE(result, name, parameters, arguments) \
    result name parameters { return fails(file) ? -1 : REAL(name) arguments; }

ON_FILE(ssize_t, write, (int file, const void *data, size_t size), (file, data, size))
ON_FILE(ssize_t, pwrite, (int file, const void *data, size_t size, off_t at), (file, data, size, at))
ON_FILE(ssize_t, pwrite64, (int file, const void *data, size_t size, off64_t at), (file, data, size, at))
ON_FILE(int, ftruncate, (int file, off_t size), (file, size))
ON_FILE(int, ftruncate64, (int file, off64_t size), (file, size))
ON_FILE(int, fsync, (int file), (file))
ON_FILE(int, fdatasync, (int file), (file))

static int refuses(const char *path, int flags) {
    if (control->error != EROFS || !(flags & (O_WRONLY | O_RDWR | O_CREAT)) || !below(path)) return 0;
    errno = EROFS;
    return 1;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        return refuses(path, flags) ? -1 : REAL(name)(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

static int is_wall(clockid_t clock) { return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE; }

static __typeof__(&clock_gettime) real;

static int64_t ahead(void) {
    int64_t fast = control->fast_ppm;
    if (!fast) return control->ahead_ns;
    struct timespec now;
    real(CLOCK_MONOTONIC, &now);
    int64_t since = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - control->fast_since_ns;
    return control->ahead_ns + since / 1000000 * fast;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (!real) real = REAL(clock_gettime);
    int result = real(clock, now);
    if (result == 0 && is_wall(clock) && ahead()) {
        int64_t total = (int64_t)now->tv_sec * 1000000000 + now->tv_nsec + ahead();
        now->tv_sec = total / 1000000000;
        now->tv_nsec = total % 1000000000;
    }
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &precise)) return -1;
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *stored) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (stored) *stored = precise.tv_sec;
    return precise.tv_sec;
}
