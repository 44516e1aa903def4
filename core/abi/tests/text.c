/* exedra_text.h at work, under the sanitizers: what it reads, what it refuses, what it writes. */
#include "exedra_text.h"

#include <assert.h>

static exedra_slice of(const char *text) { return exedra_slice_of(text); }

static int is_string(const char *json, const char *text) {
  char out[64];
  return exedra_json_string(of(json), out, sizeof out) && !strcmp(out, text);
}

static int refused(const char *json) {
  char out[8];
  return !exedra_json_string(of(json), out, sizeof out);
}

/* Every beginning of a text, in memory of exactly its size: whoever reads behind it is caught. */
static void cut(const char *json) {
  for (size_t len = 0; len <= strlen(json); len++) {
    char *exact = malloc(len ? len : 1), out[32];
    memcpy(exact, json, len);
    exedra_slice slice = {(const uint8_t *)exact, len}, key, value;
    exedra_json left = exedra_json_object(slice);
    while (exedra_json_next(&left, &key, &value)) exedra_json_string(value, out, sizeof out);
    left = exedra_json_list(slice);
    while (exedra_json_next(&left, NULL, &value)) exedra_json_string(value, out, sizeof out);
    uint64_t number;
    exedra_json_field(slice, "a"), exedra_json_item(slice, 3), exedra_json_u64(slice, &number);
    exedra_json_string(slice, out, sizeof out), exedra_copy(slice, out, sizeof out);
    free(exact);
  }
}

int main(void) {
  exedra_slice object = of(" {\"a\" : [1, \"x\", {\"b\":[]}] , \"c\":\"d\\\"e\",\"f\":null} ");
  assert(exedra_is(exedra_json_field(object, "a"), "[1, \"x\", {\"b\":[]}]"));
  assert(exedra_is(exedra_json_item(exedra_json_field(object, "a"), 2), "{\"b\":[]}"));
  assert(exedra_is(exedra_json_field(object, "f"), "null"));
  assert(exedra_json_field(object, "g").len == 0 && exedra_json_item(object, 0).len == 0);
  assert(exedra_json_item(of("[]"), 0).len == 0 && exedra_json_field(of("{}"), "").len == 0);
  assert(exedra_is(exedra_json_field(of("{\"\":7}"), ""), "7"));

  assert(is_string("\"d\\\"e\"", "d\"e") && is_string("\"\\u0041\\n\\/\"", "A\n/"));
  assert(is_string("\"\\u00e4\\u20ac\\ud83d\\ude00\"", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"));
  assert(is_string("\"\xc3\xa4\"", "\xc3\xa4"));
  assert(refused("\"\\ud83d\"") && refused("\"\\ude00\"") && refused("\"\\ud83d\\u0041\"") && refused("\"\\u00\""));
  assert(refused("\"\\u0000\"") && refused("\"\\x\"") && refused("\"\\") && refused("7") && refused("\""));
  assert(refused("\"12345678\"") && !refused("\"1234567\""));

  uint64_t number;
  assert(exedra_json_u64(of("18446744073709551615"), &number) && number == UINT64_MAX);
  assert(!exedra_json_u64(of("18446744073709551616"), &number) && !exedra_json_u64(of("-1"), &number));
  assert(!exedra_json_u64(of("1.5"), &number) && !exedra_json_u64(of(""), &number));

  char deep[400] = {0};
  memset(deep, '[', 100), memset(deep + 100, ']', 100);
  assert(exedra_json_item(of(deep), 0).len == 0);
  cut("{\"a\":[1,\"x\\u00e4\",{\"b\":[true,null]}],\"c\":\"d\\\"e\"}");
  cut("[\"\\ud83d\\ude00\",{\"a\":{}},-1.5e3,[[]]]");
  cut("\"\\u0041\\\\\"");

  exedra_text text = {NULL, 0, 0, 0};
  exedra_add(&text, "[");
  exedra_add_string(&text, "a\"\\\n\x01z");
  exedra_add(&text, ",");
  exedra_add_u64(&text, UINT64_MAX);
  exedra_add(&text, "]");
  assert(exedra_is(exedra_text_slice(&text), "[\"a\\\"\\\\\\u000a\\u0001z\",18446744073709551615]"));
  for (int i = 0; i < 1000; i++) exedra_add(&text, "grows");
  exedra_result out;
  assert(exedra_answer(&out, &text) == EXEDRA_OK && out.payload.len > 5000 && text.at == NULL);
  exedra_release(&out);
  assert(out.release == NULL && out.payload.len == 0);
  exedra_release(&out);

  exedra_text lost = {NULL, 0, 0, 1};
  exedra_add(&lost, "x");
  assert(exedra_answer(&out, &lost) == EXEDRA_E_INTERNAL && out.payload.len == 0);
  assert(exedra_refuse(&out, EXEDRA_E_BUSY, "{\"message\":\"later\"}") == EXEDRA_E_BUSY);
  assert(exedra_is(out.meta, "{\"message\":\"later\"}") && out.struct_size == sizeof out);
  char copied[4];
  assert(exedra_copy(of("abc"), copied, 4) && !exedra_copy(of("abcd"), copied, 4));
  return 0;
}
