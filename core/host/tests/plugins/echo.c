/* A plugin that does what the name of an event says, well or badly, and reports what it has seen. */
#include "exedra.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef ID
#define ID "echo"
#endif
#ifndef CREATE
#define CREATE EXEDRA_OK
#endif
#ifdef RPCS
#define MORE "\"rpcs\":[{\"method\":\"spin\"},{\"method\":\"report\"}],"
#else
#define MORE ""
#endif
#define TEXT(s) {(const uint8_t *)(s), sizeof(s) - 1}

typedef struct {
  const exedra_host *host;
  const exedra_socket_ext *socket;
  const exedra_room_ext *room;
  const exedra_kv_ext *kv;
  char mark[256]; /* a file that gets a line for each step of life */
  atomic_int cancels, drops, second, late, begun;
  char ack[256];
} echo;

static void mark(echo *e, const char *line) {
  FILE *file = e->mark[0] ? fopen(e->mark, "a") : NULL;
  if (file) {
    fprintf(file, "%s\n", line);
    fclose(file);
  }
}

static int is(exedra_slice s, const char *name) { return s.len == strlen(name) && !memcmp(s.ptr, name, s.len); }

static exedra_slice text(const char *s) {
  exedra_slice slice = {(const uint8_t *)s, strlen(s)};
  return slice;
}

static exedra_result answer(const char *payload) {
  exedra_result result = {.struct_size = sizeof result, .payload = text(payload)};
  return result;
}

/* ---- a call that waits for the store ---- */

typedef struct {
  echo *e;
  exedra_call call;
} waiting;

static void stored(void *user, exedra_status status, exedra_result *result) {
  waiting *w = user;
  char line[32];
  snprintf(line, sizeof line, "done %d", status);
  mark(w->e, line);
  char payload[64];
  snprintf(payload, sizeof payload, "[{\"revision\":%llu}]", (unsigned long long)result->code);
  exedra_result out = answer(payload);
  w->e->host->complete(w->e->host, w->call, status, &out);
  if (result->release) result->release(result->owner);
  free(w);
}

static exedra_status store(echo *e, const exedra_event *event, const char *key) {
  waiting *w = malloc(sizeof *w);
  w->e = e, w->call = event->call;
  exedra_result out = {0};
  exedra_done done = {stored, w};
  exedra_op op;
  exedra_status status =
      e->kv->put(e->host, text(key), event->payload, EXEDRA_ANY_REVISION, &out, done, &op);
  if (status != EXEDRA_PENDING) free(w);
  return status;
}

/* ---- a call that a task works on ---- */

typedef struct {
  echo *e;
  exedra_call call;
  int polls;
  char how; /* 'c'omplete, 'f'orget, 'w'ait for ever */
} work;

static exedra_status work_poll(void *data, const exedra_waker *waker) {
  work *w = data;
  if (w->how == 'w') return EXEDRA_PENDING;
  if (w->polls++ < 3) {
    const exedra_waker *mine = w->e->host->waker_clone(waker);
    w->e->host->waker_wake(mine);
    w->e->host->waker_drop(mine);
    return EXEDRA_PENDING;
  }
  if (w->how == 'c') {
    exedra_result out = answer("[\"worked\"]");
    w->e->host->complete(w->e->host, w->call, EXEDRA_OK, &out);
  }
  return EXEDRA_OK;
}

static void work_drop(void *data) {
  work *w = data;
  w->e->drops++;
  free(w);
}

static exedra_status spawn(echo *e, exedra_call call, char how) {
  work *w = malloc(sizeof *w);
  w->e = e, w->call = call, w->polls = 0, w->how = how;
  e->begun++;
  exedra_task task = {sizeof task, 0, w, work_poll, work_drop};
  exedra_status status = e->host->spawn(e->host, &task, call);
  return status == EXEDRA_OK ? EXEDRA_PENDING : status;
}

/* ---- the plugin ---- */

static exedra_status say(echo *e, const exedra_event *event, exedra_result *out) {
  exedra_message said = {.struct_size = sizeof said, .name = text("said"), .args = event->payload};
  exedra_result joined = {0};
  exedra_status status = e->room->join(e->host, event->conn, text("lobby"), text(""), 0, &joined);
  if (status != EXEDRA_OK) return status;
  snprintf(e->ack, sizeof e->ack, "[%.*s]", (int)joined.payload.len, (const char *)joined.payload.ptr);
  if (joined.release) joined.release(joined.owner);
  status = e->socket->emit(e->host, event->conn, &said);
  if (status == EXEDRA_OK) status = e->room->broadcast(e->host, text("lobby"), &said, 0);
  *out = answer(e->ack);
  return status;
}

