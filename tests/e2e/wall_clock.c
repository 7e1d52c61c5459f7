/* For LD_PRELOAD: the wall clock is off by the seconds that the file $WALL_OFFSET says; monotonic clocks are not. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    char text[32];
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    const char *path = getenv("WALL_OFFSET");
    int file = clock == CLOCK_REALTIME && path ? open(path, O_RDONLY) : -1;
    if (file >= 0) {
        ssize_t size = read(file, text, sizeof text - 1);
        text[size > 0 ? size : 0] = 0;
        now->tv_sec += atol(text);
        close(file);
    }
    return result;
}
