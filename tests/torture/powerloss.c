// An LD_PRELOAD library that makes it possible to lose power in a test. Before a process changes a file of
// POWERLOSS_DIR, the journal POWERLOSS_JOURNAL (elsewhere) gets what is there now; when a file or the folder
// is synced, the journal gets that, too. So powerloss.mjs can undo, after a kill -9, what no sync has made
// durable. Files ending in -shm are not recorded: SQLite's shared memory is no durable state.
//
// Nothing else changes for the process, but that a sync takes POWERLOSS_SYNC_US longer, as on a real disk: the
// folder is a tmpfs as a rule, where a sync takes no time and a loss would hardly ever meet one.
// POWERLOSS_CONTROL is a file of four bytes, a number: the process kills itself before so many more changes or syncs
// are done, so that a loss can be in the middle of anything. 0: never.
// One process uses a journal at a time. A journal that is left over from an earlier process is continued.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, TRUNCATE = 2, CREATE = 3, UNLINK = 4, SYNC = 5, SYNC_FOLDER = 6 };
#define MAGIC 0x31574c50u
#define MAX_FDS 65536
#define MAX_FILES 64
#define MAX_NAME 128

// A record of the journal: this, the file's name, and what the change replaces.
struct record {
    uint32_t magic, type;
    uint64_t sequence;  // of all records; of a sync: those below it are durable
    uint64_t inode, offset, length, old_size;
    uint32_t name_length, data_length;
};

// What is known of a file of the folder that has changes that no sync has made durable.
struct unsynced {
    uint64_t inode, last;
    uint64_t gone;  // when its name was removed, 0 if it has one
};

static char folder[PATH_MAX];
static size_t folder_length;
static int journal = -1;
static int32_t *control;
static useconds_t sync_time;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char names[MAX_FDS][MAX_NAME];  // of open files of the folder, "" for all others, "/" for the folder
static struct unsynced files[MAX_FILES];
static size_t file_count;
static uint64_t next_sequence = 1, last_in_folder;

#define REAL(name) ({ static __typeof__(&name) found; if (!found) found = dlsym(RTLD_NEXT, #name); found; })

static void die(const char *what) {
    dprintf(2, "powerloss: %s (%s)\n", what, strerror(errno));
    abort();
}

static void note_change(uint64_t inode, uint64_t sequence) {
    for (size_t i = 0; i < file_count; i++)
        if (files[i].inode == inode) { files[i].last = sequence; return; }
    if (file_count == MAX_FILES) die("too many files have unsynced changes");
    files[file_count++] = (struct unsynced){inode, sequence, 0};
}

static void note_name(uint64_t inode, uint64_t gone) {
    for (size_t i = 0; i < file_count; i++)
        if (files[i].inode == inode) files[i].gone = gone;
}

// A file whose name is gone for good needs no sync any more.
static void note_folder_sync(uint64_t below) {
    if (last_in_folder < below) last_in_folder = 0;
    for (size_t i = file_count; i-- > 0;)
        if (files[i].gone && files[i].gone < below) files[i] = files[--file_count];
}

static void note_sync(uint64_t inode, uint64_t below) {
    for (size_t i = 0; i < file_count; i++)
        if (files[i].inode == inode && files[i].last < below) { files[i] = files[--file_count]; return; }
}

static void note(const struct record *record) {
    switch (record->type) {
    case WRITE: case TRUNCATE: note_change(record->inode, record->sequence); break;
    case CREATE: note_name(record->inode, 0); last_in_folder = record->sequence; break;
    case UNLINK: note_name(record->inode, record->sequence); last_in_folder = record->sequence; break;
    case SYNC: note_sync(record->inode, record->sequence); break;
    case SYNC_FOLDER: note_folder_sync(record->sequence); break;
    }
}

static void come_to_the_end(void) {
    if (control && *control > 0 && --*control == 0) kill(getpid(), SIGKILL);
}

static void append(struct record record, const char *name, const char *data) {
    record.magic = MAGIC;
    record.name_length = strlen(name);
    struct iovec parts[3] = {{&record, sizeof record}, {(void *)name, record.name_length}, {(void *)data, record.data_length}};
    ssize_t size = sizeof record + record.name_length + record.data_length;
    if (REAL(writev)(journal, parts, 3) != size) die("cannot write the journal");
    // A sync that is noted is over.
    int is_sync = record.type == SYNC || record.type == SYNC_FOLDER;
    if (!is_sync) come_to_the_end();
    note(&record);
    // Where all is durable there is nothing to undo.
    if (file_count == 0 && last_in_folder == 0 && REAL(ftruncate)(journal, 0) != 0) die("cannot empty the journal");
}

