/* The process ends while it saves: at each system call of a save, and at random moments. The file is one of two models.
 *
 *     killed               starts itself again as what follows, and kills it
 *     killed loop PIPE     saves both models in turn for ever, and writes to the pipe once it has begun
 *     killed die NUMBER    saves one, and ends at the system call of that number */

#define _GNU_SOURCE
#include <sys/wait.h>
#include <time.h>

#include "saving.h"

/* Removes what a killed process has left; returns how many files. */
static int remove_leftovers(void) {
  DIR *entries = opendir(folder);
  struct dirent *entry;
  int count = 0;
  while ((entry = readdir(entries)) != NULL)
    if (is_temporary(entry->d_name) && unlink(at(entry->d_name)) == 0) count++;
  closedir(entries);
  return count;
}

/* In a process that will be killed: saves both models to the same path, again and again. */
static void save_for_ever(int output) {
  npad_options *options = host_options(NULL);
  int m;
  for (m = 0; m < 2; m++) WORKS(npad_model_load(at(m ? "../b.npad" : "../a.npad"), options, &models[m], &error));
  for (m = 0; failures == 0; m = 1 - m) {
    WORKS(npad_model_save(models[m], target, &error));
    if (output >= 0 && write(output, "s", 1) == 1) output = -1;
  }
}

/* In a process that ends at a system call of its save, or succeeds if it makes fewer. */
static void save_and_die(int chosen) {
  npad_options *options = host_options(NULL);
  WORKS(npad_model_load(at("../b.npad"), options, &models[1], &error));
  CHECK(see_system_calls());
  watch_calls(folder, chosen, KILLED, 0);
  WORKS(npad_model_save(models[1], target, &error));
}

static pid_t start(const char *program, const char *mode, const char *argument) {
  const pid_t child = fork();
  if (child == 0) {
    execl(program, program, mode, argument, (char *)NULL);
    _exit(127);
  }
  return child;
}

/* The file is one of the models, and npad loads it. */
static void check_survivor(const npad_options *options, int load) {
  npad_model *model = NULL;
  CHECK(is(target, saved[0]) || is(target, saved[1]));
  if (!load) return;
  WORKS(npad_model_load(target, options, &model, &error));
  npad_model_free(model);
}

static void kill_at_random(const char *program, const npad_options *options) {
  enum { KILLS = 200 };
  unsigned state = 7;
  int k, left = 0;
  for (k = 0; k < KILLS; k++) {
    struct timespec delay = {0, 0};
    int ends[2], status = 0;
    char number[16], byte;
    pid_t child;
    CHECK(pipe(ends) == 0);
    snprintf(number, sizeof number, "%d", ends[1]);
    child = start(program, "loop", number);
    close(ends[1]);
    CHECK(read(ends[0], &byte, 1) == 1);
    close(ends[0]);
    state = state * 1664525u + 1013904223u;
    delay.tv_nsec = (long)(state >> 8) % 3000000;
    nanosleep(&delay, NULL);
    kill(child, SIGKILL);
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    check_survivor(options, k % 10 == 0);
    if (failures) exit(1);
    /* Those of earlier kills are in nobody's way. */
    if (k % 20 == 19) left += remove_leftovers();
  }
  printf("%d kills, %d temporary files left\n", KILLS, left);
}

static void kill_at_each_call(const char *program, const npad_options *options) {
  int n, status = 0, left = 0, changed = 0;
  for (n = 1; n < 50; n++) {
    char number[16];
    pid_t child;
    write_bytes(target, npad_buffer_data(saved[0]), npad_buffer_size(saved[0]));
    snprintf(number, sizeof number, "%d", n);
    child = start(program, "die", number);
    CHECK(waitpid(child, &status, 0) == child);
    check_survivor(options, 1);
    /* Once the name is the new file's, it stays so. */
    CHECK(!changed || is(target, saved[1]));
    changed = is(target, saved[1]);
    if (!WIFSIGNALED(status)) break;
    CHECK(WTERMSIG(status) == SIGKILL);
    /* At most one is left, and a later save works beside it. */
    CHECK(files_in_folder() <= 2);
    left += files_in_folder() - 1;
    WORKS(npad_model_save(models[1], target, &error));
    CHECK(is(target, saved[1]));
    remove_leftovers();
  }
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0 && n > 5 && left > 0 && changed);
}

static void killed(const char *program) {
  npad_options *options = host_options(NULL);
  make_models(options);
  WORKS(npad_model_save(models[0], at("../a.npad"), &error));
  WORKS(npad_model_save(models[1], at("../b.npad"), &error));
  kill_at_each_call(program, options);
  kill_at_random(program, options);
  remove_leftovers();
  CHECK(files_in_folder() == 1);
  unlink(target);
  free_models(options);
}

int main(int argc, char **argv) {
  make_folder();
  make_images();
  if (argc == 3 && strcmp(argv[1], "loop") == 0)
    save_for_ever(atoi(argv[2]));
  else if (argc == 3)
    save_and_die(atoi(argv[2]));
  else
    killed(argv[0]);
  return done();
}
