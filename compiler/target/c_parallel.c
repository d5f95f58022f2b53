/* Parallel statements in C: each becomes a function of a branch's number, and the run function hands
 * that function to whoever has the threads, or calls it for one branch after the other. What the
 * branches work on, the pointers that the run function was given, travels in a frame. */
#include <inttypes.h>

#include "target/c_emitter.h"

bool c_has_parallel(const Program *program) {
  for (size_t i = 0; i < program->entry.stmts.len; i++)
    if (program->entry.stmts.at[i]->kind == STMT_PARALLEL)
      return true;
  return false;
}

/* ---- the frame ---- */

static void frame_type_c(Emitter *e, const CSignature *signature) {
  e->frame_type = c_claim_global(e, "frame");
  write_f(e->w, "\n/* What the branches of a parallel step work on. */\ntypedef struct %s {\n", e->frame_type);
  e->w->indent++;
  if (signature->weights)
    write_f(e->w, "const void *%s;\n", signature->weights);
  write_f(e->w, "void *%s;\n", signature->arena);
  for (size_t i = 0; i < signature->inputs.n; i++)
    write_f(e->w, "const %s *%s;\n", c_type(signature->inputs.at[i]->elem), signature->input_names[i]);
  for (size_t i = 0; i < signature->outputs.n; i++)
    write_f(e->w, "%s *%s;\n", c_type(signature->outputs.at[i]->elem), signature->output_names[i]);
  e->w->indent--;
  write_f(e->w, "} %s;\n", e->frame_type);
}

static void fork_c(Emitter *e) {
  e->fork = c_claim_global(e, "fork");
  write_f(e->w,
          "\n/* All branches: on the caller's threads, or one after the other. */\n"
          "%s_SECTION_CODE static void %s(const %s_parallel *parallel, int n, void (*task)(void *, int),\n"
          "                                void *frame) {\n"
          "  int branch;\n"
          "  if (parallel)\n"
          "    parallel->run(parallel->self, n, task, frame);\n"
          "  else\n"
          "    for (branch = 0; branch < n; ++branch)\n"
          "      task(frame, branch);\n"
          "}\n",
          e->upper, e->fork, e->prefix);
}

/* ---- the functions of the branches ---- */

void c_buffers_of_calls(Emitter *e, const Block *block, CMap *seen) {
  for (size_t i = 0; i < block->stmts.len; i++) {
    const Stmt *s = block->stmts.at[i];
    if (s->kind == STMT_PARALLEL)
      continue;
    for (size_t k = 0; s->kind == STMT_CALL && k < s->callee->buffers.len; k++)
      c_map_put(e->arena, seen, s->buffers[k], e);
    c_buffers_of_calls(e, &s->body, seen);
    c_buffers_of_calls(e, &s->otherwise, seen);
  }
}

/* A local pointer for each buffer that the branches use. */
static void frame_pointers_c(Emitter *e, const CSignature *signature, const CMap *used, const char *frame) {
  const CPorts *ports[] = {&signature->inputs, &signature->outputs};
  const char **names[] = {signature->input_names, signature->output_names};
  for (int k = 0; k < 2; k++)
    for (size_t i = 0; i < ports[k]->n; i++)
      if (c_map_get(used, ports[k]->at[i])) {
        c_set_name(e, ports[k]->at[i], c_names_claim(e->local_names, ports[k]->at[i]->name));
        write_f(e->w, "%s%s *const %s = %s->%s;\n", k == 0 ? "const " : "", c_type(ports[k]->at[i]->elem),
                c_name_of(e, ports[k]->at[i]), frame, names[k][i]);
      }
  for (size_t i = 0; i < e->program->buffers.len; i++) {
    const Buffer *buffer = e->program->buffers.at[i];
    if (!c_map_get(used, buffer))
      continue;
    if (buffer->kind == BUFFER_ARENA)
      c_place_pointer(e, buffer, arena_printf(e->arena, "%s->%s", frame, signature->arena), buffer->offset, "");
    if (buffer->kind == BUFFER_WEIGHT && signature->weights)
      c_place_pointer(e, buffer, arena_printf(e->arena, "%s->%s", frame, signature->weights),
                      weight_place(&e->layout, buffer)->offset, "const ");
  }
}

