/* Names the garment in a 28x28 image with libLiteRt.so of the Python package ai-edge-litert.
 *
 *     ./classify MODEL_int8.tflite labels.txt IMAGE.pgm...
 *
 * Prints a line for each image: its path, the label, and the logit of each class in the order of the labels.
 * docs/embedding.md says how to build it and where the labels and images come from.
 */
#define _GNU_SOURCE /* dladdr */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "litert.h"

enum { SIZE = 28, PIXELS = SIZE * SIZE, MAX_CLASSES = 256, MAX_LABEL = 256 };

typedef struct {
  LiteRtTensorBuffer buffer;
  LiteRtQuantizationPerTensor quantization;
  LiteRtRankedTensorType type;
} Tensor;

static void fail(const char* what, const char* why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(2);
}

/* Ends the program if a function of LiteRT did not return kLiteRtStatusOk. */
#define CHECK(call)                                                 \
  do {                                                              \
    LiteRtStatus status = (call);                                   \
    if (status != kLiteRtStatusOk) {                                \
      fprintf(stderr, "%s failed with status %d\n", #call, status); \
      exit(2);                                                      \
    }                                                               \
  } while (0)

/* The library does not tell its version, but pip writes a folder with the version beside the package. */
static void check_version(void) {
  Dl_info library;
  char path[4096];
  if (!dladdr((void*)(uintptr_t)LiteRtCreateEnvironment, &library)) fail("libLiteRt.so", "it was not found");
  const char* slash = strrchr(library.dli_fname, '/');
  int length = slash ? (int)(slash - library.dli_fname) : 0;
  snprintf(path, sizeof path, "%.*s/../ai_edge_litert-" LITERT_VERSION ".dist-info", length, library.dli_fname);
  if (access(path, F_OK) != 0) {
    fail(library.dli_fname, "this is not the library of ai-edge-litert " LITERT_VERSION
                            ", whose functions litert.h declares; install this version with pip");
  }
}

static size_t read_labels(const char* path, char labels[][MAX_LABEL]) {
  size_t count = 0;
  FILE* file = fopen(path, "r");
  if (!file) fail(path, "the labels cannot be read");
  while (count < MAX_CLASSES && fgets(labels[count], MAX_LABEL, file)) {
    labels[count][strcspn(labels[count], "\r\n")] = '\0';
    if (labels[count][0]) count++;
  }
  fclose(file);
  return count;
}

/* Reads a binary PGM of 28x28 pixels with 256 levels, as Pillow writes it. */
static void read_image(const char* path, unsigned char image_u8[PIXELS]) {
  static const char header[] = "P5\n28 28\n255\n";
  char found[sizeof header] = "";
  FILE* file = fopen(path, "rb");
  if (!file) fail(path, "the image cannot be read");
  if (fread(found, 1, sizeof header - 1, file) != sizeof header - 1 || strcmp(found, header) != 0 ||
      fread(image_u8, 1, PIXELS, file) != PIXELS) {
    fail(path, "it is not a grey image of 28x28 pixels in binary PGM (P5)");
  }
  fclose(file);
}

/* Asks the model file for the type and the scale of a tensor. */
static Tensor describe(LiteRtTensor tensor) {
  Tensor described = {0};
  CHECK(LiteRtGetRankedTensorType(tensor, &described.type));
  if (described.type.element_type != kLiteRtElementTypeInt8) fail("the model", "it is not an int8 model");
  CHECK(LiteRtGetPerTensorQuantization(tensor, &described.quantization));
  return described;
}

/* q = round(x / scale) + zero point, limited to int8, where x = pixel / 255. */
static int8_t quantize(unsigned char pixel, LiteRtQuantizationPerTensor to) {
  float steps = rintf(pixel / 255.0f / to.scale) + (float)to.zero_point;
  return (int8_t)fminf(fmaxf(steps, INT8_MIN), INT8_MAX);
}

/* Computes the logits of an image. */
static void classify(LiteRtCompiledModel compiled, Tensor* input, Tensor* output,
                     const unsigned char image_u8[PIXELS], float* logits, size_t num_classes) {
  void* values;
  CHECK(LiteRtLockTensorBuffer(input->buffer, &values, kLiteRtTensorBufferLockModeWrite));
  for (int i = 0; i < PIXELS; i++) ((int8_t*)values)[i] = quantize(image_u8[i], input->quantization);
  CHECK(LiteRtUnlockTensorBuffer(input->buffer));
  CHECK(LiteRtRunCompiledModel(compiled, 0, 1, &input->buffer, 1, &output->buffer));
  CHECK(LiteRtLockTensorBuffer(output->buffer, &values, kLiteRtTensorBufferLockModeRead));
  for (size_t i = 0; i < num_classes; i++) {
    logits[i] = (float)(((int8_t*)values)[i] - output->quantization.zero_point) * output->quantization.scale;
  }
  CHECK(LiteRtUnlockTensorBuffer(output->buffer));
}

int main(int argc, char** argv) {
  if (argc < 4) fail(argv[0], "write MODEL_int8.tflite labels.txt IMAGE.pgm...");
  check_version();
  static char labels[MAX_CLASSES][MAX_LABEL];
  size_t num_classes = read_labels(argv[2], labels);

  /* Without this, LiteRT also loads its library for GPUs, whose instructions a Raspberry Pi 4 does not have. */
  const LiteRtEnvOption cpu_alone = {kLiteRtEnvOptionTagAutoRegisterAccelerators,
                                     {kLiteRtAnyTypeInt, kLiteRtHwAcceleratorCpu}};
  LiteRtEnvironment environment;
  LiteRtOptions options;
  LiteRtModel model;
  LiteRtCompiledModel compiled;
  if (access(argv[1], R_OK) != 0) fail(argv[1], "the model cannot be read");
  CHECK(LiteRtCreateEnvironment(1, &cpu_alone, &environment));
  CHECK(LiteRtCreateOptions(&options));
  CHECK(LiteRtSetOptionsHardwareAccelerators(options, kLiteRtHwAcceleratorCpu));
  CHECK(LiteRtCreateModelFromFile(environment, argv[1], &model));
  CHECK(LiteRtCreateCompiledModel(environment, model, options, &compiled));

  LiteRtSubgraph graph;
  LiteRtTensor tensor;
  LiteRtTensorBufferRequirements requirements;
  CHECK(LiteRtGetModelSubgraph(model, 0, &graph));
  CHECK(LiteRtGetSubgraphInput(graph, 0, &tensor));
  Tensor input = describe(tensor);
  CHECK(LiteRtGetCompiledModelInputBufferRequirements(compiled, 0, 0, &requirements));
  CHECK(LiteRtCreateManagedTensorBufferFromRequirements(environment, &input.type, requirements,
                                                        &input.buffer));
  CHECK(LiteRtGetSubgraphOutput(graph, 0, &tensor));
  Tensor output = describe(tensor);
  CHECK(LiteRtGetCompiledModelOutputBufferRequirements(compiled, 0, 0, &requirements));
  CHECK(LiteRtCreateManagedTensorBufferFromRequirements(environment, &output.type, requirements,
                                                        &output.buffer));
  if (input.type.rank != 4 || input.type.dimensions[1] != SIZE || input.type.dimensions[2] != SIZE ||
      input.type.dimensions[3] != 1) {
    fail(argv[1], "it does not take one grey image of 28x28 pixels");
  }
  if (output.type.rank != 2 || (size_t)output.type.dimensions[1] != num_classes) {
    fail(argv[2], "the number of labels is not the number of the model's outputs");
  }

  for (int i = 3; i < argc; i++) {
    unsigned char image_u8[PIXELS];
    float logits[MAX_CLASSES];
    size_t best = 0;
    read_image(argv[i], image_u8);
    classify(compiled, &input, &output, image_u8, logits, num_classes);
    for (size_t k = 1; k < num_classes; k++) {
      if (logits[k] > logits[best]) best = k;
    }
    printf("%s\t%s", argv[i], labels[best]);
    for (size_t k = 0; k < num_classes; k++) printf("\t%.9g", logits[k]);
    printf("\n");
  }

  LiteRtDestroyTensorBuffer(output.buffer);
  LiteRtDestroyTensorBuffer(input.buffer);
  LiteRtDestroyCompiledModel(compiled);
  LiteRtDestroyModel(model);
  LiteRtDestroyOptions(options);
  LiteRtDestroyEnvironment(environment);
  return 0;
}
