/* A production line in small: threads score images with the current model while another thread loads models, puts each
 * in the place of the current one and frees that one when nobody uses it any more. Other calls fail, time out or are
 * cancelled. Every result must be that of one thread, to the last bit, and the process must not grow.
 *
 *   soak [images] [threads] [folder for models]
 *
 * Compiled with -DPLANTED=N it has a fault that it must find: 1 a wrong result, 2 a handle, 3 a thread, 4 results that
 * are not freed, 5 models that are not freed. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>

#include "parts.h"
#include "watch.h"

#ifndef PLANTED
#define PLANTED 0
#endif

/* The process is measured, with no model alive, whenever a twentieth of the images is done. */
#define CHECKPOINTS 20
/* Growth is counted from this checkpoint on: the allocator's arenas and what ONNX Runtime keeps are there by then. */
#define BASELINE 4
#define MOST_THREADS 64
/* Images between two loads. */
#define SWAP_EVERY 100
#define BATCH 8

/* What memory may grow by, in bytes: less than a million images lose by 32 bytes, the smallest block, for each ten of
 * them. The heap of a sound run grows by half a megabyte at first, while ONNX Runtime and the allocator fill what they
 * keep. Resident memory also has the free parts of pages that are in use. */
#define HEAP_SLACK (2L << 20)
#define RESIDENT_SLACK (8L << 20)

/* A model and how many calls use it, as a host may have it. */
typedef struct {
  npad_model *model;
  int design, users;
  bool limited; /* one call at a time, and others time out at once */
} holder;

static struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  holder *current;
  long claimed, end; /* images given to threads, and those of this stretch of the run */
  npad_cancellation *running[MOST_THREADS];
  long swaps, timed_out, cancelled, refused, other, wrong;
} host = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static pthread_barrier_t begin, end;
static long total = 50000;
static int threads = 8, checkpoint;
static bool over;

typedef struct {
  int number;
  uint64_t random;
  uint8_t room[3 * WIDEST * WIDEST];
  float map[WIDEST * (WIDEST + 4)];
  durations times[TENTHS];
} worker;

static worker workers[MOST_THREADS + 1];

static void count(long *counter) {
  pthread_mutex_lock(&host.lock);
  ++*counter;
  pthread_mutex_unlock(&host.lock);
}

static void wrong(const char *what, const holder *h, npad_error *error) {
  pthread_mutex_lock(&host.lock);
  if (host.wrong++ < 20) {
    const char *message = error ? npad_error_message(error) : "not what one thread has found";
    fprintf(stderr, "%s, %s: %s\n", designs[h->design].method, what, message);
  }
  pthread_mutex_unlock(&host.lock);
}

static holder *acquire(void) {
  holder *h;
  pthread_mutex_lock(&host.lock);
  h = host.current;
  h->users++;
  pthread_mutex_unlock(&host.lock);
  return h;
}

static void release(holder *h) {
  pthread_mutex_lock(&host.lock);
  if (--h->users == 0) pthread_cond_broadcast(&host.changed);
  pthread_mutex_unlock(&host.lock);
}

static unsigned draw(worker *w, unsigned below) {
  w->random = w->random * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)(w->random >> 33) % below;
}

/* Whether a call has done its work. It may have timed out or been cancelled where that was asked for; anything else is
 * wrong. */
static bool done_by(const holder *h, npad_status status, npad_error *error, bool cancellable, const char *what) {
  if (status == NPAD_STATUS_TIMED_OUT && h->limited) {
    const struct timespec pause = {0, 1000000};
    count(&host.timed_out);
    nanosleep(&pause, NULL);
  } else if (status == NPAD_STATUS_CANCELLED && cancellable) {
    count(&host.cancelled);
  } else if (status != NPAD_STATUS_OK) {
    wrong(what, h, error);
  }
  if ((status != NPAD_STATUS_OK) != (error != NULL)) wrong("status and error disagree", h, NULL);
  npad_error_free(error);
  return status == NPAD_STATUS_OK;
}

