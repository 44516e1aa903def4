/* exedra.h - the contract between Exedra and its plugins. This file is the specification; the Rust crate
 * `exedra-abi` mirrors it and tests hold the two together.
 *
 * A plugin is a shared library that exports one object, `exedra_plugin_v1`. It runs inside the hub's process with
 * all of its rights: load only files that you trust.
 *
 * Rules
 *  1. Fixed-width integers, sizes, pointers. Status values are int32_t; a value you do not know is a failure.
 *  2. A struct that can grow starts with `struct_size`, set by whoever fills it. The reader uses the smaller of
 *     both sizes; what is missing counts as zero. New fields come at the end. Reserved fields are zero.
 *  3. Text is UTF-8 with a length, never NUL-terminated. A borrowed slice lives until the call returns.
 *  4. What outlives a call is a 64-bit number, never a pointer. Using a number late gives EXEDRA_E_GONE.
 *  5. Nothing unwinds across a function of this file. Whoever allocates frees: a result is given back through
 *     its `release`, exactly once, from any thread.
 *  6. Minor versions only add. A change of layout, ownership or threading is a new major version and symbol.
 *
 * Threads
 *  [once]   never at the same time as itself or any other call into the same instance
 *  [any]    from any thread, at the same time as other calls
 *  Calls for one connection are made one after another, in order of arrival: the next is made when the one before
 *  has completed. The same holds for injected events of one room. No function of the hub blocks.
 */
#ifndef EXEDRA_H
#define EXEDRA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXEDRA_ABI_MAJOR 1
#define EXEDRA_ABI_MINOR 0

/* ---- values ------------------------------------------------------------------------------------------------ */

typedef int32_t exedra_status;
#define EXEDRA_OK 0
#define EXEDRA_PENDING 1
#define EXEDRA_E_INVALID (-1)
#define EXEDRA_E_UNSUPPORTED (-2)
#define EXEDRA_E_NOT_FOUND (-3)
#define EXEDRA_E_CONFLICT (-4)      /* the result's `code` is the current revision                             */
#define EXEDRA_E_TOO_LARGE (-5)
#define EXEDRA_E_BUSY (-6)          /* a queue is full, try later                                              */
#define EXEDRA_E_TIMEOUT (-7)
#define EXEDRA_E_CANCELLED (-8)
#define EXEDRA_E_GONE (-9)          /* the connection, call or operation has ended                             */
#define EXEDRA_E_UNAUTHORIZED (-10)
#define EXEDRA_E_UNAVAILABLE (-11)  /* bus or store cannot be reached now                                      */
#define EXEDRA_E_PANICKED (-12)
#define EXEDRA_E_SHUTTING_DOWN (-13)
#define EXEDRA_E_RATE_LIMITED (-14)
#define EXEDRA_E_FORBIDDEN (-15)
#define EXEDRA_E_INTERNAL (-99)

typedef uint64_t exedra_conn; /* a connection                       */
typedef uint64_t exedra_call; /* a call into the plugin             */
typedef uint64_t exedra_op;   /* an operation that the plugin asked */

/* Borrowed bytes. `ptr` may be anything when `len` is 0. */
typedef struct {
  const uint8_t *ptr;
  size_t len;
} exedra_slice;

/* An answer, given away: the receiver calls `release(owner)` once it needs no part of it (unless NULL).
 *
 *   code         an HTTP status; a revision; else 0
 *   payload      acknowledgement: JSON array of arguments · HTTP: the body · rpc: the body · operations: see each
 *   meta         failure: JSON {"message": text, "code": own code or absent, "body": JSON shown to the client or absent}
 *                HTTP: JSON object of headers or empty
 *   attachments  binary arguments that placeholders {"_placeholder":true,"num":n} in `payload` number            */
typedef struct {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t code;
  exedra_slice payload;
  exedra_slice meta;
  const exedra_slice *attachments;
  size_t n_attachments;
  void *owner;
  void (*release)(void *owner);
} exedra_result;

/* ---- from the hub to the plugin ---------------------------------------------------------------------------- */

