/* ONNX Runtime's own C call, as a contender of benchmarks/fortran.py.
 *
 * The wheel holds no header, so that its functions are taken from their table by slot, which
 * ONNX Runtime never changes.  A call is Run alone, on values that are kept, or makes the values
 * first and releases them after. */

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void *Status; /* NULL, or what went wrong */
typedef Status Run(void *session, void *options, const char *const *input_names,
                   const void *const *inputs, size_t n_inputs, const char *const *output_names,
                   size_t n_outputs, void **outputs);

enum {
  ERROR_MESSAGE = 2,
  CREATE_ENV = 3,
  CREATE_SESSION = 7,
  RUN = 9,
  CREATE_OPTIONS = 10,
  SET_INTRA_THREADS = 24,
  SET_INTER_THREADS = 25,
  CREATE_TENSOR = 49,
  CREATE_CPU_MEMORY_INFO = 69,
  RELEASE_VALUE = 96
};
enum { API_VERSION = 11, LOG_FATAL = 4, DEVICE_ALLOCATOR = 0, MEMORY_DEFAULT = 0, FLOAT32 = 1 };

typedef struct {
  Run *run;
  void (*release)(void *value);
  void *session, *input, *output;
  float *x, *fn;
  int n, keep;
} Prepared;

static void **functions, *memory;

static int failed(Status status) {
  if (status)
    fprintf(stderr, "%s\n", ((const char *(*)(Status))functions[ERROR_MESSAGE])(status));
  return status != NULL;
}

static int open_library(const char *path) {
  struct {
    void **(*get_api)(uint32_t);
    const char *(*version)(void);
  } *(*get_base)(void);
  void *library = dlopen(path, RTLD_NOW);
  if (library) *(void **)&get_base = dlsym(library, "OrtGetApiBase");
  functions = library && get_base ? get_base()->get_api(API_VERSION) : NULL;
  if (!functions) fprintf(stderr, "%s: no ONNX Runtime\n", path);
  return functions != NULL;
}

static void *tensor(float *data, int64_t n, int64_t width) {
  Status (*create)(void *, void *, size_t, const int64_t *, size_t, int, void **) =
      functions[CREATE_TENSOR];
  int64_t shape[2] = {n, width};
  void *value;
  return failed(create(memory, data, 4 * n * width, shape, 2, FLOAT32, &value)) ? NULL : value;
}

void *contender_prepare(const char *model, int n, float *x, float *fn, const char *library,
                        const char *values) {
  static void *env;
  void *options, *session;
  if (!functions) {
    Status (*create_env)(int, const char *, void **);
    Status (*create_memory)(int, int, void **);
    if (!open_library(library)) return NULL;
    create_env = functions[CREATE_ENV];
    create_memory = functions[CREATE_CPU_MEMORY_INFO];
    if (failed(create_env(LOG_FATAL, "benchmark", &env)) ||
        failed(create_memory(DEVICE_ALLOCATOR, MEMORY_DEFAULT, &memory)))
      return NULL;
  }
  Status (*create_options)(void **) = functions[CREATE_OPTIONS];
  Status (*set_intra)(void *, int) = functions[SET_INTRA_THREADS];
  Status (*set_inter)(void *, int) = functions[SET_INTER_THREADS];
  Status (*create_session)(void *, const char *, void *, void **) = functions[CREATE_SESSION];
  if (failed(create_options(&options)) || failed(set_intra(options, 1)) ||
      failed(set_inter(options, 1)) || failed(create_session(env, model, options, &session)))
    return NULL;
  Prepared *p = malloc(sizeof *p);
  if (!p) return NULL;
  *p = (Prepared){.run = (Run *)functions[RUN],
                  .release = (void (*)(void *))functions[RELEASE_VALUE],
                  .session = session,
                  .input = tensor(x, n, 16),
                  .output = tensor(fn, n, 4),
                  .x = x,
                  .fn = fn,
                  .n = n,
                  .keep = !strcmp(values, "kept")};
  return p->input && p->output ? p : NULL;
}

static int run(Prepared *p, void *input, void *output) {
  static const char *const input_names[] = {"state"}, *const output_names[] = {"fn"};
  const void *const inputs[] = {input};
  return failed(p->run(p->session, NULL, input_names, inputs, 1, output_names, 1, &output));
}

int contender_repeat(Prepared *p, int calls) {
  int status = 0;
  for (int i = 0; i < calls && !status; i++) {
    if (p->keep) {
      status = run(p, p->input, p->output);
    } else {
      void *input = tensor(p->x, p->n, 16), *output = tensor(p->fn, p->n, 4);
      status = !input || !output || run(p, input, output);
      if (input) p->release(input);
      if (output) p->release(output);
    }
  }
  return status;
}