/* Makes a call that sets `error`. */
#define DONE(call, cancellable, what) (status = (call), done_by(h, status, error, cancellable, what))

/* Whether the fault is to happen: once, in the middle of the run. */
static bool planted(const worker *w) {
  static bool yet;
  if (yet || checkpoint < CHECKPOINTS / 2 || w->number != 0) return false;
  return yet = true;
}

static void *wait_for_ever(void *argument) {
  for (;;) pause();
  return argument;
}

static void plant(const worker *w) {
  pthread_t thread;
  if (PLANTED == 2 && planted(w)) CHECK(open("/dev/null", O_RDONLY) >= 0);
  if (PLANTED == 3 && planted(w)) CHECK(pthread_create(&thread, NULL, wait_for_ever, NULL) == 0);
}

static void compare(worker *w, const holder *h, int n, const npad_result *result) {
  finding found = findings_of(result, n, w->room);
  if (PLANTED == 1 && planted(w)) found.map ^= 1;
  if (!same(&found, &references[h->design].findings[n])) wrong("npad_score", h, NULL);
}

static bool score(worker *w, holder *h, int n) {
  npad_error *error = NULL;
  npad_result *result = NULL;
  const uint64_t start = nanoseconds();
  const npad_status status = npad_score(h->model, &parts[n], &result, &error);
  const uint64_t time = nanoseconds() - start;
  if (!done_by(h, status, error, false, "npad_score")) return false;
  add_duration(&w->times[checkpoint * TENTHS / CHECKPOINTS], time);
  compare(w, h, n, result);
  if (draw(w, 100) == 0) {
    npad_render(h->model, &parts[n], result, w->room, 0, NPAD_PIXEL_FORMAT_RGB8, NULL);
    if (hash(HASH_START, w->room, 3 * area(n)) != references[h->design].findings[n].picture) {
      wrong("npad_render", h, NULL);
    }
  }
  if (PLANTED == 4 && draw(w, 2) == 0) return true;
  npad_result_free(result);
  return true;
}

static finding finding_of(const npad_output *output, const float *map, int64_t pitch, int n) {
  const size_t row = (size_t)scenes[n].width * sizeof(float);
  finding found;
  int y;
  memset(&found, 0, sizeof found);
  found.score = output->score;
  found.calibrated = output->calibrated_score;
  found.verdict = output->verdict;
  found.regions = output->region_count;
  found.map = HASH_START;
  for (y = 0; y < scenes[n].height; y++) found.map = hash(found.map, map + y * pitch, row);
  found.bytes = hash(HASH_START, output->map_u8, area(n));
  found.first_regions = hash_regions(output->regions, output->region_count);
  return found;
}

static bool score_into(worker *w, holder *h, int n) {
  const int64_t pitch = scenes[n].width + 4;
  npad_region regions[REGIONS];
  npad_error *error = NULL;
  npad_output output;
  finding found;
  uint64_t start, time;
  npad_status status;
  memset(&output, 0, sizeof output);
  memset(regions, 0, sizeof regions);
  output.size = sizeof output;
  output.map = w->map;
  output.map_stride = pitch * (int64_t)sizeof(float);
  output.map_u8 = w->room;
  output.regions = regions;
  output.region_size = sizeof regions[0];
  output.region_capacity = REGIONS;
  start = nanoseconds();
  status = npad_score_into(h->model, &parts[n], &output, &error);
  time = nanoseconds() - start;
  if (!done_by(h, status, error, false, "npad_score_into")) return false;
  add_duration(&w->times[checkpoint * TENTHS / CHECKPOINTS], time);
  found = finding_of(&output, w->map, pitch, n);
  if (!same(&found, &references[h->design].findings[n])) wrong("npad_score_into", h, NULL);
  return true;
}