static uint64_t sequence(void) { return next_sequence++; }

// Takes up what an earlier process has left.
static void continue_journal(void) {
    struct record record;
    off_t at = 0;
    while (REAL(pread)(journal, &record, sizeof record, at) == sizeof record) {
        if (record.magic != MAGIC) die("the journal is not one");
        note(&record);
        if (record.sequence >= next_sequence) next_sequence = record.sequence + 1;
        at += sizeof record + record.name_length + record.data_length;
    }
}

__attribute__((constructor)) static void start(void) {
    const char *dir = getenv("POWERLOSS_DIR"), *file = getenv("POWERLOSS_JOURNAL"), *time = getenv("POWERLOSS_SYNC_US");
    if (!dir || !file) return;
    if (!realpath(dir, folder)) die("POWERLOSS_DIR is no folder");
    folder_length = strlen(folder);
    sync_time = time ? atoi(time) : 0;
    int fd = REAL(open)(file, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    journal = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (journal < 0) die("cannot open POWERLOSS_JOURNAL");
    REAL(close)(fd);
    const char *number = getenv("POWERLOSS_CONTROL");
    int control_fd = number ? REAL(open)(number, O_RDWR | O_CLOEXEC) : -1;
    if (control_fd >= 0) {
        control = REAL(mmap)(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, control_fd, 0);
        if (control == MAP_FAILED) die("cannot map POWERLOSS_CONTROL");
        REAL(close)(control_fd);
    }
    continue_journal();
}

// The name of a file of the folder, NULL for any other: "" for the folder itself.
static const char *name_of(int at, const char *path) {
    if (journal < 0) return NULL;
    char full[PATH_MAX];
    if (path[0] != '/') {
        char base[PATH_MAX];
        if (at == AT_FDCWD) {
            if (!getcwd(base, sizeof base)) return NULL;
        } else {
            if (at < 0 || at >= MAX_FDS || strcmp(names[at], "/") != 0) return NULL;
            strcpy(base, folder);
        }
        if (snprintf(full, sizeof full, "%s/%s", base, path) >= (int)sizeof full) return NULL;
    } else if (snprintf(full, sizeof full, "%s", path) >= (int)sizeof full) {
        return NULL;
    }
    if (strncmp(full, folder, folder_length) != 0) return NULL;
    const char *rest = full + folder_length;
    if (*rest == 0) return "";
    if (*rest != '/' || strchr(rest + 1, '/')) return NULL;
    if (rest[1] == 0 || strcmp(rest, "/.") == 0) return "";
    const char *name = path + strlen(path) - strlen(rest + 1);
    size_t length = strlen(name);
    if (length >= MAX_NAME) die("a file's name is too long");
    return length > 4 && strcmp(name + length - 4, "-shm") == 0 ? NULL : name;
}

static int is_file(int fd) { return fd >= 0 && fd < MAX_FDS && names[fd][0] != 0 && names[fd][0] != '/'; }

static void copy_range(int fd, off_t offset, char *data, size_t length) {
    for (size_t done = 0; done < length;) {
        ssize_t got = REAL(pread)(fd, data + done, length - done, offset + done);
        if (got <= 0) die("cannot read what is about to change");
        done += got;
    }
}

// Records what a write, or a change of size, is about to replace. The mutex is held.
static void before_change(int fd, uint32_t type, off_t offset, size_t length) {
    struct stat state;
    if (fstat(fd, &state) != 0) die("cannot look at a file");
    if (state.st_nlink == 0) return;
    off_t end = type == TRUNCATE ? state.st_size : offset + (off_t)length;
    size_t old = end > state.st_size ? (state.st_size > offset ? state.st_size - offset : 0) : (end > offset ? end - offset : 0);
    char *data = old ? malloc(old) : NULL;
    if (old) {
        int own = fd;
        if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY) {
            char path[64];
            snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
            own = REAL(open)(path, O_RDONLY | O_CLOEXEC);
        }
        copy_range(own, offset, data, old);
        if (own != fd) REAL(close)(own);
    }
    append((struct record){.type = type, .sequence = sequence(), .inode = state.st_ino, .offset = offset, .length = length,
                           .old_size = state.st_size, .data_length = old}, names[fd], data);
    free(data);
}