static void spin(exedra_slice payload) { /* ["/path"]: until the file exists */
  char path[256];
  snprintf(path, sizeof path, "%.*s", (int)payload.len - 4, (const char *)payload.ptr + 2);
  while (access(path, F_OK)) continue;
}

static exedra_status dispatch(void *self, const exedra_event *event, exedra_result *out) {
  echo *e = self;
  if (is(event->name, "say")) return say(e, event, out);
  if (is(event->name, "store")) return store(e, event, "key");
  if (is(event->name, "hang")) return store(e, event, "hang");
  if (is(event->name, "never")) return EXEDRA_PENDING;
  if (is(event->name, "panic")) return EXEDRA_E_PANICKED;
  if (is(event->name, "task")) return spawn(e, event->call, 'c');
  if (is(event->name, "forget")) return spawn(e, event->call, 'f');
  if (is(event->name, "wait")) return spawn(e, event->call, 'w');
  if (is(event->name, "odd")) {
    out->payload = text("not an array");
    return EXEDRA_OK;
  }
  if (is(event->name, "wild")) {
    out->payload.len = 12;
    return EXEDRA_OK;
  }
  if (is(event->name, "twice")) {
    exedra_result first = answer("[1]"), second = answer("[2]");
    e->host->complete(e->host, event->call, EXEDRA_OK, &first);
    e->second = e->host->complete(e->host, event->call, EXEDRA_OK, &second);
    return EXEDRA_PENDING;
  }
  if (is(event->name, "spin")) spin(event->payload);
  if (is(event->name, "bad-args")) {
    exedra_message bad = {.struct_size = sizeof bad, .name = text("x"), .args = text("{}")};
    return e->socket->emit(e->host, event->conn, &bad);
  }
  if (is(event->name, "report")) {
    snprintf(e->ack, sizeof e->ack, "[%d,%d,%d,%d,%d]", e->cancels, e->drops, e->second, e->late, e->begun);
    *out = answer(e->ack);
  }
  return EXEDRA_OK;
}

static exedra_status start(void *self) {
  mark(self, "start");
  return EXEDRA_OK;
}

static void cancel(void *self, exedra_call call) {
  echo *e = self;
  exedra_result late = answer("[]");
  e->late = e->host->complete(e->host, call, EXEDRA_OK, &late);
  e->cancels++;
}

static void quiesce(void *self) { mark(self, "quiesce"); }

static void destroy(void *self) {
  mark(self, "destroy");
  free(self);
}

static exedra_status describe(exedra_slice settings, exedra_result *out) {
  (void)settings;
  *out = answer("{\"name\":\"" ID "\",\"version\":\"1.0.0\",\"namespaces\":[{\"path\":\"/\",\"auth\":\"none\"}],"
                "\"events\":[{\"name\":\"*\"}]," MORE
                "\"settings\":{\"type\":\"object\",\"properties\":{\"mark\":{\"type\":\"string\"}},"
                "\"additionalProperties\":false}}");
  return EXEDRA_OK;
}

static exedra_status create(const exedra_host *host, exedra_slice settings, exedra_plugin *plugin,
                            exedra_result *out) {
  (void)out;
  if (CREATE != EXEDRA_OK) return CREATE;
  echo *e = calloc(1, sizeof *e);
  static const char before[] = "{\"mark\":\"";
  size_t skip = sizeof before - 1;
  if (settings.len > skip + 2 && !memcmp(settings.ptr, before, skip))
    snprintf(e->mark, sizeof e->mark, "%.*s", (int)(settings.len - skip - 2), (const char *)settings.ptr + skip);
  e->host = host;
  e->socket = host->get_extension(host, text(EXEDRA_SOCKET));
  e->room = host->get_extension(host, text(EXEDRA_ROOM));
  e->kv = host->get_extension(host, text(EXEDRA_KV));
  exedra_plugin made = {.struct_size = sizeof made,
                        .self = e,
                        .start = start,
                        .dispatch = dispatch,
                        .cancel = cancel,
                        .quiesce = quiesce,
                        .destroy = destroy};
  *plugin = made;
  return EXEDRA_OK;
}

const exedra_entry exedra_plugin_v1 = {
    .struct_size = sizeof(exedra_entry),
    .abi_major = EXEDRA_ABI_MAJOR,
    .abi_minor = EXEDRA_ABI_MINOR,
    .id = TEXT(ID),
    .version = TEXT("1.0.0"),
    .sdk = TEXT("c"),
    .describe = describe,
    .create = create,
};