/* A batch, which another thread may cancel. */
static bool score_batch(worker *w, holder *h, int first, int number) {
  npad_cancellation *cancellation = npad_cancellation_new();
  npad_result *results[BATCH] = {NULL};
  npad_image batch[BATCH];
  npad_error *error = NULL;
  npad_status status;
  bool good;
  int i;
  for (i = 0; i < number; i++) batch[i] = parts[(first + i) % SCENES];
  pthread_mutex_lock(&host.lock);
  host.running[w->number] = cancellation;
  pthread_mutex_unlock(&host.lock);
  if (draw(w, 20) == 0) npad_cancellation_cancel(cancellation);
  good = DONE(npad_score_batch(h->model, batch, (size_t)number, cancellation, results, &error), true, "a batch");
  pthread_mutex_lock(&host.lock);
  host.running[w->number] = NULL;
  pthread_mutex_unlock(&host.lock);
  npad_cancellation_free(cancellation);
  for (i = 0; i < number; i++) {
    if (good) compare(w, h, (first + i) % SCENES, results[i]);
    if (!good && results[i]) wrong("a failed batch has results", h, NULL);
    npad_result_free(results[i]);
  }
  return good;
}

/* Calls that must be refused, each with its status. */
static void refused(worker *w, holder *h) {
  npad_image bad = parts[draw(w, SCENES)];
  npad_result *result = NULL;
  npad_error *error = NULL;
  npad_status expected = NPAD_STATUS_INVALID_IMAGE, status;
  switch (draw(w, 4)) {
    case 0: bad.width = 0; break;
    case 1: bad.stride = 1; bad.width = 2; break;
    case 2: bad.format = 99; break;
    default: bad.size = 3; expected = NPAD_STATUS_INVALID_ARGUMENT; break;
  }
  status = npad_score(h->model, &bad, &result, &error);
  if (status != expected && !(status == NPAD_STATUS_TIMED_OUT && h->limited)) wrong("a bad image", h, error);
  if (result || !error) wrong("a bad image has no error", h, NULL);
  npad_error_free(error);
  count(&host.refused);
}

/* What a host also does now and then. */
static void something_else(worker *w, holder *h) {
  const reference *r = &references[h->design];
  npad_error *error = NULL;
  npad_buffer *buffer = NULL;
  npad_model *changed = NULL;
  npad_status status;
  float threshold = 0;
  const npad_image *size = &parts[draw(w, SCENES)];
  switch (draw(w, 6)) {
    case 0:
      DONE(npad_model_warm_up(h->model, size->width, size->height, &error), false, "npad_model_warm_up");
      break;
    case 1:
      if (DONE(recalibrate(h->model, &threshold, &error), false, "npad_model_recalibrate") &&
          threshold != r->recalibrated) {
        wrong("npad_model_recalibrate", h, NULL);
      }
      break;
    case 2:
      if (hash_text(npad_model_card(h->model)) != r->card) wrong("npad_model_card", h, NULL);
      if (!strstr(npad_model_info(h->model), designs[h->design].method)) wrong("npad_model_info", h, NULL);
      break;
    case 3:
      if (DONE(npad_model_save_memory(h->model, &buffer, &error), false, "npad_model_save_memory") &&
          (npad_buffer_size(buffer) != npad_buffer_size(r->bytes) ||
           memcmp(npad_buffer_data(buffer), npad_buffer_data(r->bytes), npad_buffer_size(buffer)) != 0)) {
        wrong("npad_model_save_memory", h, NULL);
      }
      npad_buffer_free(buffer);
      break;
    case 4:
      threshold = 2 * r->threshold;
      if (DONE(npad_model_with_thresholds(h->model, threshold, threshold, &changed, &error), false, "thresholds") &&
          npad_model_threshold(changed) != threshold) {
        wrong("npad_model_with_thresholds", h, NULL);
      }
      npad_model_free(changed);
      break;
    default:
      pthread_mutex_lock(&host.lock);
      npad_cancellation_cancel(host.running[draw(w, (unsigned)threads)]);
      pthread_mutex_unlock(&host.lock);
      break;
  }
  count(&host.other);
}

/* Takes up to `number` images of this stretch to score; 0 at its end. */
static int claim(int number) {
  pthread_mutex_lock(&host.lock);
  if (number > host.end - host.claimed) number = (int)(host.end - host.claimed);
  host.claimed += number;
  pthread_cond_broadcast(&host.changed);
  pthread_mutex_unlock(&host.lock);
  return number;
}

