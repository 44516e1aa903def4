/* exedra_text.h - text, JSON and answers for plugins in C, so that a handler can say what it means. Nothing here is
 * part of the contract: exedra.h is all that a plugin needs, and nothing in it names this file.
 *
 * Reading: slices stay borrowed, nothing is allocated, and whatever is not JSON ends in an empty slice. Values nested
 * deeper than 64 are taken for broken. Writing: a text grows on the heap, and is given away with an answer; when
 * memory runs out it stays `failed`, and the answer becomes a failure.                                            */
#ifndef EXEDRA_TEXT_H
#define EXEDRA_TEXT_H

#include "exedra.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- slices ------------------------------------------------------------------------------------------------ */

/* The bytes of a text that ends with NUL, without the NUL. */
static inline exedra_slice exedra_slice_of(const char *text) {
  exedra_slice slice;
  slice.ptr = (const uint8_t *)text;
  slice.len = strlen(text);
  return slice;
}

static inline int exedra_is(exedra_slice slice, const char *text) {
  return slice.len == strlen(text) && (slice.len == 0 || !memcmp(slice.ptr, text, slice.len));
}

/* Copies into `out` and ends it with NUL; 0 when it does not fit, or has a NUL inside. */
static inline int exedra_copy(exedra_slice slice, char *out, size_t size) {
  if (slice.len >= size || (slice.len && memchr(slice.ptr, 0, slice.len))) return 0;
  if (slice.len) memcpy(out, slice.ptr, slice.len);
  out[slice.len] = 0;
  return 1;
}

/* ---- reading JSON ------------------------------------------------------------------------------------------ */

#define EXEDRA_JSON_DEPTH 64

typedef struct {
  const char *at, *end;
} exedra_json; /* what is left of a list or an object; see exedra_json_next */

static inline const char *exedra_json_space(const char *at, const char *end) {
  while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) at++;
  return at;
}

/* Behind one value, or NULL. Looks at the shape, not at every rule: the hub has parsed what it hands over. */
static inline const char *exedra_json_skip(const char *at, const char *end, int depth) {
  at = exedra_json_space(at, end);
  if (at >= end || depth > EXEDRA_JSON_DEPTH) return NULL;
  if (*at == '"') {
    for (at++; at < end && *at != '"'; at++)
      if (*at == '\\' && ++at >= end) return NULL;
    return at < end ? at + 1 : NULL;
  }
  if (*at == '[' || *at == '{') {
    char object = *at == '{', close = object ? '}' : ']';
    at = exedra_json_space(at + 1, end);
    if (at < end && *at == close) return at + 1;
    for (;;) {
      if (object) {
        at = exedra_json_space(at, end);
        if (at >= end || *at != '"' || !(at = exedra_json_skip(at, end, depth + 1))) return NULL;
        at = exedra_json_space(at, end);
        if (at >= end || *at++ != ':') return NULL;
      }
      if (!(at = exedra_json_skip(at, end, depth + 1))) return NULL;
      at = exedra_json_space(at, end);
      if (at < end && *at == close) return at + 1;
      if (at >= end || *at++ != ',') return NULL;
    }
  }
  const char *word = at;
  while (at < end && !memchr(",]} \t\r\n\":[{", *at, 12)) at++;
  return at > word ? at : NULL;
}

static inline exedra_json exedra_json_open(exedra_slice value, char open) {
  exedra_json none = {NULL, NULL}, inside;
  if (!value.len) return none;
  inside.end = (const char *)value.ptr + value.len;
  inside.at = exedra_json_space((const char *)value.ptr, inside.end);
  if (inside.at >= inside.end || *inside.at != open) return none;
  inside.at++;
  return inside;
}

/* Begins with the elements of a list, or the fields of an object. */
static inline exedra_json exedra_json_list(exedra_slice value) { return exedra_json_open(value, '['); }
static inline exedra_json exedra_json_object(exedra_slice value) { return exedra_json_open(value, '{'); }

