/* What a soak watches of its process: memory, handles, threads, and how long calls take. */
#ifndef WATCH_H
#define WATCH_H

#include <dirent.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TENTHS 10

/* AddressSanitizer has an allocator of its own, which keeps what is freed for a while; leaks are then its to report. */
#ifdef __SANITIZE_ADDRESS__
#define OWN_HEAP 0
#else
#define OWN_HEAP 1
#endif

typedef struct {
  long heap;     /* bytes that malloc has given out and not got back */
  long resident; /* bytes of the system's memory that it has for itself */
  long handles;
  long threads;
} figures;

static inline long entries(const char *folder) {
  DIR *directory = opendir(folder);
  long count = 0;
  while (directory && readdir(directory)) count++;
  if (directory) closedir(directory);
  return count;
}

/* Without the pages of libraries and programs, which the system reads and drops as it likes. */
static inline long resident(void) {
  FILE *file = fopen("/proc/self/status", "r");
  char line[256];
  long kilobytes = -1;
  while (file && fgets(line, sizeof line, file)) {
    if (sscanf(line, "RssAnon: %ld kB", &kilobytes) == 1) break;
  }
  if (file) fclose(file);
  return kilobytes * 1024;
}

/* To be called first. Otherwise the allocator keeps freed memory for each thread, which moves by tens of megabytes
 * between checkpoints without anything being lost. */
static inline void watch_one_heap(void) { mallopt(M_ARENA_MAX, 1); }

/* The figures while nothing runs. What the allocator keeps of freed memory is given back first, so that the resident
 * memory is what is in use. Threads that have ended may still be listed for a moment: looks up to `patience` times
 * whether there are no more than `threads`. */
static inline figures watch(long threads, int patience) {
  figures now = {0, 0, 0, 0};
  now.threads = entries("/proc/self/task") - 2;
  while (now.threads > threads && patience-- > 0) {
    const struct timespec pause = {0, 10000000};
    const long again = (nanosleep(&pause, NULL), entries("/proc/self/task") - 2);
    if (again < now.threads) now.threads = again;
  }
  if (OWN_HEAP) {
    struct mallinfo2 heap;
    malloc_trim(0);
    heap = mallinfo2();
    now.heap = (long)(heap.uordblks + heap.hblkhd);
  }
  now.resident = resident();
  /* Not ".", ".." and the handle of the folder itself. */
  now.handles = entries("/proc/self/fd") - 3;
  return now;
}

static inline uint64_t nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Durations, counted in 16 steps for each power of two: a quantile is exact to 6 %. */
typedef struct {
  uint32_t counts[64 * 16];
} durations;

static inline void add_duration(durations *all, uint64_t time) {
  int power = 4;
  if (time < 16) time = 16;
  while (time >> (power + 1)) power++;
  all->counts[power * 16 + (int)(time >> (power - 4) & 15)]++;
}

static inline void merge(durations *sum, const durations *part) {
  int i;
  for (i = 0; i < 64 * 16; i++) sum->counts[i] += part->counts[i];
}

/* The duration in milliseconds that a share of them does not exceed. */
static inline double quantile(const durations *all, double share) {
  uint64_t total = 0, seen = 0;
  int i;
  for (i = 0; i < 64 * 16; i++) total += all->counts[i];
  for (i = 0; i < 64 * 16; i++) {
    seen += all->counts[i];
    if ((double)seen >= share * (double)total && seen > 0) break;
  }
  if (i == 64 * 16) return 0;
  return (double)(uint64_t)(16 + i % 16 + 1) * (double)((uint64_t)1 << (i / 16 - 4)) / 1e6;
}

/* The latency of each tenth of a run. */
static inline void print_latency(const durations *tenths) {
  double p99[TENTHS], sorted[TENTHS];
  int tenth, i;
  printf("\ntenth of the run   p50 ms   p99 ms\n");
  for (tenth = 0; tenth < TENTHS; tenth++) {
    p99[tenth] = quantile(&tenths[tenth], 0.99);
    for (i = tenth; i > 0 && sorted[i - 1] > p99[tenth]; i--) sorted[i] = sorted[i - 1];
    sorted[i] = p99[tenth];
    printf("%16d %8.2f %8.2f\n", tenth + 1, quantile(&tenths[tenth], 0.5), p99[tenth]);
  }
  printf("p99 of the last tenth / median of the tenths' p99: %.2f\n", p99[TENTHS - 1] / sorted[TENTHS / 2]);
}

#endif
