/* The entry of a program in LLVM: PREFIX_run, the functions of its parallel steps, and PREFIX_call. */
#include "target/llvm_emitter.h"

/* The inputs or outputs in position order. */
static Buffer **interface_buffers(Gen *g, BufferKind kind, size_t *n) {
  const Program *program = g->program;
  Buffer **buffers = ARENA_ARRAY(g->arena, Buffer *, program->buffers.len + 1);
  *n = 0;
  for (size_t i = 0; i < program->buffers.len; i++) {
    Buffer *buffer = program->buffers.at[i];
    if (buffer->kind != kind)
      continue;
    size_t at = (*n)++;
    for (; at > 0 && buffers[at - 1]->position > buffer->position; at--)
      buffers[at] = buffers[at - 1];
    buffers[at] = buffer;
  }
  return buffers;
}

LLVMValueRef llvm_declare_run(Gen *g, const char *name, LLVMLinkage linkage, int64_t arena_bytes, int arena_align) {
  size_t n_inputs, n_outputs;
  Buffer **inputs = interface_buffers(g, BUFFER_INPUT, &n_inputs);
  Buffer **outputs = interface_buffers(g, BUFFER_OUTPUT, &n_outputs);
  size_t first = g->options->weights_as_blob ? 2 : 1;
  size_t n = (g->program->threads > 1) + first + n_inputs + n_outputs;
  LLVMTypeRef *params = ARENA_ARRAY(g->arena, LLVMTypeRef, n);
  for (size_t i = 0; i < n; i++)
    params[i] = g->ptr;
  LLVMValueRef run = llvm_new_function(g, name, params, n, linkage);

  size_t at = 0;
  if (g->program->threads > 1)
    llvm_name_param(run, at++, "parallel");
  if (g->options->weights_as_blob) {
    llvm_name_param(run, at, "weights");
    if (g->layout.total_bytes > 0) {
      llvm_pointer_attributes(g, run, at, (uint64_t)g->layout.total_bytes, g->layout.align);
      llvm_add_attribute(g, run, (LLVMAttributeIndex)at + 1, "readonly", 0);
    }
    at++;
  }
  llvm_name_param(run, at, "arena");
  if (arena_bytes > 0) /* a model without one may be given null */
    llvm_pointer_attributes(g, run, at, (uint64_t)arena_bytes, arena_align > 0 ? arena_align : 1);
  at++;
  for (size_t i = 0; i < n_inputs; i++, at++) {
    llvm_name_param(run, at, inputs[i]->name);
    llvm_pointer_attributes(g, run, at, (uint64_t)buffer_bytes(inputs[i]), llvm_buffer_align(inputs[i]));
    llvm_add_attribute(g, run, (LLVMAttributeIndex)at + 1, "readonly", 0);
  }
  for (size_t i = 0; i < n_outputs; i++, at++) {
    llvm_name_param(run, at, outputs[i]->name);
    llvm_pointer_attributes(g, run, at, (uint64_t)buffer_bytes(outputs[i]), llvm_buffer_align(outputs[i]));
  }
  return run;
}

/* ---- parallel steps ----
 *
 * Each parallel statement becomes a function of a branch's number. The pointers that PREFIX_run was given travel in a frame,
 * an array: [weights,] arena, inputs, outputs. */

static size_t frame_size(Gen *g, Buffer ***inputs, Buffer ***outputs, size_t *n_inputs, size_t *n_outputs) {
  *inputs = interface_buffers(g, BUFFER_INPUT, n_inputs);
  *outputs = interface_buffers(g, BUFFER_OUTPUT, n_outputs);
  return (g->options->weights_as_blob ? 2u : 1u) + *n_inputs + *n_outputs;
}

static LLVMValueRef frame_slot(Gen *g, LLVMBuilderRef builder, LLVMValueRef frame, size_t i) {
  LLVMValueRef at = llvm_index_const(g, (int64_t)i);
  return LLVMBuildInBoundsGEP2(builder, g->ptr, frame, &at, 1, "");
}

static LLVMValueRef load_slot(Gen *g, LLVMValueRef frame, size_t i, const char *name) {
  LLVMValueRef slot = frame_slot(g, g->entry_builder, frame, i);
  return LLVMBuildLoad2(g->entry_builder, g->ptr, slot, name);
}

static void load_frame(Gen *g, LLVMValueRef frame) {
  Buffer **inputs, **outputs;
  size_t n_inputs, n_outputs, at = 0;
  frame_size(g, &inputs, &outputs, &n_inputs, &n_outputs);
  if (g->options->weights_as_blob)
    g->weights_pointer = load_slot(g, frame, at++, "weights");
  g->arena_pointer = load_slot(g, frame, at++, "arena");
  for (size_t i = 0; i < n_inputs; i++)
    llvm_map_put(&g->names, inputs[i], load_slot(g, frame, at++, inputs[i]->name));
  for (size_t i = 0; i < n_outputs; i++)
    llvm_map_put(&g->names, outputs[i], load_slot(g, frame, at++, outputs[i]->name));
}

