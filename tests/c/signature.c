/* Signatures of models, and models that bring a backbone of their own. */

#include "check.h"

static char *text_of(const char *text) { return strcpy(malloc(strlen(text) + 1), text); }

static npad_options *trusting(const char *keys) {
  npad_options *options = quick_options();
  WORKS(npad_options_set(options, "trusted_keys", keys, &error));
  return options;
}

/* Loads the model that was saved; what it says of its signer must be that. */
static void loads(const npad_options *options, const char *path, const char *signer) {
  npad_model *model = NULL;
  WORKS(npad_model_load(path, options, &model, &error));
  CHECK(strcmp(npad_model_signer(model), signer) == 0);
  npad_model_free(model);
}

static void signatures(const npad_model *model) {
  static const uint8_t key[32] = {1, 2, 3}, other_key[32] = {4, 5, 6};
  npad_model *signed_model = NULL, *other = NULL, *changed = NULL, *loaded = NULL;
  npad_options *options, *both;
  npad_buffer *buffer = NULL;
  uint8_t *bytes;
  char *public_key, *other_public_key, keys[200];
  CHECK(strcmp(npad_model_signer(model), "") == 0 && strcmp(npad_model_signer(NULL), "") == 0);
  FAILS(npad_model_with_signature(NULL, key, sizeof key, &other, &error), NPAD_STATUS_INVALID_ARGUMENT, "model is null");
  FAILS(npad_model_with_signature(model, NULL, sizeof key, &other, &error), NPAD_STATUS_INVALID_ARGUMENT, "key is null");
  FAILS(npad_model_with_signature(model, key, 31, &other, &error), NPAD_STATUS_INVALID_ARGUMENT, "31 bytes");
  FAILS(npad_model_with_signature(model, key, sizeof key, NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "is null");
  CHECK(other == NULL);

  WORKS(npad_model_with_signature(model, key, sizeof key, &signed_model, &error));
  WORKS(npad_model_with_signature(signed_model, other_key, sizeof other_key, &other, &error));
  public_key = text_of(npad_model_signer(signed_model));
  other_public_key = text_of(npad_model_signer(other));
  CHECK(strlen(public_key) == 64 && strcmp(public_key, other_public_key) != 0);
  CHECK(strstr(npad_model_info(signed_model), public_key) != NULL);
  CHECK(strstr(npad_model_info(model), "\"signed_by\":null") != NULL);
  WORKS(npad_model_save(model, "unsigned.npad", &error));
  WORKS(npad_model_save(signed_model, "signed.npad", &error));
  WORKS(npad_model_save(other, "other.npad", &error));
  npad_model_free(other);

  options = trusting(public_key);
  loads(options, "signed.npad", public_key);
  FAILS(npad_model_load("unsigned.npad", options, &loaded, &error), NPAD_STATUS_UNTRUSTED_MODEL, "not signed");
  FAILS(npad_model_load("other.npad", options, &loaded, &error), NPAD_STATUS_UNTRUSTED_MODEL, other_public_key);
  sprintf(keys, "%s, %s", other_public_key, public_key);
  both = trusting(keys);
  loads(both, "signed.npad", public_key);
  loads(both, "other.npad", other_public_key);
  /* Without trusted keys, any intact model loads. */
  loads(NULL, "other.npad", other_public_key);
  loads(NULL, "unsigned.npad", "");

  /* A signature belongs to one file. */
  WORKS(npad_model_load("signed.npad", options, &loaded, &error));
  WORKS(npad_model_save_memory(loaded, &buffer, &error));
  npad_model_free(loaded);
  FAILS(npad_model_load_memory(npad_buffer_data(buffer), npad_buffer_size(buffer), options, &loaded, &error),
        NPAD_STATUS_UNTRUSTED_MODEL, "not signed");
  npad_buffer_free(buffer);
  WORKS(npad_model_with_thresholds(signed_model, npad_model_threshold(model) * 2, 0, &changed, &error));
  CHECK(strcmp(npad_model_signer(changed), "") == 0);
  npad_model_free(changed);
  WORKS(npad_model_save_memory(signed_model, &buffer, &error));
  bytes = malloc(npad_buffer_size(buffer));
  memcpy(bytes, npad_buffer_data(buffer), npad_buffer_size(buffer));
  bytes[npad_buffer_size(buffer) / 2] ^= 1;
  FAILS(npad_model_load_memory(bytes, npad_buffer_size(buffer), options, &loaded, &error), NPAD_STATUS_INVALID_MODEL, "");
  free(bytes);
  npad_buffer_free(buffer);

  FAILS(npad_options_set(options, "trusted_keys", "none", &error), NPAD_STATUS_INVALID_OPTION, "'none' is no public key");
  loads(options, "signed.npad", public_key);
  free(public_key);
  free(other_public_key);
  npad_options_free(options);
  npad_options_free(both);
  npad_model_free(signed_model);
}

static void foreign_backbones(const char *backbone) {
  npad_options *options = quick_options(), *refusing = npad_options_new();
  npad_model *model = NULL, *loaded = NULL;
  WORKS(npad_options_set(options, "backbone", backbone, &error));
  WORKS(npad_fit(images, PARTS, options, &model, &error));
  WORKS(npad_model_save(model, "foreign.npad", &error));
  WORKS(npad_options_set(refusing, "foreign_backbones", "refuse", &error));
  FAILS(npad_model_load("foreign.npad", refusing, &loaded, &error), NPAD_STATUS_UNTRUSTED_MODEL, "foreign_backbones");
  CHECK(loaded == NULL);
  WORKS(npad_options_set(refusing, "foreign_backbones", "allow", &error));
  loads(refusing, "foreign.npad", "");
  FAILS(npad_options_set(refusing, "foreign_backbones", "maybe", &error), NPAD_STATUS_INVALID_OPTION, "one of allow, refuse");
  npad_model_free(model);
  npad_options_free(options);
  npad_options_free(refusing);
}

int main(int argc, char **argv) {
  npad_options *options = quick_options();
  npad_model *model = NULL;
  make_images();
  CHECK(argc == 2);
  WORKS(npad_fit(images, PARTS, options, &model, &error));
  if (failures) return 1;
  signatures(model);
  foreign_backbones(argv[1]);
  npad_model_free(model);
  npad_options_free(options);
  return done();
}
