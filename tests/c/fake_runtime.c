/* Stands in for ONNX Runtime's shared library. FAKE says what is wrong with it. */

#include <stddef.h>
#include <stdint.h>

enum {
  TOO_OLD = 1,
  /* A version that would do, but not the interface that belongs to it. */
  WITHOUT_API,
  WITHOUT_BASE,
  WITHOUT_VERSION,
  ODD_VERSION,
  /* Another library altogether. */
  UNRELATED
};

typedef struct {
  const void *(*get_api)(uint32_t version);
  const char *(*get_version)(void);
} api_base;

static const void *get_api(uint32_t version) {
  (void)version;
  return NULL;
}

static const char *get_version(void) {
  if (FAKE == WITHOUT_VERSION) return NULL;
  return FAKE == TOO_OLD ? "1.4.0" : FAKE == ODD_VERSION ? "new\xff" : "1.99.0";
}

#if FAKE == 6 /* UNRELATED, which the preprocessor does not know */
#define OrtGetApiBase another_function
#endif

const api_base *OrtGetApiBase(void);

const api_base *OrtGetApiBase(void) {
  static const api_base base = {get_api, get_version};
  return FAKE == WITHOUT_BASE ? NULL : &base;
}
