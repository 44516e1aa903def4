/* A poll: everybody in a room votes, and sees the votes as they come. Which polls there are and what can be voted
 * for is set by the operator; the votes are in the hub's store and survive a restart.
 *
 * Everything is one of two things: an answer that is there at once, or a `job` that waits for the store and then
 * completes its call. The instance only reads after `create`, so calls may come from many threads at once. */
#include "exedra.h"
#include "exedra_text.h"

#define NAME "quick-poll"
#define MOST 8   /* polls, and options     */
#define SIZE 256 /* bytes of one, with NUL */
#define TRIES 32 /* of a vote, while others vote */

typedef struct {
  char names[MOST][SIZE];
  size_t count;
} list;

typedef struct {
  const exedra_host *host;
  const exedra_socket_ext *socket;
  const exedra_room_ext *room;
  const exedra_kv_ext *kv;
  const exedra_bus_ext *bus;
  const exedra_metric_ext *metric;
  list polls, options;
} plugin;

enum { VOTES_TOTAL }; /* metrics of the manifest */
enum { POLL };        /* states of the manifest  */

/* The manifest: what the hub does for this plugin. Handlers are numbered by their place in each list. */
static const char MANIFEST[] =
    "{\"name\":\"" NAME "\",\"version\":\"0.1.0\","
    "\"description\":\"A poll: a room votes and sees the votes as they come\","
    "\"namespaces\":[{\"path\":\"/" NAME "\",\"auth\":\"optional\"}],"
    "\"events\":["
    "{\"name\":\"join\",\"description\":\"Joins a poll; the answer says what can be voted for\","
    "\"schema\":{\"type\":\"object\",\"properties\":{\"poll\":{\"type\":\"string\"}},\"required\":[\"poll\"]},"
    "\"ack\":{\"type\":\"object\",\"properties\":{\"options\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}}},"
    "{\"name\":\"vote\",\"description\":\"Votes, once per connection; the answer says how many voted for the same\","
    "\"schema\":{\"type\":\"object\",\"properties\":{\"option\":{\"type\":\"string\"}},\"required\":[\"option\"]},"
    "\"ack\":{\"type\":\"object\",\"properties\":{\"votes\":{\"type\":\"integer\"}}}}],"
    "\"emits\":[{\"name\":\"poll\",\"description\":\"How the poll stands\",\"schema\":{\"type\":\"object\",\"properties\":{\"poll\":{\"type\":\"string\"},"
    "\"votes\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"}},"
    "\"members\":{\"type\":\"integer\"}},\"required\":[\"poll\",\"votes\",\"members\"]}}],"
    "\"outs\":[{\"event\":\"voted\",\"description\":\"Somebody has voted\",\"schema\":{\"type\":\"object\","
    "\"properties\":{\"option\":{\"type\":\"string\"},\"votes\":{\"type\":\"integer\"}},"
    "\"required\":[\"option\",\"votes\"]}}],"
    "\"routes\":[{\"method\":\"GET\",\"path\":\"/" NAME "/{poll}\",\"auth\":\"none\","
    "\"description\":\"How a poll stands\",\"errors\":[{\"status\":404}],"
    "\"response\":{\"type\":\"object\",\"properties\":{\"poll\":{\"type\":\"string\"},"
    "\"votes\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"}},"
    "\"members\":{\"type\":\"integer\"}},\"required\":[\"poll\",\"votes\",\"members\"]}}],"
    "\"injects\":[{\"event\":\"vote\",\"description\":\"A vote that a service has taken somewhere else\","
    "\"schema\":{\"type\":\"object\",\"properties\":{\"option\":{\"type\":\"string\"}},\"required\":[\"option\"]}}],"
    "\"states\":[{\"name\":\"poll\",\"window_ms\":50}],"
    "\"metrics\":[{\"name\":\"votes_total\",\"kind\":\"counter\",\"help\":\"Votes taken\",\"label\":\"source\","
    "\"values\":[\"client\",\"service\"]}],"
    "\"on_leave\":true,"
    "\"settings\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
    "\"polls\":{\"description\":\"The polls that there are; each is a room.\",\"default\":[\"demo\"],"
    "\"type\":\"array\",\"minItems\":1,\"maxItems\":8,\"items\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":60}},"
    "\"options\":{\"description\":\"What can be voted for.\",\"default\":[\"yes\",\"no\"],"
    "\"type\":\"array\",\"minItems\":2,\"maxItems\":8,\"items\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":60}}"
    "}}}";

static const char NO_POLL[] = "{\"message\":\"there is no such poll\"}";
static const char NO_OPTION[] = "{\"message\":\"this cannot be voted for\"}";
static const char OTHER_POLL[] = "{\"message\":\"you are in another poll\"}";
static const char JOIN_FIRST[] = "{\"message\":\"join a poll first\"}";
static const char HAS_VOTED[] = "{\"message\":\"you have voted\",\"code\":\"VOTED\"}";
static const char CROWDED[] = "{\"message\":\"too many votes at the same time\"}";
static const char JSON[] = "{\"content-type\":\"application/json\"}";