/* Scores images of a stretch until they are done. A call that timed out or was cancelled is made again. */
static void score_a_stretch(worker *w) {
  for (;;) {
    const unsigned kind = draw(w, 100);
    const int number = claim(kind < 8 ? 2 + (int)draw(w, BATCH - 1) : 1), n = (int)draw(w, SCENES);
    bool good = false;
    if (number == 0) return;
    while (!good) {
      holder *h = acquire();
      if (draw(w, 100) == 0) refused(w, h);
      if (draw(w, 100) == 0) something_else(w, h);
      if (number > 1) {
        good = score_batch(w, h, n, number);
      } else {
        good = kind % 3 == 0 ? score_into(w, h, n) : score(w, h, n);
      }
      release(h);
    }
    plant(w);
  }
}

static void *work(void *argument) {
  worker *w = argument;
  for (;;) {
    pthread_barrier_wait(&begin);
    if (over) return NULL;
    score_a_stretch(w);
    pthread_barrier_wait(&end);
  }
}

/* A thread that comes, scores one image and goes, as those of a pool do. */
static void *visit(void *argument) {
  holder *h = acquire();
  worker *w = argument;
  score(w, h, (int)draw(w, SCENES));
  release(h);
  return NULL;
}

/* Loads a model, from its file or from memory, in one of several ways. */
static holder *load(long number) {
  static const char *const thread_counts[] = {"1", "1", "1", "2"};
  holder *h = calloc(1, sizeof *h);
  const reference *r;
  npad_options *options = npad_options_new();
  h->design = (int)(number % DESIGNS);
  h->limited = number % 7 == 3;
  r = &references[h->design];
  WORKS(npad_options_set(options, "threads", thread_counts[number / 3 % 4], &error));
  if (h->limited) {
    WORKS(npad_options_set(options, "max_calls", "1", &error));
    WORKS(npad_options_set(options, "call_timeout", "0", &error));
  }
  if (number % 2 == 0) {
    WORKS(npad_model_load(r->path, options, &h->model, &error));
  } else {
    WORKS(npad_model_load_memory(npad_buffer_data(r->bytes), npad_buffer_size(r->bytes), options, &h->model, &error));
  }
  npad_options_free(options);
  if (!h->model) exit(1);
  return h;
}

/* A fit beside the scoring: its model is, byte for byte, that of the first one. */
static void fit_again(int number) {
  npad_model *model = fit(number);
  npad_buffer *bytes = NULL;
  const npad_buffer *expected = references[number].bytes;
  WORKS(npad_model_save_memory(model, &bytes, &error));
  CHECK(npad_buffer_size(bytes) == npad_buffer_size(expected) &&
        memcmp(npad_buffer_data(bytes), npad_buffer_data(expected), npad_buffer_size(bytes)) == 0);
  npad_buffer_free(bytes);
  npad_model_free(model);
}

/* Puts a model in the place of the current one, which it frees once no call uses it. */
static void swap(holder *h) {
  holder *old;
  pthread_mutex_lock(&host.lock);
  old = host.current;
  host.current = h;
  while (old && old->users > 0) pthread_cond_wait(&host.changed, &host.lock);
  host.swaps++;
  pthread_mutex_unlock(&host.lock);
  if (!old) return;
  if (PLANTED != 5 || host.swaps % 4 != 0) npad_model_free(old->model);
  free(old);
}

/* Swaps models until the images of a stretch are done, one for each SWAP_EVERY of them. */
static void swap_for_a_stretch(worker *w) {
  for (;;) {
    pthread_t visitor;
    bool more;
    pthread_mutex_lock(&host.lock);
    while (host.claimed < host.end && host.claimed < host.swaps * SWAP_EVERY) {
      pthread_cond_wait(&host.changed, &host.lock);
    }
    more = host.claimed < host.end;
    pthread_mutex_unlock(&host.lock);
    if (!more) return;
    swap(load(host.swaps));
    if (host.swaps % 32 == 0) fit_again((int)(host.swaps / 32 % DESIGNS));
    CHECK(pthread_create(&visitor, NULL, visit, w) == 0);
    pthread_join(visitor, NULL);
  }
}