static void created(const char *name, uint64_t inode) {
    append((struct record){.type = CREATE, .sequence = sequence(), .inode = inode}, name, NULL);
}

// Records a name that is about to go, with the whole file. The mutex is held.
static void before_unlink(const char *path, const char *name) {
    int fd = REAL(open)(path, O_RDONLY | O_CLOEXEC);
    struct stat state;
    if (fd < 0 || fstat(fd, &state) != 0) return;
    char *data = malloc(state.st_size + 1);
    copy_range(fd, 0, data, state.st_size);
    REAL(close)(fd);
    append((struct record){.type = UNLINK, .sequence = sequence(), .inode = state.st_ino, .old_size = state.st_size,
                           .data_length = state.st_size}, name, data);
    free(data);
}

static int opened(int fd, const char *name, int existed) {
    if (fd < 0 || fd >= MAX_FDS) return fd;
    strcpy(names[fd], name ? (*name ? name : "/") : "");
    struct stat state;
    if (name && *name && !existed && fstat(fd, &state) == 0) created(name, state.st_ino);
    return fd;
}

static int open_file(int at, const char *path, int flags, mode_t mode) {
    const char *name = name_of(at, path);
    if (!name) return opened(REAL(openat)(at, path, flags, mode), NULL, 1);
    pthread_mutex_lock(&mutex);
    struct stat state;
    int existed = fstatat(at, path, &state, 0) == 0;
    int fd = REAL(openat)(at, path, flags & ~O_TRUNC, mode);
    opened(fd, name, existed);
    if (fd >= 0 && (flags & O_TRUNC) && existed) {
        before_change(fd, TRUNCATE, 0, 0);
        REAL(ftruncate)(fd, 0);
    }
    pthread_mutex_unlock(&mutex);
    return fd;
}

#define OPEN(name, parameters, at) \
    int name parameters { \
        mode_t mode = 0; \
        if (flags & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); } \
        return open_file(at, path, flags, mode); \
    }