/* The place of a JSON string in a list; -1 when it is not in it. */
static int find(const list *list, exedra_slice json) {
  char name[SIZE];
  if (!exedra_json_string(json, name, sizeof name)) return -1;
  for (size_t i = 0; i < list->count; i++)
    if (!strcmp(list->names[i], name)) return (int)i;
  return -1;
}

static int find_bare(const list *list, exedra_slice name) {
  for (size_t i = 0; i < list->count; i++)
    if (exedra_is(name, list->names[i])) return (int)i;
  return -1;
}

/* ---- what waits for the store ---- */

typedef enum { VOTE, INJECTED, SHOW, SEND } purpose;

typedef struct {
  plugin *p;
  purpose purpose;
  exedra_call call;
  exedra_conn conn;
  int poll, option, tries;
  uint64_t votes[MOST];
} job;

static void note(plugin *p, exedra_conn conn, int poll, int voted) {
  exedra_text text = {0};
  exedra_add(&text, "{\"poll\":");
  exedra_add_string(&text, p->polls.names[poll]);
  exedra_add(&text, voted ? ",\"voted\":true}" : ",\"voted\":false}");
  p->socket->set_data(p->host, conn, exedra_text_slice(&text)); /* a connection that has gone needs none */
  exedra_text_free(&text);
}

static void add_votes(exedra_text *text, const job *j) {
  const list *options = &j->p->options;
  for (size_t i = 0; i < options->count; i++) {
    exedra_add(text, i ? "," : "{");
    exedra_add_string(text, options->names[i]);
    exedra_add(text, ":");
    exedra_add_u64(text, j->votes[i]);
  }
  exedra_add(text, "}");
}

/* How the poll stands, as members are sent it and REST answers it. */
static void add_poll(exedra_text *text, const job *j) {
  exedra_result members = {0};
  exedra_slice room = exedra_slice_of(j->p->polls.names[j->poll]);
  j->p->room->count(j->p->host, room, &members);
  exedra_add(text, "{\"poll\":");
  exedra_add_string(text, j->p->polls.names[j->poll]);
  exedra_add(text, ",\"votes\":");
  add_votes(text, j);
  exedra_add(text, ",\"members\":");
  exedra_add_u64(text, members.code);
  exedra_add(text, "}");
  exedra_release(&members);
}

static void complete(job *j, exedra_status status, exedra_result *out) {
  j->p->host->complete(j->p->host, j->call, status, out); /* too late is fine: nobody waits then */
  free(j);
}

static void fail(job *j, exedra_status status, const char *meta) {
  exedra_result out;
  complete(j, exedra_refuse(&out, status, meta), &out);
}

/* The vote is in the store: tell those who want to know. */
static void voted(job *j) {
  plugin *p = j->p;
  exedra_text text = {0};
  exedra_slice room = exedra_slice_of(p->polls.names[j->poll]);
  exedra_add(&text, "{\"option\":");
  exedra_add_string(&text, p->options.names[j->option]);
  exedra_add(&text, ",\"votes\":");
  exedra_add_u64(&text, j->votes[j->option]);
  exedra_add(&text, "}");
  p->bus->publish(p->host, room, exedra_slice_of("voted"), exedra_text_slice(&text));
  p->metric->record(p->host, VOTES_TOTAL, exedra_slice_of(j->purpose == VOTE ? "client" : "service"), 1, 0);
  p->room->refresh(p->host, POLL, room);
  exedra_text_free(&text);
  if (j->purpose == VOTE) {
    note(p, j->conn, j->poll, 1);
    exedra_add(&text, "[{\"votes\":");
    exedra_add_u64(&text, j->votes[j->option]);
    exedra_add(&text, "}]");
  }
  exedra_result out;
  exedra_status status = exedra_answer(&out, &text);
  complete(j, status, &out);
}

static void shown(job *j) {
  exedra_text text = {0};
  exedra_result out;
  add_poll(&text, j);
  exedra_status status = exedra_answer(&out, &text);
  out.code = 200, out.meta = exedra_slice_of(JSON);
  complete(j, status, &out);
}

static void sent(job *j) {
  exedra_text text = {0};
  exedra_add(&text, "[");
  add_poll(&text, j);
  exedra_add(&text, "]");
  exedra_message message = {.struct_size = sizeof message, .name = exedra_slice_of("poll")};
  message.args = exedra_text_slice(&text);
  exedra_slice room = exedra_slice_of(j->p->polls.names[j->poll]);
  exedra_status status = j->p->room->broadcast(j->p->host, room, &message, 0);
  exedra_text_free(&text);
  fail(j, status, NULL); /* which is no failure when the status is EXEDRA_OK */
}