/* The next element (`key` NULL) or field; 0 at the end and when it is broken. */
static inline int exedra_json_next(exedra_json *left, exedra_slice *key, exedra_slice *value) {
  const char *from, *end = left->end;
  if (!left->at) return 0;
  from = exedra_json_space(left->at, end);
  left->at = NULL;
  if (from >= end || *from == ']' || *from == '}') return 0;
  if (key) {
    const char *behind = *from == '"' ? exedra_json_skip(from, end, 0) : NULL;
    if (!behind) return 0;
    key->ptr = (const uint8_t *)from, key->len = (size_t)(behind - from);
    behind = exedra_json_space(behind, end);
    if (behind >= end || *behind != ':') return 0;
    from = exedra_json_space(behind + 1, end);
  }
  const char *behind = exedra_json_skip(from, end, 0);
  if (!behind) return 0;
  value->ptr = (const uint8_t *)from, value->len = (size_t)(behind - from);
  behind = exedra_json_space(behind, end);
  if (behind < end && *behind == ',') left->at = behind + 1;
  return 1;
}

/* The element of a list at `index`, as it stands there; empty when there is none. */
static inline exedra_slice exedra_json_item(exedra_slice list, size_t index) {
  exedra_json left = exedra_json_list(list);
  exedra_slice item = {NULL, 0}, none = {NULL, 0};
  while (exedra_json_next(&left, NULL, &item))
    if (index-- == 0) return item;
  return none;
}

/* The field of an object, as it stands there; empty when there is none. `key` is plain: nothing in it is escaped. */
static inline exedra_slice exedra_json_field(exedra_slice object, const char *key) {
  exedra_json left = exedra_json_object(object);
  exedra_slice name = {NULL, 0}, field = {NULL, 0}, none = {NULL, 0};
  while (exedra_json_next(&left, &name, &field)) {
    exedra_slice bare = {name.ptr + 1, name.len - 2};
    if (exedra_is(bare, key)) return field;
  }
  return none;
}

static inline int exedra_json_hex(const char *at, const char *end, unsigned *out) {
  *out = 0;
  if (end - at < 4) return 0;
  for (int i = 0; i < 4; i++) {
    char c = at[i];
    unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : ((unsigned)c | 32u) - 'a' + 10u;
    if (digit > 15) return 0;
    *out = *out << 4 | digit;
  }
  return 1;
}

/* A string, unescaped, as UTF-8 that ends with NUL; 0 when it is none, does not fit, or has a NUL inside. */
static inline int exedra_json_string(exedra_slice value, char *out, size_t size) {
  const char *at = (const char *)value.ptr, *end = at + value.len;
  size_t n = 0;
  if (value.len < 2 || *at != '"' || end[-1] != '"' || size == 0) return 0;
  for (at++, end--; at < end; at++) {
    unsigned code = (unsigned char)*at, low;
    char raw = 1;
    if (*at == '\\') {
      static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
      const char *found;
      if (++at >= end) return 0;
      if (*at == 'u') {
        if (!exedra_json_hex(at + 1, end, &code)) return 0;
        at += 4;
        if (code >= 0xd800 && code < 0xdc00) {
          if (end - at < 7 || at[1] != '\\' || at[2] != 'u' || !exedra_json_hex(at + 3, end, &low)) return 0;
          if (low < 0xdc00 || low > 0xdfff) return 0;
          code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
          at += 6;
        } else if (code >= 0xdc00 && code <= 0xdfff) {
          return 0;
        }
        raw = code < 0x80;
      } else if (*at && (found = strchr(from, *at))) {
        code = (unsigned char)to[found - from];
      } else {
        return 0;
      }
    }
    if (code == 0) return 0;
    size_t need = raw ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (n + need >= size) return 0;
    if (need == 1) {
      out[n++] = (char)code;
    } else {
      static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
      for (size_t i = need - 1; i > 0; i--, code >>= 6) out[n + i] = (char)(0x80 | (code & 0x3f));
      out[n] = (char)(lead[need] | code);
      n += need;
    }
  }
  out[n] = 0;
  return 1;
}

