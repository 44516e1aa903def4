/* The plugin on a host of paper: it keeps what it is told, answers at once, and holds one value. `make test` runs
 * this, and then `exedra plugin check` on the library itself. */
#include "quick_poll.c"

#include <assert.h>

static struct {
  char note[256], stored[256], said[256], published[256];
  uint64_t revision, members, conflicts;
  unsigned refreshed, counted;
  exedra_status status;
  char answer[256], meta[256];
} hub;

static void keep(char out[256], exedra_slice slice) { assert(exedra_copy(slice, out, 256)); }

static exedra_status lend(exedra_result *out, const char *payload, uint64_t code) {
  exedra_empty(out);
  out->payload = exedra_slice_of(payload), out->code = code;
  return EXEDRA_OK;
}

static exedra_status host_complete(const exedra_host *host, exedra_call call, exedra_status status,
                                   exedra_result *result) {
  (void)host, (void)call;
  hub.status = status;
  keep(hub.answer, result->payload), keep(hub.meta, result->meta);
  exedra_release(result);
  return EXEDRA_OK;
}

static exedra_status socket_set_data(const exedra_host *host, exedra_conn conn, exedra_slice data) {
  (void)host, (void)conn;
  keep(hub.note, data);
  return EXEDRA_OK;
}

static exedra_status socket_get_data(const exedra_host *host, exedra_conn conn, exedra_result *out) {
  (void)host, (void)conn;
  return lend(out, hub.note, 0);
}

static exedra_status room_broadcast(const exedra_host *host, exedra_slice room, const exedra_message *message,
                                    exedra_conn except) {
  (void)host, (void)room, (void)except;
  keep(hub.said, message->args);
  return EXEDRA_OK;
}

static exedra_status room_join(const exedra_host *host, exedra_conn conn, exedra_slice room, exedra_slice meta,
                               uint64_t most, exedra_result *out) {
  (void)host, (void)conn, (void)room, (void)meta, (void)most;
  hub.members++;
  return lend(out, "{\"first\":true,\"members\":1}", 0);
}

static exedra_status room_count(const exedra_host *host, exedra_slice room, exedra_result *out) {
  (void)host, (void)room;
  return lend(out, "", hub.members);
}

static exedra_status room_refresh(const exedra_host *host, uint32_t state, exedra_slice room) {
  (void)host, (void)state, (void)room;
  hub.refreshed++;
  return EXEDRA_OK;
}

static exedra_status kv_get(const exedra_host *host, exedra_slice key, exedra_result *out, exedra_done done,
                            exedra_op *op) {
  (void)host, (void)key, (void)done, (void)op;
  return hub.revision ? lend(out, hub.stored, hub.revision) : EXEDRA_E_NOT_FOUND;
}

static exedra_status kv_put(const exedra_host *host, exedra_slice key, exedra_slice value, uint64_t expected,
                            exedra_result *out, exedra_done done, exedra_op *op) {
  (void)host, (void)key, (void)done, (void)op;
  if (hub.conflicts) return hub.conflicts--, EXEDRA_E_CONFLICT;
  if (expected != hub.revision) return EXEDRA_E_CONFLICT;
  keep(hub.stored, value);
  return lend(out, "", ++hub.revision);
}

static exedra_status bus_publish(const exedra_host *host, exedra_slice room, exedra_slice event, exedra_slice payload) {
  (void)host, (void)room, (void)event;
  keep(hub.published, payload);
  return EXEDRA_OK;
}

static exedra_status metric_record(const exedra_host *host, uint32_t metric, exedra_slice label, double value,
                                   uint32_t relative) {
  (void)host, (void)metric, (void)label, (void)value, (void)relative;
  hub.counted++;
  return EXEDRA_OK;
}

static const exedra_socket_ext SOCKET = {
    .struct_size = sizeof SOCKET, .set_data = socket_set_data, .get_data = socket_get_data};
static const exedra_room_ext ROOM = {.struct_size = sizeof ROOM,
                                     .broadcast = room_broadcast,
                                     .join = room_join,
                                     .count = room_count,
                                     .refresh = room_refresh};
static const exedra_kv_ext KV = {.struct_size = sizeof KV, .get = kv_get, .put = kv_put};
static const exedra_bus_ext BUS = {.struct_size = sizeof BUS, .publish = bus_publish};
static const exedra_metric_ext METRIC = {.struct_size = sizeof METRIC, .record = metric_record};

