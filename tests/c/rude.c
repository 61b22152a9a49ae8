/* A library that misbehaves on purpose, loaded before npad: npad_score() also does what the environment variable RUDE
 * names. It shows that the checks of isolation.c and isolation.rs are not blind. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <fenv.h>
#include <locale.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "npad.h"

static void leave(void) {
  _exit(0);
}

/* One of the cores that the process may use. */
static const cpu_set_t *one_of(cpu_set_t *cores) {
  int first = 0;
  sched_getaffinity(0, sizeof *cores, cores);
  while (!CPU_ISSET(first, cores)) first++;
  CPU_ZERO(cores);
  CPU_SET(first, cores);
  return cores;
}

static void be_rude(const char *how) {
  struct rlimit limit;
  sigset_t set;
  cpu_set_t cores;
  if (strcmp(how, "handler") == 0) signal(SIGUSR1, SIG_IGN);
  if (strcmp(how, "blocked") == 0) sigemptyset(&set), sigaddset(&set, SIGUSR1), sigprocmask(SIG_BLOCK, &set, NULL);
  if (strcmp(how, "locale") == 0) setlocale(LC_ALL, "C.UTF-8");
  if (strcmp(how, "thread-locale") == 0) uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0));
  if (strcmp(how, "rounding") == 0) fesetround(FE_UPWARD);
  if (strcmp(how, "environment") == 0) setenv("RUDE_WAS_HERE", "1", 1);
  if (strcmp(how, "folder") == 0 && chdir("/") != 0) return;
  if (strcmp(how, "mask") == 0) umask(0);
  if (strcmp(how, "limit") == 0) getrlimit(RLIMIT_CORE, &limit), limit.rlim_cur ^= 1, setrlimit(RLIMIT_CORE, &limit);
  if (strcmp(how, "cores") == 0) sched_setaffinity(0, sizeof cores, one_of(&cores));
  if (strcmp(how, "descriptor") == 0 && dup(0) < 0) return;
  if (strcmp(how, "stdout") == 0) puts("rude");
  if (strcmp(how, "stderr") == 0) fputs("rude\n", stderr);
  if (strcmp(how, "exit") == 0) atexit(leave);
  if (strcmp(how, "network") == 0) close(socket(AF_INET, SOCK_STREAM, 0));
  if (strcmp(how, "file") == 0) close(open("rude", O_WRONLY | O_CREAT, 0600));
  if (strcmp(how, "process") == 0 && system("exit 0") != 0) return;
}

npad_status npad_score(const npad_model *model, const npad_image *image, npad_result **result, npad_error **error) {
  npad_status (*next)(const npad_model *, const npad_image *, npad_result **, npad_error **);
  static int called = 0;
  const char *how = getenv("RUDE");
  *(void **)&next = dlsym(RTLD_NEXT, "npad_score");
  if (how && !called++) be_rude(how);
  return next(model, image, result, error);
}
