/* A plugin that breaks the rule that the compiler's -D option names, and none without one. */
#include "exedra.h"
#include "exedra_text.h"
#include <pthread.h>
#include <unistd.h>

#ifndef MANIFEST
#define MANIFEST                                                                                                       \
  "{\"name\":\"rude\",\"version\":\"1.0.0\",\"description\":\"Is rude when asked to\","                                 \
  "\"namespaces\":[{\"path\":\"/rude\",\"auth\":\"none\"}],"                                                            \
  "\"events\":[{\"name\":\"do\",\"ack\":{\"type\":\"integer\"}}],"                                                      \
  "\"emits\":[{\"name\":\"done\",\"schema\":{\"type\":\"integer\"}}],"                                                  \
  "\"on_disconnect\":true,\"settings\":{\"type\":\"object\",\"additionalProperties\":false}}"
#endif
#ifndef VERSION
#define VERSION "1.0.0"
#endif

typedef struct {
  const exedra_host *host;
  const exedra_socket_ext *socket;
  const exedra_room_ext *room;
  const exedra_time_ext *time;
  pthread_t thread;
  volatile int stop;
  exedra_call last;
} rude;

static const exedra_host *shared; /* what OTHER_HOST uses */

static void say(rude *r, exedra_conn conn, const char *name, const char *args) {
  exedra_message message = {.struct_size = sizeof message, .name = exedra_slice_of(name)};
  message.args = exedra_slice_of(args);
  r->socket->emit(r->host, conn, &message);
}

static void complete(rude *r, exedra_call call, const char *payload) {
  exedra_result out;
  exedra_empty(&out);
  out.payload = exedra_slice_of(payload);
  r->host->complete(r->host, call, EXEDRA_OK, &out);
}

static exedra_status poll(void *data, const exedra_waker *waker) {
  rude *r = data;
#ifdef WAKER_DROPPED_TWICE
  r->host->waker_drop(waker);
#endif
#ifdef WAKER_NOT_DROPPED
  r->host->waker_clone(waker);
#endif
  const exedra_waker *mine = r->host->waker_clone(waker);
  r->host->waker_drop(mine);
  return EXEDRA_OK;
}

static void drop(void *data) { (void)data; }

static void members(rude *r, int releases) {
  exedra_result all = {0};
  r->room->members(r->host, exedra_slice_of("r"), &all);
  for (int i = 0; i < releases; i++) all.release(all.owner);
}

static exedra_status on_event(rude *r, const exedra_event *event, exedra_result *out) {
  exedra_task task = {sizeof task, 0, r, poll, drop};
  exedra_empty(out);
  out->payload = exedra_slice_of("[1]");
  r->host->spawn(r->host, &task, 0);
#if defined(RELEASED_TWICE)
  members(r, 2);
#elif defined(NOT_RELEASED)
  members(r, 0);
#else
  members(r, 1);
#endif
#ifdef OTHER_HOST
  r->time->now_ms(shared);
#endif
#ifdef COMPLETED_TWICE
  complete(r, event->call, "[1]");
  complete(r, event->call, "[1]");
  return EXEDRA_PENDING;
#endif
#ifdef COMPLETED_AND_RETURNED
  complete(r, event->call, "[1]");
#endif
#ifdef COMPLETED_AFTER_RETURN
  exedra_call last = __atomic_exchange_n(&r->last, 0, __ATOMIC_SEQ_CST);
  if (last) complete(r, last, "[1]");
  r->last = event->call;
#endif
#ifdef UNKNOWN_CALL
  complete(r, 12345, "[1]");
#endif
#ifdef NEVER_COMPLETED
  return EXEDRA_PENDING;
#endif
#ifdef BAD_ACK
  out->payload = exedra_slice_of("not an array");
#endif
#ifdef ACK_SCHEMA
  out->payload = exedra_slice_of("[\"one\"]");
#endif
#ifdef BAD_RESULT
  out->payload.ptr = NULL;
#endif
#ifdef UNKNOWN_STATUS
  return 77;
#endif
#ifdef BLOCKED
  usleep(1200 * 1000);
#endif
#ifdef PANICKED
  return exedra_refuse(out, EXEDRA_E_PANICKED, "{\"message\":\"index out of bounds\"}");
#endif
#ifdef CRASHES
  *(volatile int *)event->call = 1;
#endif
#ifdef ABORTS
  fputs("free(): invalid pointer\n", stderr);
  abort();
#endif
#ifdef EXITS
  exit(0);
#endif
#ifdef BAD_ARGUMENTS
  say(r, event->conn, "done", "{}");
#endif
#ifdef EMIT_UNDECLARED
  say(r, event->conn, "surprise", "[]");
#endif
#ifdef EMIT_SCHEMA
  say(r, event->conn, "done", "[\"one\"]");
#else
  say(r, event->conn, "done", "[1]");
#endif
  return EXEDRA_OK;
}