static const void *host_extension(const exedra_host *host, exedra_slice id) {
  (void)host;
  if (exedra_is(id, EXEDRA_SOCKET)) return &SOCKET;
  if (exedra_is(id, EXEDRA_ROOM)) return &ROOM;
  if (exedra_is(id, EXEDRA_KV)) return &KV;
  if (exedra_is(id, EXEDRA_BUS)) return &BUS;
  return exedra_is(id, EXEDRA_METRIC) ? &METRIC : NULL;
}

static const exedra_host HOST = {
    .struct_size = sizeof HOST, .get_extension = host_extension, .complete = host_complete};

static exedra_plugin start(const char *settings) {
  exedra_plugin made = {0};
  exedra_result out = {0};
  memset(&hub, 0, sizeof hub);
  assert(exedra_plugin_v1.create(&HOST, exedra_slice_of(settings), &made, &out) == EXEDRA_OK);
  return made;
}

/* What the plugin says to an event, whether at once or later. */
static void tell(const exedra_plugin *made, uint32_t kind, uint32_t handler, const char *room, const char *payload) {
  exedra_event event = {.struct_size = sizeof event, .kind = kind, .call = 1, .conn = 1, .handler = handler};
  exedra_result out = {0};
  event.room = exedra_slice_of(room), event.payload = exedra_slice_of(payload);
  event.context = exedra_slice_of("{\"params\":{\"poll\":\"lunch\"}}");
  exedra_status status = made->dispatch(made->self, &event, &out);
  if (status != EXEDRA_PENDING) host_complete(&HOST, 1, status, &out);
}

#define LUNCH "{\"polls\":[\"lunch\"],\"options\":[\"pizza\",\"sa\\u006cad\"]}"

int main(void) {
  exedra_plugin made = start(LUNCH);
  tell(&made, EXEDRA_EVENT, 1, "", "[{\"option\":\"pizza\"}]");
  assert(hub.status == EXEDRA_E_CONFLICT && !strcmp(hub.meta, JOIN_FIRST));
  tell(&made, EXEDRA_EVENT, 0, "", "[{\"poll\":\"dinner\"}]");
  assert(hub.status == EXEDRA_E_NOT_FOUND);
  tell(&made, EXEDRA_EVENT, 0, "", "[{\"poll\":\"lunch\"}]");
  assert(hub.status == EXEDRA_OK && !strcmp(hub.answer, "[{\"options\":[\"pizza\",\"salad\"]}]"));
  tell(&made, EXEDRA_EVENT, 1, "", "[{\"option\":\"soup\"}]");
  assert(hub.status == EXEDRA_E_INVALID);

  hub.conflicts = 3; /* others are faster, three times */
  tell(&made, EXEDRA_EVENT, 1, "", "[{\"option\":\"salad\"}]");
  assert(hub.status == EXEDRA_OK && !strcmp(hub.answer, "[{\"votes\":1}]"));
  assert(!strcmp(hub.stored, "{\"pizza\":0,\"salad\":1}"));
  assert(!strcmp(hub.published, "{\"option\":\"salad\",\"votes\":1}") && hub.refreshed == 2 && hub.counted == 1);
  tell(&made, EXEDRA_EVENT, 1, "", "[{\"option\":\"salad\"}]");
  assert(hub.status == EXEDRA_E_CONFLICT && !strcmp(hub.meta, HAS_VOTED));

  tell(&made, EXEDRA_INJECT, 0, "lunch", "{\"option\":\"pizza\"}");
  assert(hub.status == EXEDRA_OK && !strcmp(hub.stored, "{\"pizza\":1,\"salad\":1}"));
  tell(&made, EXEDRA_INJECT, 0, "lunch", "not JSON");
  assert(hub.status == EXEDRA_E_INVALID);
  tell(&made, EXEDRA_REFRESH, 0, "lunch", "");
  assert(!strcmp(hub.said, "[{\"poll\":\"lunch\",\"votes\":{\"pizza\":1,\"salad\":1},\"members\":1}]"));
  tell(&made, EXEDRA_HTTP, 0, "", "");
  assert(!strcmp(hub.answer, "{\"poll\":\"lunch\",\"votes\":{\"pizza\":1,\"salad\":1},\"members\":1}"));
  hub.conflicts = TRIES;
  tell(&made, EXEDRA_INJECT, 0, "lunch", "{\"option\":\"pizza\"}");
  assert(hub.status == EXEDRA_E_CONFLICT && !strcmp(hub.meta, CROWDED));
  made.destroy(made.self);

  exedra_plugin unset = start("{}");
  tell(&unset, EXEDRA_EVENT, 0, "", "[{\"poll\":\"demo\"}]");
  assert(!strcmp(hub.answer, "[{\"options\":[\"yes\",\"no\"]}]"));
  unset.destroy(unset.self);
  puts("the plugin does what it should");
  return 0;
}