static void look(job *j);

static void written(void *user, exedra_status status, exedra_result *result) {
  job *j = user;
  exedra_release(result);
  if (status == EXEDRA_OK) voted(j);
  else if (status != EXEDRA_E_CONFLICT) fail(j, status, NULL);
  else if (++j->tries < TRIES) look(j); /* somebody else was faster */
  else fail(j, status, CROWDED);
}

static exedra_slice key_of(const job *j, char key[SIZE + 8]) {
  snprintf(key, SIZE + 8, "votes/%s", j->p->polls.names[j->poll]);
  return exedra_slice_of(key);
}

static void count(job *j, uint64_t revision) {
  char key[SIZE + 8];
  exedra_text value = {0};
  exedra_result out = {0};
  j->votes[j->option]++;
  add_votes(&value, j);
  exedra_status status = j->p->kv->put(j->p->host, key_of(j, key), exedra_text_slice(&value), revision, &out,
                                       (exedra_done){written, j}, NULL);
  exedra_text_free(&value);
  if (status != EXEDRA_PENDING) written(j, status, &out);
}

static void found(void *user, exedra_status status, exedra_result *result) {
  job *j = user;
  uint64_t revision = status == EXEDRA_OK ? result->code : 0;
  for (size_t i = 0; i < j->p->options.count; i++)
    exedra_json_u64(exedra_json_field(result->payload, j->p->options.names[i]), &j->votes[i]);
  exedra_release(result);
  if (status != EXEDRA_OK && status != EXEDRA_E_NOT_FOUND) fail(j, status, NULL);
  else if (j->purpose == SHOW) shown(j);
  else if (j->purpose == SEND) sent(j);
  else count(j, revision);
}

/* An operation says at once how it went, or calls back later; both ways lead to the same place. */
static void look(job *j) {
  char key[SIZE + 8];
  exedra_result out = {0};
  exedra_status status = j->p->kv->get(j->p->host, key_of(j, key), &out, (exedra_done){found, j}, NULL);
  if (status != EXEDRA_PENDING) found(j, status, &out);
}

static exedra_status begin(plugin *p, purpose purpose, const exedra_event *event, int poll, int option) {
  job *j = calloc(1, sizeof *j);
  if (!j) return EXEDRA_E_INTERNAL;
  j->p = p, j->purpose = purpose, j->call = event->call, j->conn = event->conn;
  j->poll = poll, j->option = option;
  look(j);
  return EXEDRA_PENDING;
}

/* ---- what happens ---- */

/* What is noted about a connection: the poll that it is in (-1: none), and whether it has voted. */
static int seat(plugin *p, exedra_conn conn, int *has_voted) {
  exedra_result data = {0};
  p->socket->get_data(p->host, conn, &data);
  int poll = find(&p->polls, exedra_json_field(data.payload, "poll"));
  *has_voted = exedra_is(exedra_json_field(data.payload, "voted"), "true");
  exedra_release(&data);
  return poll;
}

static exedra_status join(plugin *p, const exedra_event *event, exedra_result *out) {
  exedra_slice none = {NULL, 0};
  int has_voted, poll = find(&p->polls, exedra_json_field(exedra_json_item(event->payload, 0), "poll"));
  if (poll < 0) return exedra_refuse(out, EXEDRA_E_NOT_FOUND, NO_POLL);
  int before = seat(p, event->conn, &has_voted);
  if (before >= 0 && before != poll) return exedra_refuse(out, EXEDRA_E_CONFLICT, OTHER_POLL);
  if (before < 0) note(p, event->conn, poll, 0);
  exedra_result joined = {0};
  exedra_slice room = exedra_slice_of(p->polls.names[poll]);
  exedra_status status = p->room->join(p->host, event->conn, room, none, 0, &joined);
  exedra_release(&joined);
  if (status != EXEDRA_OK) return status;
  p->room->refresh(p->host, POLL, room);
  exedra_text text = {0};
  exedra_add(&text, "[{\"options\":[");
  for (size_t i = 0; i < p->options.count; i++) {
    if (i) exedra_add(&text, ",");
    exedra_add_string(&text, p->options.names[i]);
  }
  exedra_add(&text, "]}]");
  return exedra_answer(out, &text);
}

static exedra_status vote(plugin *p, const exedra_event *event, exedra_result *out) {
  int has_voted, poll = seat(p, event->conn, &has_voted);
  int option = find(&p->options, exedra_json_field(exedra_json_item(event->payload, 0), "option"));
  if (poll < 0) return exedra_refuse(out, EXEDRA_E_CONFLICT, JOIN_FIRST);
  if (has_voted) return exedra_refuse(out, EXEDRA_E_CONFLICT, HAS_VOTED);
  if (option < 0) return exedra_refuse(out, EXEDRA_E_INVALID, NO_OPTION);
  return begin(p, VOTE, event, poll, option);
}