/* What happened. `handler` is the index in the manifest's list named here; fields not named are empty.
 *
 *   CONNECT     conn, context                       a failure refuses the connection
 *   EVENT       events[handler]; conn, context, name, payload, attachments; result: the acknowledgement
 *   DISCONNECT  conn, context, name = reason        the connection is gone for operations
 *   LEAVE       room, name = the member's key, payload = the member's meta
 *   HTTP        routes[handler]; context, payload = body; result: code, meta = headers, payload = body
 *   INJECT      injects[handler]; room, name, context = {"headers":{..}}, payload = body as it came
 *   RPC         rpcs[handler]; name = method, payload = body; result: payload = body of the answer (JSON)
 *   TIMER       timers[handler]
 *   REFRESH     states[handler]; room                send the room's state to its members now; in a cluster every node
 *                                                    is asked, and what is broadcast meanwhile goes to its own members
 *
 * `context` is a JSON object. For a connection, the same for its whole life:
 *   {"id": public id, "namespace", "params": {..}, "query": {..}, "auth": {..}, "peer": "address",
 *    "identity": null or {"userId", "name", "email", "roles": [..], "claims": {..}, "expiresAt": seconds},
 *    "recovered": true when the client came back after its link broke: its notes and rooms are those of before,
 *    "lost": null, or why a session that the client wanted back could not be had: "unknown", "foreign" or "gap"}
 * For HTTP: {"method", "path", "params": {..}, "query": {..}, "headers": {..}, "peer", "identity"}.             */
#define EXEDRA_CONNECT 1
#define EXEDRA_EVENT 2
#define EXEDRA_DISCONNECT 3
#define EXEDRA_LEAVE 4
#define EXEDRA_HTTP 5
#define EXEDRA_INJECT 6
#define EXEDRA_RPC 7
#define EXEDRA_TIMER 8
#define EXEDRA_REFRESH 9

#define EXEDRA_WANTS_ACK 1u /* flags: somebody waits for the result's payload */

typedef struct {
  uint32_t struct_size;
  uint32_t kind;
  exedra_call call;
  exedra_conn conn;
  uint32_t handler;
  uint32_t flags;
  exedra_slice name;
  exedra_slice room;
  exedra_slice payload; /* EVENT: JSON array of arguments */
  exedra_slice context;
  const exedra_slice *attachments;
  size_t n_attachments;
  exedra_slice problem; /* what is wrong with the payload by its JSON Schema; empty when nothing is, or with
                           "validate": "refuse" (the default), where the hub refuses such payloads itself */
} exedra_event;

typedef struct {
  uint32_t struct_size;
  uint32_t reserved;
  void *self;
  /* [once] after create, before the first dispatch. May be NULL. */
  exedra_status (*start)(void *self);
  /* [any] One event. EXEDRA_OK or a failure: finished, `out` is filled (its zeroes will do).
   * EXEDRA_PENDING: the plugin calls host->complete(event->call) later, once, or has spawned a task for the call. */
  exedra_status (*dispatch)(void *self, const exedra_event *event, exedra_result *out);
  /* [any] The call's time is over or its connection has gone; completing it has no effect any more. May be NULL. */
  void (*cancel)(void *self, exedra_call call);
  /* [once] No dispatch comes after this; tasks are dropped and operations end before destroy. May be NULL. */
  void (*quiesce)(void *self);
  /* [once] The last call. Frees everything. */
  void (*destroy)(void *self);
  /* [any] Optional abilities by name; NULL when unknown. May be NULL itself. */
  const void *(*get_extension)(void *self, exedra_slice id);
} exedra_plugin;

struct exedra_host;

typedef struct {
  uint32_t struct_size;
  uint16_t abi_major, abi_minor; /* what the plugin was built for                       */
  uint16_t min_host_minor;       /* the oldest hub that it runs on                      */
  uint16_t reserved;
  uint32_t flags; /* zero */
  exedra_slice id;      /* a-z 0-9 -, up to 32; the NAME of [plugins.NAME]     */
  exedra_slice version; /* the plugin's own                                    */
  exedra_slice sdk;     /* who made this table, for people                     */
  const exedra_slice *required_extensions;
  size_t n_required_extensions;
  /* [any] Writes the manifest (JSON, `core/hub/src/manifest.rs` lists the fields) for the given settings into
   * `out->payload`. No instance is needed. A failure says in `out->meta` what is wrong with the settings. */
  exedra_status (*describe)(exedra_slice settings_json, exedra_result *out);
  /* [once] Makes an instance. `host` stays valid until destroy returns, and is this instance's alone: a reload makes and
   * starts a new instance before the old one is quiesced, of the same library where only settings have changed.
   * On failure `out->meta` says why and `plugin` is left alone. */
  exedra_status (*create)(const struct exedra_host *host, exedra_slice settings_json, exedra_plugin *plugin,
                          exedra_result *out);
} exedra_entry;

