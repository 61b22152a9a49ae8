/* The system calls on files that this process makes: recorded, and one of them refused, cut short or made the last one.
 * Seccomp traps them, since a library in Rust makes some of them without libc, whose functions could be replaced. */
#ifndef SYSTEM_CALLS_H
#define SYSTEM_CALLS_H

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/* What happens to the call that is chosen: an errno, or one of these. */
enum { KILLED = -1, HALVED = -2 };

enum { MOST_CALLS = 200, MOST_FILES = 64, PATH_SIZE = 400 };

typedef struct {
  long number;
  int open_flags, descriptor;
  /* Of the file that is opened or renamed, or that the descriptor belongs to. */
  char path[PATH_SIZE];
  /* The new name. */
  char to[PATH_SIZE];
} system_call;

static struct {
  volatile int watching;
  /* Only calls on files whose path contains this are of interest. */
  const char *within;
  /* The call that fails, counted from 1, and how; `onwards` all of its kind after it as well, but for removals. */
  int chosen, effect, onwards, hit;
  /* The only kind of calls of interest; 0 for all. */
  long only;
  int count;
  system_call calls[MOST_CALLS];
  char open_files[MOST_FILES][PATH_SIZE];
} watch;

/* As libc's syscall(), at an address of our own, which the filter lets through. */
long untrapped(long number, ...);
extern const char untrapped_return[];
__asm__(
    ".text\n.globl untrapped\n.globl untrapped_return\n"
    "untrapped:\n  mov %rdi, %rax\n  mov %rsi, %rdi\n  mov %rdx, %rsi\n  mov %rcx, %rdx\n  mov %r8, %r10\n"
    "  mov %r9, %r8\n  mov 8(%rsp), %r9\n  syscall\nuntrapped_return:\n  ret\n");

static const long trapped[] = {
    SYS_open,  SYS_openat,    SYS_creat,     SYS_write,   SYS_writev, SYS_pwrite64, SYS_fsync,     SYS_fdatasync,
    SYS_fchmod, SYS_ftruncate, SYS_fallocate, SYS_rename,  SYS_renameat, SYS_renameat2, SYS_link,  SYS_linkat,
    SYS_unlink, SYS_unlinkat,  SYS_close,     SYS_statx,   SYS_newfstatat, SYS_readlink, SYS_readlinkat,
};

static int takes_descriptor(long number) {
  return number == SYS_write || number == SYS_writev || number == SYS_pwrite64 || number == SYS_fsync ||
         number == SYS_fdatasync || number == SYS_fchmod || number == SYS_ftruncate || number == SYS_fallocate ||
         number == SYS_close;
}

static int is_removal(long number) { return number == SYS_unlink || number == SYS_unlinkat; }

/* Writes down the paths of a call; returns whether it is of interest. */
static int note_paths(system_call *call, long number, const long *arguments) {
  const int at = number == SYS_openat || number == SYS_renameat || number == SYS_renameat2 || number == SYS_linkat ||
                 number == SYS_unlinkat || number == SYS_statx || number == SYS_newfstatat || number == SYS_readlinkat;
  const char *path = "", *to = "";
  call->number = number;
  call->descriptor = takes_descriptor(number) ? (int)arguments[0] : -1;
  call->open_flags = number == SYS_open ? (int)arguments[1] : number == SYS_openat ? (int)arguments[2] : 0;
  if (takes_descriptor(number)) {
    if (arguments[0] >= 0 && arguments[0] < MOST_FILES) path = watch.open_files[arguments[0]];
  } else {
    path = (const char *)arguments[at];
    if (number == SYS_rename || number == SYS_link) to = (const char *)arguments[1];
    if (number == SYS_renameat || number == SYS_renameat2 || number == SYS_linkat) to = (const char *)arguments[3];
  }
  call->path[0] = call->to[0] = 0;
  if (path) strncat(call->path, path, PATH_SIZE - 1);
  if (to) strncat(call->to, to, PATH_SIZE - 1);
  return strstr(call->path, watch.within) != NULL;
}

static void on_trap(int signal, siginfo_t *info, void *context) {
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  const long number = info->si_syscall;
  long arguments[6], result;
  int effect = 0;
  (void)signal;
  arguments[0] = registers[REG_RDI];
  arguments[1] = registers[REG_RSI];
  arguments[2] = registers[REG_RDX];
  arguments[3] = registers[REG_R10];
  arguments[4] = registers[REG_R8];
  arguments[5] = registers[REG_R9];
  if (watch.watching && watch.count < MOST_CALLS) {
    system_call *call = &watch.calls[watch.count];
    if (note_paths(call, number, arguments) && (watch.only == 0 || watch.only == number)) {
      watch.count++;
      if (watch.count == watch.chosen || (watch.onwards && watch.hit && !is_removal(number) && number != SYS_close))
        effect = watch.effect;
    }
  }
  if (effect) watch.hit = 1;
  if (effect == KILLED) untrapped(SYS_kill, untrapped(SYS_getpid), SIGKILL);
  if (effect == HALVED && number == SYS_write) arguments[2] = (arguments[2] + 1) / 2;
  if (effect > 0) {
    /* A descriptor is closed even so. */
    if (number == SYS_close) untrapped(number, arguments[0]);
    registers[REG_RAX] = -effect;
    return;
  }
  result = untrapped(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
  if (watch.watching && (number == SYS_open || number == SYS_openat) && result >= 0 && result < MOST_FILES) {
    watch.open_files[result][0] = 0;
    strncat(watch.open_files[result], (const char *)arguments[number == SYS_openat], PATH_SIZE - 1);
  }
  registers[REG_RAX] = result;
}

/* From now on the calls of this thread, and of those that it starts, are seen. Returns whether the system allows it. */
static inline int see_system_calls(void) {
  enum { TRAPPED = sizeof trapped / sizeof trapped[0] };
  const uint64_t own = (uint64_t)(uintptr_t)untrapped_return;
  struct sock_filter filter[TRAPPED + 9];
  struct sock_fprog program;
  struct sigaction action;
  unsigned short length = 0;
  int i;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_trap;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  sigaction(SIGSYS, &action, NULL);
#define LOAD(field) (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define UNLESS(value, skipped) (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), 0, skipped)
#define RETURN(value) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, value)
  filter[length++] = LOAD(instruction_pointer);
  filter[length++] = UNLESS(own, 3);
  filter[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                                  offsetof(struct seccomp_data, instruction_pointer) + 4);
  filter[length++] = UNLESS(own >> 32, 1);
  filter[length++] = RETURN(SECCOMP_RET_ALLOW);
  filter[length++] = LOAD(nr);
  for (i = 0; i < TRAPPED; i++, length++) {
    filter[length] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)trapped[i],
                                                  (uint8_t)(TRAPPED - i), 0);
  }
  filter[length++] = RETURN(SECCOMP_RET_ALLOW);
  filter[length++] = RETURN(SECCOMP_RET_TRAP);
#undef LOAD
#undef UNLESS
#undef RETURN
  program.len = length;
  program.filter = filter;
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* Watches the calls on files whose path contains `within`; the one of the number `chosen`, if any, gets the effect. */
static inline void watch_calls(const char *within, int chosen, int effect, int onwards) {
  memset(&watch, 0, sizeof watch);
  watch.within = within;
  watch.chosen = chosen;
  watch.effect = effect;
  watch.onwards = onwards;
  watch.watching = 1;
}

/* Returns whether the chosen call has been made. */
static inline int stop_watching(void) {
  watch.watching = 0;
  return watch.hit;
}

#endif