static exedra_status dispatch(void *self, const exedra_event *event, exedra_result *out) {
  rude *r = self;
  (void)complete;
  if (event->kind == EXEDRA_EVENT) return on_event(r, event, out);
#ifdef GONE_CONNECTION
  if (event->kind == EXEDRA_DISCONNECT) say(r, event->conn, "done", "[1]");
#endif
  return EXEDRA_OK;
}

/* Asks the time until it is told to stop, and for half a second more after AFTER_DESTROY. */
static void *busy(void *data) {
  rude *r = data;
  const exedra_host *host = r->host;
  const exedra_time_ext *time = r->time;
#ifdef AFTER_DESTROY
  for (int i = 0; i < 2000; i++) usleep(1000), time->now_ms(host);
#elif defined(THREADS_LEFT)
  for (;;) pause();
  (void)host, (void)time;
#else
  while (!r->stop) usleep(1000), time->now_ms(host);
#endif
  return NULL;
}

static void stop(rude *r) {
#if !defined(AFTER_DESTROY) && !defined(THREADS_LEFT)
  r->stop = 1;
  pthread_join(r->thread, NULL);
#else
  (void)r;
#endif
}

static void quiesce(void *self) {
#ifndef AFTER_QUIESCE
  stop(self);
#else
  (void)self;
#endif
}

static void destroy(void *self) {
#ifdef AFTER_QUIESCE
  usleep(50 * 1000);
  stop(self);
#endif
  rude *r = self;
  r->host->log(r->host, 3, exedra_slice_of("rude"), exedra_slice_of("the host is there until the end"), exedra_slice_of(""));
  free(self);
}

static exedra_status describe(exedra_slice settings, exedra_result *out) {
  (void)settings;
  exedra_empty(out);
  out->payload = exedra_slice_of(MANIFEST);
  return EXEDRA_OK;
}

static exedra_status create(const exedra_host *host, exedra_slice settings, exedra_plugin *made, exedra_result *out) {
  (void)settings, (void)out;
#ifdef HANGS
  for (;;) pause();
#endif
#ifdef DOES_NOT_START
  return exedra_refuse(out, EXEDRA_E_UNAVAILABLE, "{\"message\":\"the moon is not full\"}");
#endif
  rude *r = calloc(1, sizeof *r);
#ifdef MEMORY_LEFT
  static void *volatile lost;
  if (!(lost = malloc(4096)) || !lost) return EXEDRA_E_INTERNAL;
#endif
  r->host = shared = host;
  r->socket = host->get_extension(host, exedra_slice_of(EXEDRA_SOCKET));
  r->room = host->get_extension(host, exedra_slice_of(EXEDRA_ROOM));
  r->time = host->get_extension(host, exedra_slice_of(EXEDRA_TIME));
  pthread_create(&r->thread, NULL, busy, r);
  *made = (exedra_plugin){.struct_size = sizeof *made, .self = r, .dispatch = dispatch, .quiesce = quiesce, .destroy = destroy};
  return EXEDRA_OK;
}

const exedra_entry exedra_plugin_v1 = {
    .struct_size = sizeof(exedra_entry),
    .abi_major = EXEDRA_ABI_MAJOR,
    .id = {(const uint8_t *)"rude", 4},
    .version = {(const uint8_t *)VERSION, sizeof VERSION - 1},
    .sdk = {(const uint8_t *)"c", 1},
    .describe = describe,
    .create = create,
};