static void *swapping(void *argument) {
  for (;;) {
    pthread_barrier_wait(&begin);
    if (over) return NULL;
    swap_for_a_stretch(argument);
    pthread_barrier_wait(&end);
  }
}

static void grown(const char *what, long from, long to, long slack) {
  if (to - from <= slack) return;
  fprintf(stderr, "%s grew from %ld to %ld, by more than %ld\n", what, from, to, slack);
  failures++;
}

int main(int count_of_arguments, char **arguments) {
  pthread_t handles[MOST_THREADS + 1];
  figures first = {0, 0, 0, 0}, now = first;
  static durations times[TENTHS];
  uint64_t start;
  int i, tenth;
  if (count_of_arguments > 1) total = atol(arguments[1]);
  if (count_of_arguments > 2) threads = atoi(arguments[2]);
  if (total < CHECKPOINTS || threads < 1 || threads > MOST_THREADS) {
    fprintf(stderr, "soak [images, %d at least] [threads, 1 to %d] [folder]\n", CHECKPOINTS, MOST_THREADS);
    return 2;
  }
  /* A run takes an hour: whoever follows its log sees each line. */
  setvbuf(stdout, NULL, _IOLBF, 0);
  watch_one_heap();
  make_references(count_of_arguments > 3 ? arguments[3] : ".");
  pthread_barrier_init(&begin, NULL, (unsigned)threads + 2);
  pthread_barrier_init(&end, NULL, (unsigned)threads + 2);
  for (i = 0; i <= threads; i++) {
    workers[i].number = i;
    workers[i].random = (uint64_t)i;
    CHECK(pthread_create(&handles[i], NULL, i < threads ? work : swapping, &workers[i]) == 0);
  }
  printf("%ld images, %d threads\n", total, threads);
  printf("   images    swaps timed out cancelled   refused other calls wrong   heap KB resident KB handles threads");
  printf("  images/s\n");
  start = nanoseconds();
  for (checkpoint = 0; checkpoint < CHECKPOINTS; checkpoint++) {
    swap(load(host.swaps));
    host.end = total / CHECKPOINTS * (checkpoint + 1);
    if (checkpoint == CHECKPOINTS - 1) host.end = total;
    pthread_barrier_wait(&begin);
    pthread_barrier_wait(&end);
    swap(NULL);
    now = watch(first.threads, checkpoint == CHECKPOINTS - 1 ? 1000 : 20);
    printf("%9ld %8ld %9ld %9ld %9ld %11ld %5ld %9ld %11ld %7ld %7ld %9.0f\n", host.claimed, host.swaps, host.timed_out,
           host.cancelled, host.refused, host.other, host.wrong, now.heap >> 10, now.resident >> 10, now.handles,
           now.threads, (double)host.claimed * 1e9 / (double)(nanoseconds() - start));
    if (checkpoint + 1 == BASELINE) first = now;
  }
  over = true;
  pthread_barrier_wait(&begin);
  for (i = 0; i <= threads; i++) pthread_join(handles[i], NULL);
  for (tenth = 0; tenth < TENTHS; tenth++) {
    for (i = 0; i <= threads; i++) merge(&times[tenth], &workers[i].times[tenth]);
  }
  print_latency(times);
  if (OWN_HEAP) {
    grown("the heap", first.heap, now.heap, HEAP_SLACK);
    grown("resident memory", first.resident, now.resident, RESIDENT_SLACK);
  }
  grown("the number of handles", first.handles, now.handles, 0);
  grown("the number of threads", first.threads, now.threads, 0);
  CHECK(host.wrong == 0);
  /* In a short run there may be none. */
  if (total >= 50000) CHECK(host.timed_out > 0 && host.cancelled > 0 && host.refused > 0 && host.other > 0);
  free_references();
  return done();
}