static void define_branches(Gen *g, const Stmt *parallel, size_t step) {
  LLVMTypeRef params[2] = {g->ptr, LLVMInt32TypeInContext(g->context)};
  const char *name = arena_printf(g->arena, "%s_branches_%zu", g->prefix, step);
  LLVMValueRef function = llvm_new_function(g, name, params, 2, LLVMInternalLinkage);
  llvm_map_put(&g->kernels, parallel, function);
  LLVMBasicBlockRef body = llvm_begin_function(g, function);
  load_frame(g, llvm_name_param(function, 0, "frame"));
  LLVMValueRef branch = llvm_name_param(function, 1, "branch");
  size_t n = parallel->body.stmts.len;
  LLVMBasicBlockRef end = LLVMCreateBasicBlockInContext(g->context, "end");
  LLVMValueRef choice = LLVMBuildSwitch(g->builder, branch, end, (unsigned)n);
  for (size_t i = 0; i < n; i++) {
    LLVMBasicBlockRef block = llvm_new_block(g, "branch");
    LLVMAddCase(choice, LLVMConstInt(params[1], i, false), block);
    LLVMPositionBuilderAtEnd(g->builder, block);
    llvm_emit_block(g, &parallel->body.stmts.at[i]->body);
    LLVMBuildBr(g->builder, end);
  }
  LLVMAppendExistingBasicBlock(function, end);
  LLVMPositionBuilderAtEnd(g->builder, end);
  llvm_end_function(g, body);
}

/* Blocks of the function that runs all branches. */
typedef struct Fork {
  LLVMBasicBlockRef threads, loop, end;
} Fork;

/* parallel->run(parallel->self, n, task, frame) */
static void call_threads(Gen *g, LLVMValueRef function, LLVMTypeRef int_type, const Fork *fork) {
  LLVMPositionBuilderAtEnd(g->builder, fork->threads);
  LLVMValueRef parallel = LLVMGetParam(function, 0);
  LLVMValueRef run = LLVMBuildLoad2(g->builder, g->ptr, parallel, "run");
  LLVMValueRef self_slot = frame_slot(g, g->builder, parallel, 1);
  LLVMValueRef self = LLVMBuildLoad2(g->builder, g->ptr, self_slot, "self");
  LLVMTypeRef params[4] = {g->ptr, int_type, g->ptr, g->ptr};
  LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(g->context), params, 4, false);
  LLVMValueRef args[4] = {self, LLVMGetParam(function, 1), LLVMGetParam(function, 2), LLVMGetParam(function, 3)};
  LLVMBuildCall2(g->builder, type, run, args, 4, "");
  LLVMBuildBr(g->builder, fork->end);
}

/* One branch after the other; there is at least one. */
static void call_in_order(Gen *g, LLVMValueRef function, LLVMTypeRef int_type, const Fork *fork) {
  LLVMBasicBlockRef before = LLVMGetInsertBlock(g->builder);
  LLVMPositionBuilderAtEnd(g->builder, fork->loop);
  LLVMValueRef branch = LLVMBuildPhi(g->builder, int_type, "branch");
  LLVMTypeRef params[2] = {g->ptr, int_type};
  LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(g->context), params, 2, false);
  LLVMValueRef args[2] = {LLVMGetParam(function, 3), branch};
  LLVMBuildCall2(g->builder, type, LLVMGetParam(function, 2), args, 2, "");
  LLVMValueRef next = LLVMBuildAdd(g->builder, branch, LLVMConstInt(int_type, 1, false), "");
  LLVMValueRef more = LLVMBuildICmp(g->builder, LLVMIntSLT, next, LLVMGetParam(function, 1), "");
  LLVMBuildCondBr(g->builder, more, fork->loop, fork->end);
  LLVMValueRef values[2] = {LLVMConstInt(int_type, 0, false), next};
  LLVMBasicBlockRef blocks[2] = {before, fork->loop};
  LLVMAddIncoming(branch, values, blocks, 2);
}

static void define_fork(Gen *g) {
  LLVMTypeRef int_type = LLVMInt32TypeInContext(g->context);
  LLVMTypeRef params[4] = {g->ptr, int_type, g->ptr, g->ptr};
  static const char *const names[4] = {"parallel", "n", "task", "frame"};
  const char *name = arena_printf(g->arena, "%s_fork", g->prefix);
  g->fork = llvm_new_function(g, name, params, 4, LLVMInternalLinkage);
  LLVMBasicBlockRef body = llvm_begin_function(g, g->fork);
  for (size_t i = 0; i < 4; i++)
    llvm_name_param(g->fork, i, names[i]);
  Fork fork;
  fork.threads = llvm_new_block(g, "threads");
  fork.loop = llvm_new_block(g, "loop");
  fork.end = llvm_new_block(g, "end");
  LLVMValueRef null = LLVMConstNull(g->ptr);
  LLVMValueRef alone = LLVMBuildICmp(g->builder, LLVMIntEQ, LLVMGetParam(g->fork, 0), null, "");
  LLVMBasicBlockRef before = LLVMGetInsertBlock(g->builder);
  LLVMBuildCondBr(g->builder, alone, fork.loop, fork.threads);
  call_threads(g, g->fork, int_type, &fork);
  LLVMPositionBuilderAtEnd(g->builder, before);
  call_in_order(g, g->fork, int_type, &fork);
  LLVMPositionBuilderAtEnd(g->builder, fork.end);
  llvm_end_function(g, body);
}

