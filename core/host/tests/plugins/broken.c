/* A plugin that is wrong in the way that the compiler's -D options say. */
#include "exedra.h"
#include <string.h>

#ifndef MAJOR
#define MAJOR EXEDRA_ABI_MAJOR
#endif
#ifndef MIN_MINOR
#define MIN_MINOR 0
#endif
#ifndef FLAGS
#define FLAGS 0
#endif
#ifndef ID
#define ID "broken"
#endif
#ifndef REQUIRES
#define REQUIRES EXEDRA_SOCKET
#endif
#ifndef MANIFEST
#define MANIFEST "{\"name\":\"broken\",\"version\":\"1.0.0\"}"
#endif
#ifndef DESCRIBE
#define DESCRIBE EXEDRA_OK
#endif
#ifndef CREATE
#define CREATE EXEDRA_OK
#endif
#ifndef START
#define START EXEDRA_OK
#endif
#ifndef SYMBOL
#define SYMBOL exedra_plugin_v1
#endif

#define TEXT(s) {(const uint8_t *)(s), sizeof(s) - 1}

static const char reason[] = "{\"message\":\"because I say so\"}";

static void say(exedra_result *out, const char *text) {
  out->struct_size = sizeof *out;
  out->meta.ptr = (const uint8_t *)text;
  out->meta.len = strlen(text);
}

static exedra_status describe(exedra_slice settings, exedra_result *out) {
  (void)settings;
  out->struct_size = sizeof *out;
  out->payload.ptr = (const uint8_t *)MANIFEST;
  out->payload.len = strlen(MANIFEST);
  if (DESCRIBE != EXEDRA_OK) say(out, reason);
  return DESCRIBE;
}

static exedra_status start(void *self) {
  (void)self;
  return START;
}

static exedra_status dispatch(void *self, const exedra_event *event, exedra_result *out) {
  (void)self, (void)event, (void)out;
  return EXEDRA_OK;
}

static exedra_status create(const exedra_host *host, exedra_slice settings, exedra_plugin *plugin,
                            exedra_result *out) {
  (void)host, (void)settings;
  plugin->struct_size = sizeof *plugin;
  plugin->start = start;
#ifndef NO_DISPATCH
  plugin->dispatch = dispatch;
#else
  (void)dispatch;
#endif
  if (CREATE != EXEDRA_OK) say(out, reason);
  return CREATE;
}

static const exedra_slice required[] = {TEXT(REQUIRES)};

const exedra_entry SYMBOL = {
    .struct_size = sizeof(exedra_entry),
    .abi_major = MAJOR,
    .min_host_minor = MIN_MINOR,
    .flags = FLAGS,
    .id = TEXT(ID),
    .version = TEXT("1.0.0"),
    .sdk = TEXT("c"),
    .required_extensions = required,
    .n_required_extensions = 1,
    .describe = describe,
    .create = create,
};
