// C side of the librime adapter: the few calls that package pinyin makes,
// each returning plain integers or one malloc'ed buffer, so that no C++ or
// librime structure ever reaches Go memory.
#ifndef CUNBAN_PINYIN_SHIM_H
#define CUNBAN_PINYIN_SHIM_H

#include <stddef.h>
#include <stdint.h>

// CUNBAN_RIME_REMEMBERS: librime would keep what is typed.
#define CUNBAN_RIME_REMEMBERS (-5)

// cunban_rime_start sets librime up, deploys the schema if the user folder has
// not got it yet (blocking), and opens a session with the schema. Returns 0,
// or a negative number naming the step that failed (see engine_cgo.go).
int cunban_rime_start(const char *shared_dir, const char *user_dir,
                      const char *schema, uintptr_t *session);

// cunban_rime_stop ends the session and finalises librime.
void cunban_rime_stop(uintptr_t session);

// cunban_rime_input makes the session's composition be exactly input (a-z and
// '), typing only what differs from what is there. Returns 1 when it is so.
int cunban_rime_input(uintptr_t session, const char *input);

// cunban_rime_candidates copies up to count candidates from index first into
// one malloc'ed buffer of NUL-terminated strings; *n receives their number,
// *more whether another one follows. Returns NULL when there are none.
char *cunban_rime_candidates(uintptr_t session, int first, int count, int *n,
                             int *more);

// cunban_rime_choose picks candidate index. Returns 2 when that used up the
// whole input, 1 when input is left (then *rest holds how many letters are
// left, counted from the end), 0 when there is no such candidate. The
// composition is cleared in every case.
int cunban_rime_choose(uintptr_t session, int index, int *rest);

// cunban_rime_clear drops the composition.
void cunban_rime_clear(uintptr_t session);

#endif