OPEN(open, (const char *path, int flags, ...), AT_FDCWD)
OPEN(open64, (const char *path, int flags, ...), AT_FDCWD)
OPEN(openat, (int folder_fd, const char *path, int flags, ...), folder_fd)
OPEN(openat64, (int folder_fd, const char *path, int flags, ...), folder_fd)
int creat(const char *path, mode_t mode) { return open_file(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

int close(int fd) {
    if (fd >= 0 && fd < MAX_FDS) names[fd][0] = 0;
    return REAL(close)(fd);
}

// A change of a file of the folder: recorded, then made, and no sync of this process in between.
#define CHANGED(fd, type, offset, length, call) \
    pthread_mutex_lock(&mutex); \
    before_change(fd, type, offset, length); \
    __typeof__(call) result = call; \
    int error = errno; \
    pthread_mutex_unlock(&mutex); \
    errno = error; \
    return result

static off_t position(int fd) { return fcntl(fd, F_GETFL) & O_APPEND ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR); }
static size_t total(const struct iovec *parts, int count) {
    size_t length = 0;
    for (int i = 0; i < count; i++) length += parts[i].iov_len;
    return length;
}

ssize_t write(int fd, const void *data, size_t length) {
    if (!is_file(fd)) return REAL(write)(fd, data, length);
    CHANGED(fd, WRITE, position(fd), length, REAL(write)(fd, data, length));
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (!is_file(fd)) return REAL(writev)(fd, parts, count);
    CHANGED(fd, WRITE, position(fd), total(parts, count), REAL(writev)(fd, parts, count));
}
#define PWRITE(name, offset_type) \
    ssize_t name(int fd, const void *data, size_t length, offset_type offset) { \
        if (!is_file(fd)) return REAL(name)(fd, data, length, offset); \
        CHANGED(fd, WRITE, offset, length, REAL(name)(fd, data, length, offset)); \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)
#define PWRITEV(name, offset_type) \
    ssize_t name(int fd, const struct iovec *parts, int count, offset_type offset) { \
        if (!is_file(fd)) return REAL(name)(fd, parts, count, offset); \
        CHANGED(fd, WRITE, offset, total(parts, count), REAL(name)(fd, parts, count, offset)); \
    }
PWRITEV(pwritev, off_t)
PWRITEV(pwritev64, off64_t)
#define FTRUNCATE(name, offset_type) \
    int name(int fd, offset_type size) { \
        if (!is_file(fd)) return REAL(name)(fd, size); \
        CHANGED(fd, TRUNCATE, size, 0, REAL(name)(fd, size)); \
    }
FTRUNCATE(ftruncate, off_t)
FTRUNCATE(ftruncate64, off64_t)
#define FALLOCATE(name, offset_type) \
    int name(int fd, int mode, offset_type offset, offset_type length) { \
        if (!is_file(fd)) return REAL(name)(fd, mode, offset, length); \
        CHANGED(fd, WRITE, offset, length, REAL(name)(fd, mode, offset, length)); \
    }
FALLOCATE(fallocate, off_t)
FALLOCATE(fallocate64, off64_t)

// Durable is what was written before the sync began; only once it has returned.
static int synced(int fd, int (*sync)(int)) {
    if (journal < 0 || fd < 0 || fd >= MAX_FDS || !names[fd][0]) return sync(fd);
    pthread_mutex_lock(&mutex);
    uint64_t below = next_sequence;
    pthread_mutex_unlock(&mutex);
    int result = sync(fd), error = errno;
    if (sync_time) usleep(sync_time);
    struct stat state;
    if (result == 0 && fstat(fd, &state) == 0) {
        pthread_mutex_lock(&mutex);
        come_to_the_end();
        uint32_t type = names[fd][0] == '/' ? SYNC_FOLDER : SYNC;
        append((struct record){.type = type, .sequence = below, .inode = state.st_ino}, names[fd], NULL);
        pthread_mutex_unlock(&mutex);
    }
    errno = error;
    return result;
}
int fsync(int fd) { return synced(fd, REAL(fsync)); }
int fdatasync(int fd) { return synced(fd, REAL(fdatasync)); }

static int unlink_file(int at, const char *path, int flags) {
    const char *name = flags & AT_REMOVEDIR ? NULL : name_of(at, path);
    if (!name || !*name) return REAL(unlinkat)(at, path, flags);
    pthread_mutex_lock(&mutex);
    before_unlink(path, name);
    int result = REAL(unlinkat)(at, path, flags), error = errno;
    pthread_mutex_unlock(&mutex);
    errno = error;
    return result;
}
int unlink(const char *path) { return unlink_file(AT_FDCWD, path, 0); }
int unlinkat(int at, const char *path, int flags) { return unlink_file(at, path, flags); }

// A file gets a second name, and with `moves` loses the first.
static int name_again(const char *from, const char *to, int moves, int (*call)(const char *, const char *)) {
    const char *source = name_of(AT_FDCWD, from), *target = name_of(AT_FDCWD, to);
    if ((!source || !*source) && (!target || !*target)) return call(from, to);
    pthread_mutex_lock(&mutex);
    struct stat state;
    int known = stat(from, &state) == 0;
    if (moves && target) before_unlink(to, target);
    if (moves && source) before_unlink(from, source);
    int result = call(from, to), error = errno;
    if (result == 0 && target && known) created(target, state.st_ino);
    pthread_mutex_unlock(&mutex);
    errno = error;
    return result;
}
int rename(const char *from, const char *to) { return name_again(from, to, 1, REAL(rename)); }
int link(const char *from, const char *to) { return name_again(from, to, 0, REAL(link)); }
static int link_here(const char *from, const char *to) { return REAL(linkat)(AT_FDCWD, from, AT_FDCWD, to, 0); }
int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    if (from_at != AT_FDCWD || to_at != AT_FDCWD || flags) return REAL(linkat)(from_at, from, to_at, to, flags);
    return name_again(from, to, 0, link_here);
}

// Writes through a mapping cannot be seen: better no test than one that is too kind.
#define MMAP(name, offset_type) \
    void *name(void *address, size_t length, int protection, int flags, int fd, offset_type offset) { \
        if (is_file(fd) && (protection & PROT_WRITE) && (flags & MAP_SHARED)) die("a file of the folder is mapped to be written"); \
        return REAL(name)(address, length, protection, flags, fd, offset); \
    }
MMAP(mmap, off_t)
MMAP(mmap64, off64_t)
