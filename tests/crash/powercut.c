/* What a power cut takes: loaded into the server (LD_PRELOAD), it keeps of every write to a file of the store what stood
 * there before, until that file is synced.  powercut.py takes such writes back, some or all of them, whole or in part.
 *
 * A record: kind ('W'rite, 'T'runcate, 'S'ync), 1 byte; length of the path, 2; offset, 8; length of the file before, 8;
 * length of what was written, 8; length of what stood there, 8; the path; what stood there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int journal = -1;
static const char *folder;

static ssize_t (*real_pwrite)(int, const void *, size_t, off64_t);
static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_ftruncate)(int, off64_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

__attribute__((constructor)) static void begin(void) {
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_write = dlsym(RTLD_NEXT, "write");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    folder = getenv("POWERCUT_FOLDER");
    const char *path = getenv("POWERCUT_JOURNAL");
    if (folder && path)
        journal = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

/* The path of a file of the store, or 0. */
static int is_kept(int fd, char *path) {
    char link[64];
    if (journal < 0 || fd == journal)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    return strncmp(path, folder, strlen(folder)) == 0;
}

static void note(char kind, const char *path, int fd, off64_t at, size_t length) {
    struct stat64 status;
    if (fstat64(fd, &status) < 0)
        return;
    char name[64];
    uint64_t size = status.st_size, old = 0;
    if (kind == 'T')
        length = (uint64_t)at < size ? size - at : 0;
    if (kind != 'S' && (uint64_t)at < size)
        old = (uint64_t)at + length < size ? length : size - at;
    uint16_t path_length = strlen(path);
    size_t total = 35 + path_length + old;
    unsigned char *record = malloc(total);
    uint64_t numbers[4] = {at, size, length, old};
    record[0] = kind;
    memcpy(record + 1, &path_length, 2);
    memcpy(record + 3, numbers, 32);
    memcpy(record + 35, path, path_length);
    if (old) { /* the descriptor may only be open to write */
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        int reader = open(name, O_RDONLY | O_CLOEXEC);
        if (reader < 0 || pread64(reader, record + 35 + path_length, old, at) != (ssize_t)old)
            abort();
        close(reader);
    }
    if (real_write(journal, record, total) != (ssize_t)total)
        abort();
    free(record);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t at) {
    char path[PATH_MAX];
    if (is_kept(fd, path))
        note('W', path, fd, at, length);
    return real_pwrite(fd, data, length, at);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t at) { return pwrite64(fd, data, length, at); }

ssize_t write(int fd, const void *data, size_t length) {
    char path[PATH_MAX];
    if (is_kept(fd, path)) {
        off64_t at = lseek64(fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR);
        if (at >= 0)
            note('W', path, fd, at, length);
    }
    return real_write(fd, data, length);
}

int ftruncate64(int fd, off64_t length) {
    char path[PATH_MAX];
    if (is_kept(fd, path))
        note('T', path, fd, length, 0);
    return real_ftruncate(fd, length);
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int fsync(int fd) {
    char path[PATH_MAX];
    int result = real_fsync(fd);
    if (result == 0 && is_kept(fd, path))
        note('S', path, fd, 0, 0);
    return result;
}

int fdatasync(int fd) {
    char path[PATH_MAX];
    int result = real_fdatasync(fd);
    if (result == 0 && is_kept(fd, path))
        note('S', path, fd, 0, 0);
    return result;
}
