/* A host whose numbers have decimal commas: the same options, models, texts and scores.
 *
 *     locale own|builtin FOLDER LOCALE */

#include <clocale>
#include <locale>
#include <string>

#include "host.h"

struct results {
  std::string model, info, card, rate, network;
  float score;
};

static results made_in(const char *folder) {
  results made;
  npad_options *options = host_options("2");
  const char *rate = nullptr;
  WORKS(npad_options_set(options, "false_alarm_rate", "0.025", &error));
  WORKS(npad_options_set(options, "npad.regularisation", "0.0125", &error));
  FAILS(npad_options_set(options, "false_alarm_rate", "0,05", &error), NPAD_STATUS_INVALID_OPTION, "0,05");
  WORKS(npad_options_get(options, "false_alarm_rate", &rate, &error));
  made.rate = rate;
  npad_model *model = fitted(options), *loaded = nullptr;
  npad_buffer *buffer = nullptr;
  WORKS(npad_model_save_memory(model, &buffer, &error));
  made.model.assign(reinterpret_cast<const char *>(npad_buffer_data(buffer)), npad_buffer_size(buffer));
  WORKS(npad_model_load_memory(npad_buffer_data(buffer), npad_buffer_size(buffer), options, &loaded, &error));
  made.info = npad_model_info(model);
  made.card = npad_model_card(loaded);
  made.score = score_of(loaded);
  if (builtin) {
    WORKS(npad_model_export(model, in_folder(folder, "model.onnx"), nullptr, &error));
    for (const char *name : {"model.onnx", "model.json"}) {
      FILE *file = fopen(in_folder(folder, name), "rb");
      CHECK(file != nullptr);
      for (int c; file && (c = fgetc(file)) != EOF;) made.network += static_cast<char>(c);
      if (file) fclose(file);
    }
  }
  npad_buffer_free(buffer);
  npad_model_free(loaded);
  npad_model_free(model);
  npad_options_free(options);
  return made;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  builtin = strcmp(argv[1], "builtin") == 0;
  make_images();
  scratch(pixels[PARTS - 1]);
  const results plain = made_in(argv[2]);
  CHECK(plain.rate == "0.025" && plain.info.find("0.0125") != std::string::npos);
  /* Of C and of C++, whose streams are ONNX Runtime's. */
  std::locale::global(std::locale(argv[3]));
  char text[16];
  snprintf(text, sizeof text, "%.1f", 0.5);
  CHECK(strcmp(text, "0,5") == 0 && strtod("0,5", nullptr) == 0.5 && strtod("0.5", nullptr) == 0);
  const results with_commas = made_in(argv[2]);
  CHECK(with_commas.model == plain.model);
  CHECK(with_commas.info == plain.info);
  CHECK(with_commas.card == plain.card);
  CHECK(with_commas.rate == plain.rate);
  CHECK(with_commas.score == plain.score);
  CHECK(with_commas.network == plain.network && plain.network.empty() == !builtin);
  return done();
}
