/* A plugin that only says what it does: its manifest is what the tests look at. */
#include "exedra.h"
#include <string.h>

static const char MANIFEST[] =
    "{\"name\":\"greeter\",\"version\":\"1.0.0\",\"namespaces\":[{\"path\":\"/\",\"auth\":\"none\"}],"
    "\"events\":[{\"name\":\"greet\",\"schema\":{\"title\":\"Whom\",\"type\":\"object\","
    "\"properties\":{\"name\":{\"type\":\"string\"}},\"required\":[\"name\"]}}],"
    "\"emits\":[{\"name\":\"greeted\",\"schema\":{\"type\":\"string\"}}],"
    "\"routes\":[{\"method\":\"GET\",\"path\":\"/greetings\",\"auth\":\"none\",\"description\":\"How many.\"}]}";

static exedra_status describe(exedra_slice settings, exedra_result *out) {
  (void)settings;
  exedra_result said = {.struct_size = sizeof said,
                        .payload = {(const uint8_t *)MANIFEST, sizeof MANIFEST - 1}};
  *out = said;
  return EXEDRA_OK;
}

static exedra_status create(const exedra_host *host, exedra_slice settings, exedra_plugin *plugin,
                            exedra_result *out) {
  (void)host, (void)settings, (void)plugin, (void)out;
  return EXEDRA_E_UNSUPPORTED;
}

#define TEXT(s) {(const uint8_t *)(s), sizeof(s) - 1}

const exedra_entry exedra_plugin_v1 = {
    .struct_size = sizeof(exedra_entry),
    .abi_major = EXEDRA_ABI_MAJOR,
    .abi_minor = EXEDRA_ABI_MINOR,
    .id = TEXT("greeter"),
    .version = TEXT("1.0.0"),
    .sdk = TEXT("c"),
    .describe = describe,
    .create = create,
};
