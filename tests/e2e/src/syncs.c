// Records what a process makes durable: for `power.rs`, loaded with LD_PRELOAD.
//
// A line is written when a sync has succeeded and before its caller hears of it, so that nothing which anybody was
// told is durable is missing. It says what was there when the sync began: what came later may not be on disk.
//
//   f INODE BIRTH SIZE       a file's content up to SIZE
//   d INODE BIRTH NAME/...   a folder's entries
//
// Birth is in nanoseconds; together with the inode it names a file for good, though inodes are used again.
// sync_file_range promises nothing about durability and is not recorded.
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int record = -1;

__attribute__((constructor)) static void open_record(void) {
    const char *path = getenv("BERTH_SYNC_RECORD");
    if (path) record = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static void list_entries(int fd, FILE *out) {
    // Opened anew: the offset of the caller's descriptor is its own.
    int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = again < 0 ? NULL : fdopendir(again);
    if (!folder) abort();
    for (struct dirent *entry; (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) fprintf(out, "%s/", entry->d_name);
    closedir(folder);
}

static char *describe(int fd, size_t *length) {
    struct statx file;
    if (record < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &file)) return NULL;
    if (!S_ISREG(file.stx_mode) && !S_ISDIR(file.stx_mode)) return NULL;
    char *line = NULL;
    FILE *out = open_memstream(&line, length);
    if (!out) abort();
    long long birth = file.stx_btime.tv_sec * 1000000000LL + file.stx_btime.tv_nsec;
    if (!(file.stx_mask & STATX_BTIME)) birth = 0;
    int folder = S_ISDIR(file.stx_mode);
    fprintf(out, "%c %llu %lld ", folder ? 'd' : 'f', (unsigned long long)file.stx_ino, birth);
    if (folder) list_entries(fd, out);
    else fprintf(out, "%llu", (unsigned long long)file.stx_size);
    fputc('\n', out);
    fclose(out);
    return line;
}

static int record_sync(int fd, const char *name) {
    int (*sync_for_real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    size_t length = 0;
    char *line = describe(fd, &length);
    int result = sync_for_real(fd);
    int error = errno;
    // Half a record would make the test lie.
    if (line && result == 0 && write(record, line, length) != (ssize_t)length) abort();
    free(line);
    errno = error;
    return result;
}

int fsync(int fd) { return record_sync(fd, "fsync"); }

int fdatasync(int fd) { return record_sync(fd, "fdatasync"); }