void llvm_emit_parallel(Gen *g, const Stmt *parallel) {
  LLVMValueRef task = llvm_map_get(&g->kernels, parallel, "the branches of a", "parallel statement");
  LLVMValueRef n = LLVMConstInt(LLVMInt32TypeInContext(g->context), parallel->body.stmts.len, false);
  LLVMValueRef args[4] = {LLVMGetParam(g->run, 0), n, task, g->frame};
  LLVMBuildCall2(g->builder, LLVMGlobalGetValueType(g->fork), g->fork, args, 4, "");
}

/* The frame of PREFIX_run, filled in its entry block. */
static void make_frame(Gen *g) {
  Buffer **inputs, **outputs;
  size_t n_inputs, n_outputs, n = frame_size(g, &inputs, &outputs, &n_inputs, &n_outputs);
  LLVMValueRef count = llvm_index_const(g, (int64_t)n);
  g->frame = LLVMBuildArrayAlloca(g->entry_builder, g->ptr, count, "frame");
  for (size_t i = 0; i < n; i++) {
    LLVMValueRef slot = frame_slot(g, g->entry_builder, g->frame, i);
    LLVMBuildStore(g->entry_builder, LLVMGetParam(g->run, (unsigned)(i + 1)), slot);
  }
}

static bool define_parallel(Gen *g) {
  const Block *entry = &g->program->entry;
  bool any = false;
  for (size_t i = 0; i < entry->stmts.len; i++) {
    if (entry->stmts.at[i]->kind != STMT_PARALLEL)
      continue;
    define_branches(g, entry->stmts.at[i], i);
    any = true;
  }
  if (any)
    define_fork(g);
  return any;
}

/* ---- PREFIX_run ---- */

void llvm_define_run(Gen *g) {
  size_t n_inputs, n_outputs, at = 0;
  Buffer **inputs = interface_buffers(g, BUFFER_INPUT, &n_inputs);
  Buffer **outputs = interface_buffers(g, BUFFER_OUTPUT, &n_outputs);
  bool parallel = define_parallel(g);
  LLVMBasicBlockRef body = llvm_begin_function(g, g->run);
  at += g->program->threads > 1;
  if (g->options->weights_as_blob)
    g->weights_pointer = LLVMGetParam(g->run, (unsigned)at++);
  g->arena_pointer = LLVMGetParam(g->run, (unsigned)at++);
  for (size_t i = 0; i < n_inputs; i++)
    llvm_map_put(&g->names, inputs[i], LLVMGetParam(g->run, (unsigned)at++));
  for (size_t i = 0; i < n_outputs; i++)
    llvm_map_put(&g->names, outputs[i], LLVMGetParam(g->run, (unsigned)at++));
  if (parallel)
    make_frame(g);
  llvm_emit_block(g, &g->program->entry);
  llvm_end_function(g, body);
}

void llvm_define_adapter(Gen *g) {
  size_t n[2], n_args = 0;
  interface_buffers(g, BUFFER_INPUT, &n[0]);
  interface_buffers(g, BUFFER_OUTPUT, &n[1]);
  LLVMTypeRef params[5] = {g->ptr, g->ptr, g->ptr, g->ptr, g->ptr};
  const char *name = arena_printf(g->arena, "%s_call", g->prefix);
  LLVMValueRef function = llvm_new_function(g, name, params, 5, LLVMExternalLinkage);
  LLVMBasicBlockRef body = llvm_begin_function(g, function);
  LLVMValueRef *args = ARENA_ARRAY(g->scratch, LLVMValueRef, 3 + n[0] + n[1]);
  LLVMValueRef parallel = llvm_name_param(function, 0, "parallel");
  if (g->program->threads > 1)
    args[n_args++] = parallel;
  LLVMValueRef weights = llvm_name_param(function, 1, "weights");
  if (g->options->weights_as_blob)
    args[n_args++] = weights;
  args[n_args++] = llvm_name_param(function, 2, "arena");
  for (unsigned list = 0; list < 2; list++) {
    LLVMValueRef pointers = llvm_name_param(function, 3 + list, list ? "outputs" : "inputs");
    for (size_t i = 0; i < n[list]; i++) {
      LLVMValueRef at = llvm_index_const(g, (int64_t)i);
      LLVMValueRef address = LLVMBuildInBoundsGEP2(g->builder, g->ptr, pointers, &at, 1, "");
      args[n_args++] = LLVMBuildLoad2(g->builder, g->ptr, address, "");
    }
  }
  LLVMBuildCall2(g->builder, LLVMGlobalGetValueType(g->run), g->run, args, (unsigned)n_args, "");
  llvm_end_function(g, body);
}