static exedra_status inject(plugin *p, const exedra_event *event, exedra_result *out) {
  int poll = find_bare(&p->polls, event->room);
  int option = find(&p->options, exedra_json_field(event->payload, "option"));
  if (poll < 0) return exedra_refuse(out, EXEDRA_E_NOT_FOUND, NO_POLL);
  if (option < 0) return exedra_refuse(out, EXEDRA_E_INVALID, NO_OPTION);
  return begin(p, INJECTED, event, poll, option);
}

static exedra_status show(plugin *p, const exedra_event *event, exedra_result *out) {
  exedra_slice params = exedra_json_field(event->context, "params");
  int poll = find(&p->polls, exedra_json_field(params, "poll"));
  if (poll < 0) return exedra_refuse(out, EXEDRA_E_NOT_FOUND, NO_POLL);
  return begin(p, SHOW, event, poll, 0);
}

static exedra_status dispatch(void *self, const exedra_event *event, exedra_result *out) {
  plugin *p = self;
  switch (event->kind) {
    case EXEDRA_EVENT: return event->handler == 0 ? join(p, event, out) : vote(p, event, out);
    case EXEDRA_INJECT: return inject(p, event, out);
    case EXEDRA_HTTP: return show(p, event, out);
    case EXEDRA_LEAVE: return p->room->refresh(p->host, POLL, event->room);
    case EXEDRA_REFRESH: {
      int poll = find_bare(&p->polls, event->room);
      return poll < 0 ? EXEDRA_OK : begin(p, SEND, event, poll, 0);
    }
    default: return EXEDRA_E_UNSUPPORTED;
  }
}

/* ---- life ---- */

static exedra_status describe(exedra_slice settings, exedra_result *out) {
  (void)settings; /* the hub holds them against the schema in the manifest */
  exedra_empty(out);
  out->payload = exedra_slice_of(MANIFEST);
  return EXEDRA_OK;
}

/* Reads a list of the settings; the defaults stay when it is not there. */
static int read_list(list *list, exedra_slice json) {
  exedra_json left = exedra_json_list(json);
  exedra_slice item;
  if (!json.len) return 1;
  for (list->count = 0; exedra_json_next(&left, NULL, &item); list->count++)
    if (list->count == MOST || !exedra_json_string(item, list->names[list->count], SIZE)) return 0;
  return list->count > 0;
}

static void destroy(void *self) { free(self); }

static exedra_status create(const exedra_host *host, exedra_slice settings, exedra_plugin *out_plugin,
                            exedra_result *out) {
  plugin *p = calloc(1, sizeof *p);
  if (!p) return EXEDRA_E_INTERNAL;
  p->host = host;
  p->socket = host->get_extension(host, exedra_slice_of(EXEDRA_SOCKET));
  p->room = host->get_extension(host, exedra_slice_of(EXEDRA_ROOM));
  p->kv = host->get_extension(host, exedra_slice_of(EXEDRA_KV));
  p->bus = host->get_extension(host, exedra_slice_of(EXEDRA_BUS));
  p->metric = host->get_extension(host, exedra_slice_of(EXEDRA_METRIC));
  p->polls = (list){{"demo"}, 1};
  p->options = (list){{"yes", "no"}, 2};
  if (!read_list(&p->polls, exedra_json_field(settings, "polls")) ||
      !read_list(&p->options, exedra_json_field(settings, "options"))) {
    free(p);
    return exedra_refuse(out, EXEDRA_E_INVALID, "{\"message\":\"polls and options must be short texts\"}");
  }
  *out_plugin = (exedra_plugin){
      .struct_size = sizeof *out_plugin, .self = p, .dispatch = dispatch, .destroy = destroy};
  return EXEDRA_OK;
}

#define TEXT(s) {(const uint8_t *)(s), sizeof(s) - 1}

/* The hub has looked that it has these before `create`, so their tables need no check there. */
static const exedra_slice REQUIRED[] = {TEXT(EXEDRA_SOCKET), TEXT(EXEDRA_ROOM), TEXT(EXEDRA_KV), TEXT(EXEDRA_BUS),
                                        TEXT(EXEDRA_METRIC)};

__attribute__((visibility("default"))) const exedra_entry exedra_plugin_v1 = {
    .struct_size = sizeof(exedra_entry),
    .abi_major = EXEDRA_ABI_MAJOR,
    .abi_minor = EXEDRA_ABI_MINOR,
    .id = TEXT(NAME),
    .version = TEXT("0.1.0"),
    .sdk = TEXT("c"),
    .required_extensions = REQUIRED,
    .n_required_extensions = sizeof REQUIRED / sizeof *REQUIRED,
    .describe = describe,
    .create = create,
};
