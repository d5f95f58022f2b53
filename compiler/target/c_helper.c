/* The small functions that generated code calls: those only that an expression asks for. */
#include <string.h>

#include "target/c_emitter.h"

const char *c_helper(Emitter *e, const char *key) {
  for (size_t i = 0; i < e->helpers.len; i++)
    if (strcmp(e->helpers.at[i].key, key) == 0)
      return e->helpers.at[i].name;
  Helper made = {key, c_claim_global(e, key)};
  VEC_PUSH(e->arena, e->helpers, made);
  return made.name;
}

typedef struct HelperText {
  const char *key;
  const char *before; /* another helper that this one calls; written first */
  const char *text;   /* @ stands for the prefix'd name of the helper, $ for that of `before` */
} HelperText;

static const HelperText helper_texts[] = {
    /* A union is C's way to the bits; C++ has only memcpy. */
    {"bits_i32", NULL,
     "static int32_t @(float a) {\n#ifdef __cplusplus\n  int32_t bits;\n  memcpy(&bits, &a, 4);\n"
     "  return bits;\n#else\n  const union {\n    float f;\n    int32_t i;\n  } u = {a};\n"
     "  return u.i;\n#endif\n}\n"},
    {"bits_f32", NULL,
     "static float @(int32_t bits) {\n#ifdef __cplusplus\n  float a;\n  memcpy(&a, &bits, 4);\n"
     "  return a;\n#else\n  const union {\n    int32_t i;\n    float f;\n  } u = {bits};\n"
     "  return u.f;\n#endif\n}\n"},
    {"abs_f32", NULL,
     "static float @(float a) {\n#ifdef __cplusplus\n  int32_t bits;\n  memcpy(&bits, &a, 4);\n"
     "  bits &= 0x7fffffff;\n  memcpy(&a, &bits, 4);\n  return a;\n#else\n"
     "  union {\n    float f;\n    int32_t i;\n  } u = {a};\n  u.i &= 0x7fffffff;\n"
     "  return u.f;\n#endif\n}\n"},
    {"fma_f32", NULL,
     "static float @(float a, float b, float c) {\n#if defined(__GNUC__)\n"
     "  return __builtin_fmaf(a, b, c);\n#else\n  return fmaf(a, b, c);\n#endif\n}\n"},
    {"prefetch", NULL,
     "static void @(uintptr_t at) {\n#if defined(__GNUC__)\n  __builtin_prefetch((const void *)at);\n#else\n"
     "  (void)at;\n#endif\n}\n"},
    {"max_f32", NULL, "static float @(float a, float b) { return a > b ? a : b; }\n"},
    {"max_i32", NULL, "static int32_t @(int32_t a, int32_t b) { return a > b ? a : b; }\n"},
    {"max_i64", NULL, "static int64_t @(int64_t a, int64_t b) { return a > b ? a : b; }\n"},
    {"min_f32", NULL, "static float @(float a, float b) { return a < b ? a : b; }\n"},
    {"min_i32", NULL, "static int32_t @(int32_t a, int32_t b) { return a < b ? a : b; }\n"},
    {"min_i64", NULL, "static int64_t @(int64_t a, int64_t b) { return a < b ? a : b; }\n"},
    {"eq_f32", NULL, "static int @(float a, float b) { return a == b; }\n"},
    {"eq_i32", NULL, "static int @(int32_t a, int32_t b) { return a == b; }\n"},
    {"eq_i64", NULL, "static int @(int64_t a, int64_t b) { return a == b; }\n"},
    {"lt_f32", NULL, "static int @(float a, float b) { return a < b; }\n"},
    {"lt_i32", NULL, "static int @(int32_t a, int32_t b) { return a < b; }\n"},
    {"lt_i64", NULL, "static int @(int64_t a, int64_t b) { return a < b; }\n"},
    {"le_f32", NULL, "static int @(float a, float b) { return a <= b; }\n"},
    {"le_i32", NULL, "static int @(int32_t a, int32_t b) { return a <= b; }\n"},
    {"le_i64", NULL, "static int @(int64_t a, int64_t b) { return a <= b; }\n"},
    {"select_i32", NULL, "static int32_t @(int m, int32_t a, int32_t b) { return m ? a : b; }\n"},
    /* Unsigned to signed without the implementation's say; compilers make nothing of it. */
    {"to_i8", NULL,
     "static int8_t @(uint8_t u) { return u <= 0x7f ? (int8_t)u : (int8_t)(-1 - (0xff - u)); }\n"},
    {"to_i16", NULL,
     "static int16_t @(uint16_t u) {\n"
     "  return u <= 0x7fff ? (int16_t)u : (int16_t)(-1 - (int16_t)(0xffff - u));\n}\n"},
    {"to_i32", NULL,
     "static int32_t @(uint32_t u) {\n"
     "  return u <= 0x7fffffffu ? (int32_t)u : -1 - (int32_t)(0xffffffffu - u);\n}\n"},
    {"shl_i32", NULL,
     "static int32_t @(int32_t a, int32_t n) { return (int32_t)((int64_t)a * ((int64_t)1 << n)); "
     "}\n"},
    {"shl_i64", NULL,
     "static int64_t @(int64_t a, int64_t n) {\n  uint64_t u = (uint64_t)a << n;\n"
     "  return u <= UINT64_MAX / 2 ? (int64_t)u : -1 - (int64_t)(UINT64_MAX - u);\n}\n"},
    /* Compilers whose >> is arithmetic, all that we know of, see a plain shift. */
    {"shr_i32", NULL,
     "static int32_t @(int32_t a, int32_t n) {\n"
     "  return a >= 0 || (-1 >> 1) == -1 ? a >> n : -1 - ((-1 - a) >> n);\n}\n"},
    {"shr_i64", NULL,
     "static int64_t @(int64_t a, int64_t n) {\n"
     "  return a >= 0 || (-1 >> 1) == -1 ? a >> n : -1 - ((-1 - a) >> n);\n}\n"},
    {"mulhi_i16", "shr_i32",
     "static int16_t @(int16_t a, int16_t b) { return (int16_t)$((int32_t)a * b, 16); }\n"},
    {"mulhi_i32", "shr_i64",
     "static int32_t @(int32_t a, int32_t b) { return (int32_t)$((int64_t)a * b, 32); }\n"},
    {"saturate_i8", NULL,
     "static int8_t @(int32_t a) { return (int8_t)(a < -128 ? -128 : a > 127 ? 127 : a); }\n"},
    {"saturate_u8", NULL,
     "static uint8_t @(int32_t a) { return (uint8_t)(a < 0 ? 0 : a > 255 ? 255 : a); }\n"},
    {"saturate_i16", NULL,
     "static int16_t @(int32_t a) {\n"
     "  return (int16_t)(a < -32768 ? -32768 : a > 32767 ? 32767 : a);\n}\n"},
    {"saturate_i32", NULL,
     "static int32_t @(int64_t a) {\n"
     "  return (int32_t)(a < INT32_MIN ? INT32_MIN : a > INT32_MAX ? INT32_MAX : a);\n}\n"},
    /* Comparisons that a NaN fails come first; in range the conversion truncates, exactly from 2^24
       on. */
    {"floor_f32", NULL,
     "static int32_t @(float a) {\n  int32_t i;\n"
     "  if (!(a >= -2147483648.0f))\n    return a < 0.0f ? INT32_MIN : 0;\n"
     "  if (a >= 2147483648.0f)\n    return INT32_MAX;\n"
     "  i = (int32_t)a;\n  return (float)i > a ? i - 1 : i;\n}\n"},
    {"nearest_f32", NULL,
     "static int32_t @(float a) {\n  int32_t i;\n  float rest;\n"
     "  if (!(a >= -2147483648.0f))\n    return a < 0.0f ? INT32_MIN : 0;\n"
     "  if (a >= 2147483648.0f)\n    return INT32_MAX;\n"
     "  i = (int32_t)a;\n  rest = a - (float)i;\n"
     "  if (rest > 0.5f || (rest >= 0.5f && i % 2 != 0))\n    return i + 1;\n"
     "  if (rest < -0.5f || (rest <= -0.5f && i % 2 != 0))\n    return i - 1;\n"
     "  return i;\n}\n"},
};