/* A whole number that is not negative; 0 when it is none or too large. */
static inline int exedra_json_u64(exedra_slice value, uint64_t *out) {
  *out = 0;
  for (size_t i = 0; i < value.len; i++) {
    uint64_t digit = (uint64_t)(value.ptr[i] - '0');
    if (digit > 9 || *out > (UINT64_MAX - digit) / 10) return 0;
    *out = *out * 10 + digit;
  }
  return value.len > 0;
}

/* ---- writing ----------------------------------------------------------------------------------------------- */

/* A text that grows; all zeroes is an empty one. */
typedef struct {
  char *at;
  size_t len, room;
  int failed;
} exedra_text;

static inline void exedra_add_bytes(exedra_text *text, const void *bytes, size_t len) {
  if (text->failed) return;
  if (text->room - text->len < len) {
    size_t room = text->room + text->room / 2 + len + 32;
    char *grown = room < len ? NULL : (char *)realloc(text->at, room);
    if (!grown) {
      text->failed = 1;
      return;
    }
    text->at = grown, text->room = room;
  }
  if (len) memcpy(text->at + text->len, bytes, len);
  text->len += len;
}

/* As it is. */
static inline void exedra_add(exedra_text *text, const char *raw) { exedra_add_bytes(text, raw, strlen(raw)); }

/* As a JSON string. */
static inline void exedra_add_string(exedra_text *text, const char *string) {
  exedra_add(text, "\"");
  for (const char *at = string; *at; at++) {
    unsigned char c = (unsigned char)*at;
    if (c == '"' || c == '\\') {
      char escaped[2] = {'\\', (char)c};
      exedra_add_bytes(text, escaped, 2);
    } else if (c < 0x20) {
      char escaped[8];
      int len = snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)c);
      exedra_add_bytes(text, escaped, (size_t)len);
    } else {
      exedra_add_bytes(text, at, 1);
    }
  }
  exedra_add(text, "\"");
}

static inline void exedra_add_u64(exedra_text *text, uint64_t number) {
  char digits[24];
  int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
  exedra_add_bytes(text, digits, (size_t)len);
}

static inline exedra_slice exedra_text_slice(const exedra_text *text) {
  exedra_slice slice;
  slice.ptr = (const uint8_t *)text->at;
  slice.len = text->failed ? 0 : text->len;
  return slice;
}

static inline void exedra_text_free(exedra_text *text) {
  exedra_text none = {NULL, 0, 0, 0};
  free(text->at);
  *text = none;
}

/* ---- answers ----------------------------------------------------------------------------------------------- */

static inline void exedra_empty(exedra_result *out) {
  memset(out, 0, sizeof *out);
  out->struct_size = sizeof *out;
}

/* Gives a text away as an answer's payload. */
static inline exedra_status exedra_answer(exedra_result *out, exedra_text *text) {
  exedra_empty(out);
  if (text->failed) {
    exedra_text_free(text);
    return EXEDRA_E_INTERNAL;
  }
  out->payload = exedra_text_slice(text);
  out->owner = text->at;
  out->release = free;
  memset(text, 0, sizeof *text);
  return EXEDRA_OK;
}

/* Gives a failure as an answer. `meta` is `{"message": …}` of a lasting text; NULL lets the hub find the words. */
static inline exedra_status exedra_refuse(exedra_result *out, exedra_status status, const char *meta) {
  exedra_empty(out);
  if (meta) out->meta = exedra_slice_of(meta);
  return status;
}

/* Gives a result of the hub's back, whatever is in it; it is empty then. */
static inline void exedra_release(exedra_result *result) {
  if (result->release) result->release(result->owner);
  exedra_empty(result);
}

#endif
