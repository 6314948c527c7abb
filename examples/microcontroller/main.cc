// Names garments on a microcontroller with TFLite Micro: reads 28x28 grey pixels from the serial line and
// answers with a label, again and again.
//
// docs/embedding.md says how garment.cc and garment.h are made and how this is built.
#include <stdint.h>
#include <stdio.h>

#include "garment.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {

constexpr int kNumPixels = 28 * 28;
alignas(16) uint8_t arena[GARMENT_ARENA_BYTES];

// Each pixel stands for pixel / 255. Garments are light, and the background is 0.
int8_t Quantize(uint8_t pixel) {
  const float steps = pixel / 255.0f / GARMENT_INPUT_SCALE;
  const int quantized = static_cast<int>(steps + 0.5f) + GARMENT_INPUT_ZERO_POINT;
  return static_cast<int8_t>(quantized > 127 ? 127 : quantized);
}

}  // namespace

int main() {
  // The header lists the operators that the model needs.
  tflite::MicroMutableOpResolver<GARMENT_NUM_OPERATORS> resolver;
  resolver.AddConv2D();
  resolver.AddAdd();
  resolver.AddMean();
  resolver.AddFullyConnected();

  tflite::MicroInterpreter interpreter(tflite::GetModel(garment_model), resolver, arena,
                                       sizeof(arena));
  if (interpreter.AllocateTensors() != kTfLiteOk) {
    puts("The arena is too small.");
    return 1;
  }

  uint8_t image_u8[kNumPixels];
  while (fread(image_u8, 1, kNumPixels, stdin) == kNumPixels) {
    int8_t* input = interpreter.typed_input_tensor<int8_t>(0);
    for (int i = 0; i < kNumPixels; i++) input[i] = Quantize(image_u8[i]);
    if (interpreter.Invoke() != kTfLiteOk) {
      puts("The model could not be run.");
      return 1;
    }
    const int8_t* output = interpreter.typed_output_tensor<int8_t>(0);
    int best = 0;
    for (int i = 1; i < GARMENT_NUM_LABELS; i++) {
      if (output[i] > output[best]) best = i;
    }
    puts(garment_labels[best]);
  }
  return 0;
}