/* The one exported object: `const exedra_entry exedra_plugin_v1`. */
#define EXEDRA_ENTRY_SYMBOL "exedra_plugin_v1"

/* ---- from the plugin to the hub ---------------------------------------------------------------------------- */

/* How an operation that takes time ends. `fn` is called exactly once after the operation returned EXEDRA_PENDING,
 * on a thread of the hub, never on the stack of the operation, possibly before it has returned. It must not block.
 * The result is the plugin's to release. After any other status it is never called.                              */
typedef struct {
  void (*fn)(void *user, exedra_status status, exedra_result *result);
  void *user;
} exedra_done;

typedef struct exedra_waker exedra_waker; /* the hub's, reference counted */

/* Work that the hub drives. `poll`: EXEDRA_OK done, EXEDRA_PENDING wait for the waker, else failed. Never polled
 * by two threads at once; threads may change. `drop`: exactly once, after the last poll.                         */
typedef struct {
  uint32_t struct_size;
  uint32_t reserved;
  void *data;
  exedra_status (*poll)(void *data, const exedra_waker *waker);
  void (*drop)(void *data);
} exedra_task;

typedef struct exedra_host {
  uint32_t struct_size;
  uint16_t abi_major, abi_minor;
  void *instance; /* the hub's own; pass the table, leave this alone */
  /* [any] Tables of operations by name (below); NULL when this hub has none of that name. */
  const void *(*get_extension)(const struct exedra_host *host, exedra_slice id);
  /* [any] Ends a call that returned EXEDRA_PENDING. EXEDRA_E_GONE when it is over already. The result is taken
   * over in every case. */
  exedra_status (*complete)(const struct exedra_host *host, exedra_call call, exedra_status status,
                            exedra_result *result);
  /* [any] Drives a task on the hub's executor. With `owner` (a call, or 0): the task is dropped when the call is
   * cancelled, and a task that ends without completing its call completes it with EXEDRA_E_INTERNAL. */
  exedra_status (*spawn)(const struct exedra_host *host, const exedra_task *task, exedra_call owner);
  /* [any] Wakers. `wake` never polls on this stack. */
  const exedra_waker *(*waker_clone)(const exedra_waker *waker);
  void (*waker_wake)(const exedra_waker *waker);
  void (*waker_drop)(const exedra_waker *waker);
  /* [any] Asks for an operation's early end; `done` still comes. */
  void (*cancel)(const struct exedra_host *host, exedra_op op);
  /* [any] Logs. Levels: 1 error, 2 warn, 3 info, 4 debug, 5 trace. `fields` is a JSON object or empty. */
  void (*log)(const struct exedra_host *host, uint32_t level, exedra_slice target, exedra_slice message,
              exedra_slice fields);
  /* The most detailed level that is listened to; read it before building a message. */
  const uint32_t *max_log_level;
} exedra_host;

/* How much a message matters when a link is slow. */
#define EXEDRA_RELIABLE 0u /* in order; a link that cannot keep up is closed */
#define EXEDRA_LATEST 1u   /* only the newest of `key` waits                 */
#define EXEDRA_VOLATILE 2u /* dropped when the link is busy                  */

typedef struct {
  uint32_t struct_size;
  uint32_t delivery; /* EXEDRA_RELIABLE, ... */
  exedra_slice key;  /* for EXEDRA_LATEST    */
  exedra_slice name;
  exedra_slice args; /* JSON array           */
  const exedra_slice *attachments;
  size_t n_attachments;
} exedra_message;

/* "exedra.socket/1": one connection. All [any]. */
typedef struct {
  uint32_t struct_size;
  uint32_t reserved;
  exedra_status (*emit)(const exedra_host *, exedra_conn, const exedra_message *);
  /* Emits and waits for the client's acknowledgement: payload = JSON array, attachments. 0 ms: the hub's default. */
  exedra_status (*request)(const exedra_host *, exedra_conn, const exedra_message *, uint64_t timeout_ms, exedra_done,
                           exedra_op *);
  /* Ends the connection; what was emitted before still arrives. */
  exedra_status (*disconnect)(const exedra_host *, exedra_conn);
  /* A slot of up to 64 KiB for the plugin's own notes about the connection. */
  exedra_status (*set_data)(const exedra_host *, exedra_conn, exedra_slice data);
  exedra_status (*get_data)(const exedra_host *, exedra_conn, exedra_result *out);
} exedra_socket_ext;
#define EXEDRA_SOCKET "exedra.socket/1"