static void branches_c(Emitter *e, const CSignature *signature, const Stmt *parallel, size_t step) {
  c_set_name(e, parallel, c_claim_global(e, arena_printf(e->arena, "branches_%zu", step)));
  c_begin_function(e);
  const char *context = c_names_claim(e->local_names, "context"), *frame = c_names_claim(e->local_names, "frame"),
             *branch = c_names_claim(e->local_names, "branch");
  write_f(e->w, "\n/* Step %zu. */\n%s_SECTION_CODE static void %s(void *%s, int %s) {\n", step, e->upper,
          c_name_of(e, parallel), context, branch);
  e->w->indent++;
  write_f(e->w, "const %s *const %s = (const %s *)%s;\n", e->frame_type, frame, e->frame_type, context);
  CMap used = {0};
  c_buffers_of_calls(e, &parallel->body, &used);
  e->arena_name = arena_printf(e->arena, "%s->%s", frame, signature->arena);
  frame_pointers_c(e, signature, &used, frame);
  write_f(e->w, "(void)%s;\n", frame); /* it may be constants only that they read */
  c_name_block(e, &parallel->body);
  for (size_t i = 0; i < parallel->body.stmts.len; i++) {
    bool last = i + 1 == parallel->body.stmts.len;
    if (last)
      write_text(e->w, i ? "} else {\n" : "{\n");
    else
      write_f(e->w, "%sif (%s == %zu) {\n", i ? "} else " : "", branch, i);
    e->w->indent++;
    c_block(e, &parallel->body.stmts.at[i]->body);
    e->w->indent--;
  }
  write_text(e->w, parallel->body.stmts.len ? "}\n" : "");
  if (parallel->body.stmts.len < 2)
    write_f(e->w, "(void)%s;\n", branch);
  e->w->indent--;
  write_text(e->w, "}\n");
}

/* ---- the run function's share ---- */

void c_parallel_functions(Emitter *e) {
  if (!c_has_parallel(e->program))
    return;
  CSignature signature = c_signature(e->arena, e->program, e->options, c_names_new(e->arena, e->file_names));
  frame_type_c(e, &signature);
  fork_c(e);
  for (size_t i = 0; i < e->program->entry.stmts.len; i++)
    if (e->program->entry.stmts.at[i]->kind == STMT_PARALLEL)
      branches_c(e, &signature, e->program->entry.stmts.at[i], i);
}

void c_parallel_frame(Emitter *e, const CSignature *signature) {
  if (!signature->parallel)
    return;
  e->parallel = signature->parallel;
  if (!c_has_parallel(e->program)) {
    write_f(e->w, "(void)%s;\n", signature->parallel);
    return;
  }
  e->frame = c_names_claim(e->local_names, "frame");
  write_f(e->w, "%s %s;\n", e->frame_type, e->frame);
  if (signature->weights)
    write_f(e->w, "%s.%s = %s;\n", e->frame, signature->weights, signature->weights);
  write_f(e->w, "%s.%s = %s;\n", e->frame, signature->arena, signature->arena);
  for (size_t i = 0; i < signature->inputs.n; i++)
    write_f(e->w, "%s.%s = %s;\n", e->frame, signature->input_names[i], signature->input_names[i]);
  for (size_t i = 0; i < signature->outputs.n; i++)
    write_f(e->w, "%s.%s = %s;\n", e->frame, signature->output_names[i], signature->output_names[i]);
}

void c_parallel_stmt(Emitter *e, const Stmt *parallel) {
  write_f(e->w, "%s(%s, %zu, %s, &%s);\n", e->fork, e->parallel, parallel->body.stmts.len, c_name_of(e, parallel),
          e->frame);
}
