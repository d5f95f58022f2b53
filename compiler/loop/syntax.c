/* Constructors of the syntax tree, for the actions of grammar/loops.y. */
#include "loop/syntax.h"

#include <ctype.h>
#include <string.h>

void mnl_fail(MnlParser *p, Loc loc, const char *message) {
  p->failed = true;
  diag_error(p->diag, loc, "%s", message);
}

static void check_depth(MnlParser *p, MnlExpr *e) {
  if (e->depth > MNL_MAX_DEPTH && !p->failed)
    mnl_fail(p, e->loc, "expression nested too deeply");
}

MnlExpr *mnl_expr(MnlParser *p, MnlKind kind, Loc loc, const char *text) {
  MnlExpr *e = ARENA_NEW(p->arena, MnlExpr);
  e->kind = kind;
  e->loc = loc;
  e->text = text;
  e->depth = 1;
  return e;
}

MnlExpr *mnl_with_args(MnlParser *p, MnlKind kind, Loc loc, const char *text, MnlList *args) {
  MnlExpr *e = mnl_expr(p, kind, loc, text);
  if (args) {
    e->args = *args;
    e->depth = args->depth + 1;
  }
  check_depth(p, e);
  return e;
}

MnlExpr *mnl_binary(MnlParser *p, char op, Loc loc, MnlExpr *a, MnlExpr *b) {
  MnlExpr *e = mnl_with_args(p, MNL_BINARY, loc, NULL, mnl_list(p, mnl_list(p, NULL, a), b));
  e->op = op;
  return e;
}

MnlList *mnl_list(MnlParser *p, MnlList *list, MnlExpr *item) {
  if (!list)
    list = ARENA_NEW(p->arena, MnlList);
  VEC_PUSH(p->arena, list->items, item);
  if (item->depth > list->depth)
    list->depth = item->depth;
  return list;
}

MnlStmt *mnl_stmt(MnlParser *p, MnlStmtKind kind, Loc loc, const char *name, Loc name_loc) {
  MnlStmt *s = ARENA_NEW(p->arena, MnlStmt);
  s->kind = kind;
  s->loc = loc;
  s->name = name;
  s->name_loc = name_loc;
  return s;
}

MnlAttrs *mnl_attrs(MnlParser *p, MnlAttrs *list, MnlAttr *item) {
  if (!list)
    list = ARENA_NEW(p->arena, MnlAttrs);
  VEC_PUSH(p->arena, list->items, item);
  return list;
}

MnlAttr *mnl_attr(MnlParser *p, MnlAttrKind kind, Loc loc, MnlExpr *a, MnlExpr *b,
                  const char *text) {
  MnlAttr *attr = ARENA_NEW(p->arena, MnlAttr);
  *attr = (MnlAttr){.kind = kind, .loc = loc, .a = a, .b = b, .text = text};
  return attr;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  c = (char)tolower((unsigned char)c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

const char *mnl_unquote(MnlParser *p, Loc loc, const char *text, size_t len) {
  char *out = arena_strndup(p->arena, text, len);
  size_t n = 0;
  for (size_t i = 0; i < len; i++) {
    char c = text[i];
    if (c == '\\' && ++i < len) {
      c = text[i];
      if (c == 'n') {
        c = '\n';
      } else if (c == 't') {
        c = '\t';
      } else if (c == 'x' && i + 2 < len && hex_digit(text[i + 1]) >= 0 &&
                 hex_digit(text[i + 2]) >= 0) {
        c = (char)(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
        i += 2;
      } else if (c != '"' && c != '\\') {
        mnl_fail(p, loc, "unknown escape in string");
        return NULL;
      }
    }
    if (c == '\0') {
      mnl_fail(p, loc, "a string holds no NUL");
      return NULL;
    }
    out[n++] = c;
  }
  out[n] = '\0';
  return out;
}

bool elem_find(const char *text, size_t len, Elem *elem) {
  for (int i = ELEM_F32; i <= ELEM_MASK; i++) {
    const char *name = elem_name((Elem)i);
    if (strlen(name) == len && memcmp(name, text, len) == 0) {
      *elem = (Elem)i;
      return true;
    }
  }
  return false;
}