/* "exedra.room/1": rooms of this plugin; another plugin's room of the same name is another room. All [any].
 * A member is a user, however many connections: key = the identity's user id, or the connection's public id.     */
typedef struct {
  uint32_t struct_size;
  uint32_t reserved;
  /* To all connections in the room, but `except` (0: none). */
  exedra_status (*broadcast)(const exedra_host *, exedra_slice room, const exedra_message *, exedra_conn except);
  /* Puts a connection into a room. `meta` (JSON or empty) is said of the member; a second connection of the same
   * user renews `last_seen` and, when not empty, `meta`. `max_members`: 0 or a bound that holds even when many join
   * at once (EXEDRA_E_BUSY). payload: {"first": bool, "members": n}. */
  exedra_status (*join)(const exedra_host *, exedra_conn, exedra_slice room, exedra_slice meta, uint64_t max_members,
                        exedra_result *out);
  /* Takes a connection out. payload: {"last": bool, "members": n}; EXEDRA_E_NOT_FOUND when it was not in. */
  exedra_status (*leave)(const exedra_host *, exedra_conn, exedra_slice room, exedra_result *out);
  /* The same for a user without a connection: out again after `ttl_ms` unless renewed. */
  exedra_status (*join_user)(const exedra_host *, exedra_slice room, exedra_slice user, exedra_slice meta,
                             uint64_t ttl_ms, uint64_t max_members, exedra_result *out);
  /* Takes all connections of a user, and the user, out. */
  exedra_status (*leave_user)(const exedra_host *, exedra_slice room, exedra_slice user, exedra_result *out);
  /* payload: [{"user", "joinedAt": ms, "lastSeen": ms, "connections": n, "meta": JSON}] in order of joining. */
  exedra_status (*members)(const exedra_host *, exedra_slice room, exedra_result *out);
  /* code: how many members. */
  exedra_status (*count)(const exedra_host *, exedra_slice room, exedra_result *out);
  /* Asks for REFRESH of states[state] for the room: at once, or when its window has passed. */
  exedra_status (*refresh)(const exedra_host *, uint32_t state, exedra_slice room);
  /* As `join`, but the connection counts for the member `user`, who is whoever the plugin says. A place that the member
   * holds without a connection becomes the connection's: it ends with it. EXEDRA_E_CONFLICT when the connection is in
   * the room for another member. */
  exedra_status (*join_as)(const exedra_host *, exedra_conn, exedra_slice room, exedra_slice user, exedra_slice meta,
                           uint64_t max_members, exedra_result *out);
  /* As `join`, `join_as` (`user` not empty) or `join_user` (`conn` 0), with a bound that holds exactly on all nodes of a
   * cluster; the others know what this node has heard of. At once for a hub that runs alone. EXEDRA_E_BUSY when there
   * are `max_members` already, EXEDRA_E_UNAVAILABLE when the nodes cannot agree in time. */
  exedra_status (*claim)(const exedra_host *, exedra_conn, exedra_slice room, exedra_slice user, exedra_slice meta,
                         uint64_t ttl_ms, uint64_t max_members, exedra_result *out, exedra_done, exedra_op *);
} exedra_room_ext;
#define EXEDRA_ROOM "exedra.room/1"

/* "exedra.kv/1": durable values of this plugin. A write has ended only when it survives a power cut. All [any].
 * Values up to 1 MiB, keys up to 512 bytes. `code` of a result is the revision.                                  */
#define EXEDRA_ANY_REVISION UINT64_MAX
typedef struct {
  uint32_t struct_size;
  uint32_t reserved;
  exedra_status (*get)(const exedra_host *, exedra_slice key, exedra_result *out, exedra_done, exedra_op *);
  /* `expected`: EXEDRA_ANY_REVISION, 0 = must not exist, else the revision that it must still have. */
  exedra_status (*put)(const exedra_host *, exedra_slice key, exedra_slice value, uint64_t expected, exedra_result *out,
                       exedra_done, exedra_op *);
  exedra_status (*remove)(const exedra_host *, exedra_slice key, uint64_t expected, exedra_result *out, exedra_done,
                          exedra_op *);
  /* payload: JSON array of keys; attachments: their values, in the same order; meta: JSON array of revisions. */
  exedra_status (*list)(const exedra_host *, exedra_slice prefix, exedra_slice after, uint32_t limit,
                        exedra_result *out, exedra_done, exedra_op *);
} exedra_kv_ext;
#define EXEDRA_KV "exedra.kv/1"