static const HelperText *find_helper(const char *key) {
  for (size_t i = 0; i < sizeof helper_texts / sizeof helper_texts[0]; i++)
    if (strcmp(helper_texts[i].key, key) == 0)
      return &helper_texts[i];
  BUG("no helper function '%s'", key);
}

/* In the order of the table, where those that others call come first. */
void c_write_helpers(Emitter *e, Writer *w) {
  for (size_t i = 0; i < e->helpers.len; i++) { /* may grow */
    const HelperText *text = find_helper(e->helpers.at[i].key);
    if (text->before)
      c_helper(e, text->before);
  }
  for (size_t i = 0; i < sizeof helper_texts / sizeof helper_texts[0]; i++) {
    const HelperText *text = &helper_texts[i];
    for (size_t k = 0; k < e->helpers.len; k++) {
      if (strcmp(e->helpers.at[k].key, text->key) != 0)
        continue;
      write_text(w, "\n");
      for (const char *c = text->text; *c;) {
        size_t len = strcspn(c, "@$");
        write_f(w, "%.*s", (int)len, c);
        c += len;
        if (*c)
          write_text(w, *c == '@' ? e->helpers.at[k].name : c_helper(e, text->before));
        c += *c != '\0';
      }
    }
  }
}

bool c_helper_uses_memcpy(const Helper *h) {
  return strstr(find_helper(h->key)->text, "memcpy(") != NULL;
}
