//go:build cgo && linux

#include "shim.h"

#include <rime_api.h>
#include <stdlib.h>
#include <string.h>

// X11 key symbols that librime takes for keys without a printable character.
#define KEY_BACKSPACE 0xff08

int cunban_rime_start(const char *shared_dir, const char *user_dir,
                      const char *schema, uintptr_t *session) {
  RimeApi *api = rime_get_api();
  if (!api) return -1;
  // Only the engine itself: plugins (lua, octagram) that happen to be
  // installed on the machine are not loaded into the terminal.
  static const char *modules[] = {"core", "dict", "gears", NULL};
  RIME_STRUCT(RimeTraits, traits);
  traits.shared_data_dir = shared_dir;
  traits.user_data_dir = user_dir;
  traits.distribution_name = "cunban";
  traits.distribution_code_name = "cunban";
  traits.distribution_version = "1";
  traits.app_name = "rime.cunban";
  traits.modules = modules;
  // Typed text must never reach a log file: only fatal errors, on stderr.
  traits.min_log_level = 3;
  traits.log_dir = "";
  static int set_up = 0;
  if (!set_up) {
    api->setup(&traits);
    set_up = 1;
  }
  api->initialize(&traits);
  api->deployer_initialize(&traits);
  if (api->start_maintenance(False)) api->join_maintenance_thread();
  RimeSessionId id = api->create_session();
  if (!id) {
    api->finalize();
    return -2;
  }
  char current[64] = {0};
  if (!api->select_schema(id, schema) ||
      !api->get_current_schema(id, current, sizeof current) ||
      strcmp(current, schema) != 0) {
    api->destroy_session(id);
    api->finalize();
    return -3;
  }
  // The patch that switches learning off must be in the schema that is in use:
  // asked of librime itself, and closed when it cannot say.
  RimeConfig config = {0};
  Bool learns = True;
  if (api->schema_open(schema, &config)) {
    if (!api->config_get_bool(&config, "translator/enable_user_dict", &learns))
      learns = True;
    api->config_close(&config);
  }
  if (learns) {
    api->destroy_session(id);
    api->finalize();
    return CUNBAN_RIME_REMEMBERS;
  }
  // A schema whose dictionary is missing loads but finds nothing: ask it.
  int n = 0, more = 0;
  if (!cunban_rime_input(id, "ni")) {
    api->destroy_session(id);
    api->finalize();
    return -4;
  }
  char *probe = cunban_rime_candidates(id, 0, 1, &n, &more);
  cunban_rime_clear(id);
  free(probe);
  if (n == 0) {
    api->destroy_session(id);
    api->finalize();
    return -4;
  }
  *session = id;
  return 0;
}

void cunban_rime_stop(uintptr_t session) {
  RimeApi *api = rime_get_api();
  api->destroy_session(session);
  api->finalize();
}

void cunban_rime_clear(uintptr_t session) {
  rime_get_api()->clear_composition(session);
}

int cunban_rime_input(uintptr_t session, const char *input) {
  RimeApi *api = rime_get_api();
  const char *have = api->get_input(session);
  if (!have) have = "";
  size_t have_len = strlen(have), common = 0;
  while (have[common] && have[common] == input[common]) common++;
  // get_input's pointer dies with the first edit: only lengths from here on.
  for (size_t i = common; i < have_len; i++)
    api->process_key(session, KEY_BACKSPACE, 0);
  for (const char *p = input + common; *p; p++)
    api->process_key(session, (unsigned char)*p, 0);
  const char *now = api->get_input(session);
  if (now && strcmp(now, input) == 0) return 1;
  // Something odd came of the edit (a key bound to another meaning): afresh.
  api->clear_composition(session);
  for (const char *p = input; *p; p++)
    api->process_key(session, (unsigned char)*p, 0);
  now = api->get_input(session);
  return now && strcmp(now, input) == 0;
}

char *cunban_rime_candidates(uintptr_t session, int first, int count, int *n,
                             int *more) {
  RimeApi *api = rime_get_api();
  *n = 0;
  *more = 0;
  RimeCandidateListIterator it;
  memset(&it, 0, sizeof it);
  if (!api->candidate_list_from_index(session, &it, first)) return NULL;
  char *buf = NULL;
  size_t len = 0, cap = 0;
  while (api->candidate_list_next(&it)) {
    if (*n >= count) {
      *more = 1;
      break;
    }
    if (!it.candidate.text) continue;
    size_t add = strlen(it.candidate.text) + 1;
    if (len + add > cap) {
      cap = (len + add) * 2 + 64;
      char *grown = realloc(buf, cap);
      if (!grown) break;
      buf = grown;
    }
    memcpy(buf + len, it.candidate.text, add);
    len += add;
    (*n)++;
  }
  api->candidate_list_end(&it);
  return buf;
}

// letters counts the pinyin letters in a preedit text from byte offset on:
// every character but the spaces and apostrophes that librime puts between
// syllables stands for one letter ("lü" for "lv").
static int letters(const char *s, int offset) {
  int n = 0;
  for (const unsigned char *p = (const unsigned char *)s + offset; *p; p++)
    if (*p != ' ' && *p != '\'' && (*p & 0xc0) != 0x80) n++;
  return n;
}

int cunban_rime_choose(uintptr_t session, int index, int *rest) {
  RimeApi *api = rime_get_api();
  *rest = 0;
  int result = 0;
  if (index >= 0 && api->select_candidate(session, (size_t)index)) {
    RIME_STRUCT(RimeCommit, commit);
    if (api->get_commit(session, &commit)) {
      api->free_commit(&commit);
      result = 2;
    } else {
      RIME_STRUCT(RimeContext, ctx);
      if (api->get_context(session, &ctx)) {
        if (ctx.composition.preedit && ctx.composition.sel_start >= 0 &&
            ctx.composition.sel_start <= (int)strlen(ctx.composition.preedit))
          *rest = letters(ctx.composition.preedit, ctx.composition.sel_start);
        api->free_context(&ctx);
      }
      result = *rest > 0 ? 1 : 2;
    }
  }
  api->clear_composition(session);
  return result;
}