/* "exedra.bus/1": outside services. All [any]. */
typedef struct {
  uint32_t struct_size;
  uint32_t reserved;
  /* exedra.out.<plugin>.<room>.<event>; handed over without waiting. */
  exedra_status (*publish)(const exedra_host *, exedra_slice room, exedra_slice event, exedra_slice payload);
  /* exedra.rpc.<service>.<method>; payload: the answer's body. */
  exedra_status (*request)(const exedra_host *, exedra_slice service, exedra_slice method, exedra_slice payload,
                           uint64_t timeout_ms, exedra_done, exedra_op *);
} exedra_bus_ext;
#define EXEDRA_BUS "exedra.bus/1"

/* "exedra.time/1". All [any]. */
typedef struct {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t (*now_ms)(const exedra_host *); /* wall clock, milliseconds since 1970 */
  exedra_status (*sleep)(const exedra_host *, uint64_t ms, exedra_done, exedra_op *);
} exedra_time_ext;
#define EXEDRA_TIME "exedra.time/1"

/* "exedra.metric/1": metrics of the manifest, by index. All [any]. */
typedef struct {
  uint32_t struct_size;
  uint32_t reserved;
  /* Counter: adds. Gauge: sets, or adds when `relative`. Histogram: observes seconds. `label`: a value of the
   * manifest's closed set, or empty; another one gives EXEDRA_E_INVALID. */
  exedra_status (*record)(const exedra_host *, uint32_t metric, exedra_slice label, double value, uint32_t relative);
} exedra_metric_ext;
#define EXEDRA_METRIC "exedra.metric/1"

/* ---- the layout, held on every 64-bit target --------------------------------------------------------------- */
#if UINTPTR_MAX == UINT64_MAX
#if defined(__cplusplus)
#define EXEDRA_ASSERT static_assert
#else
#define EXEDRA_ASSERT _Static_assert
#endif
EXEDRA_ASSERT(sizeof(exedra_slice) == 16, "exedra_slice");
EXEDRA_ASSERT(sizeof(exedra_result) == 80, "exedra_result");
EXEDRA_ASSERT(offsetof(exedra_result, payload) == 16, "exedra_result.payload");
EXEDRA_ASSERT(offsetof(exedra_result, attachments) == 48, "exedra_result.attachments");
EXEDRA_ASSERT(offsetof(exedra_result, release) == 72, "exedra_result.release");
EXEDRA_ASSERT(sizeof(exedra_event) == 128, "exedra_event");
EXEDRA_ASSERT(offsetof(exedra_event, handler) == 24, "exedra_event.handler");
EXEDRA_ASSERT(offsetof(exedra_event, name) == 32, "exedra_event.name");
EXEDRA_ASSERT(offsetof(exedra_event, attachments) == 96, "exedra_event.attachments");
EXEDRA_ASSERT(offsetof(exedra_event, problem) == 112, "exedra_event.problem");
EXEDRA_ASSERT(sizeof(exedra_plugin) == 64, "exedra_plugin");
EXEDRA_ASSERT(sizeof(exedra_entry) == 96, "exedra_entry");
EXEDRA_ASSERT(offsetof(exedra_entry, id) == 16, "exedra_entry.id");
EXEDRA_ASSERT(offsetof(exedra_entry, describe) == 80, "exedra_entry.describe");
EXEDRA_ASSERT(sizeof(exedra_done) == 16, "exedra_done");
EXEDRA_ASSERT(sizeof(exedra_task) == 32, "exedra_task");
EXEDRA_ASSERT(sizeof(exedra_host) == 88, "exedra_host");
EXEDRA_ASSERT(offsetof(exedra_host, instance) == 8, "exedra_host.instance");
EXEDRA_ASSERT(sizeof(exedra_message) == 72, "exedra_message");
EXEDRA_ASSERT(offsetof(exedra_message, args) == 40, "exedra_message.args");
EXEDRA_ASSERT(sizeof(exedra_socket_ext) == 48, "exedra_socket_ext");
EXEDRA_ASSERT(sizeof(exedra_room_ext) == 88, "exedra_room_ext");
EXEDRA_ASSERT(sizeof(exedra_kv_ext) == 40, "exedra_kv_ext");
EXEDRA_ASSERT(sizeof(exedra_bus_ext) == 24, "exedra_bus_ext");
EXEDRA_ASSERT(sizeof(exedra_time_ext) == 24, "exedra_time_ext");
EXEDRA_ASSERT(sizeof(exedra_metric_ext) == 16, "exedra_metric_ext");
#endif

#ifdef __cplusplus
}
#endif
#endif
