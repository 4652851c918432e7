# t/fuzz/local.mk - fuzz targets. Everywhere: replay-NAME runs one on its corpus, and make check does so. With
# --enable-fuzzers (clang): t/fuzz/NAME is a libFuzzer program. t/fuzz/PARSERS lists who is fuzzed by what.
#
#     make fuzz                          every target for a minute, from its seeds
#     make fuzz FUZZ_SECONDS=600 FUZZ_JOBS=4 FUZZ_TARGETS="mime session"
#
# A tree without the fuzzers makes one that has them, in fuzz-build.
FUZZ_SECONDS = 60
FUZZ_JOBS = 2
FUZZ_TARGETS =

fuzz_replays = \
	t/fuzz/replay-address \
	t/fuzz/replay-mailboxes \
	t/fuzz/replay-header \
	t/fuzz/replay-date \
	t/fuzz/replay-domain \
	t/fuzz/replay-pattern \
	t/fuzz/replay-rua \
	t/fuzz/replay-session

check_PROGRAMS += $(fuzz_replays)
TESTS += $(fuzz_replays)

t_fuzz_replay_address_SOURCES = t/fuzz/address.c t/fuzz/replay.c t/fuzz/fuzz.h t/lib/tap.c t/lib/tap.h
t_fuzz_replay_address_LDADD = libsme.a $(SME_LIBS)
t_fuzz_replay_mailboxes_SOURCES = t/fuzz/mailboxes.c t/fuzz/replay.c t/fuzz/fuzz.h t/lib/tap.c t/lib/tap.h
t_fuzz_replay_mailboxes_LDADD = libsme.a $(SME_LIBS)
t_fuzz_replay_header_SOURCES = t/fuzz/header.c t/fuzz/replay.c t/fuzz/fuzz.h t/lib/tap.c t/lib/tap.h
t_fuzz_replay_header_LDADD = libsme.a $(SME_LIBS)
t_fuzz_replay_date_SOURCES = t/fuzz/date.c t/fuzz/replay.c t/fuzz/fuzz.h t/lib/tap.c t/lib/tap.h
t_fuzz_replay_date_LDADD = libsme.a $(SME_LIBS)
t_fuzz_replay_domain_SOURCES = t/fuzz/domain.c t/fuzz/replay.c t/fuzz/fuzz.h t/lib/tap.c t/lib/tap.h
t_fuzz_replay_domain_LDADD = libsme.a $(SME_LIBS)
t_fuzz_replay_pattern_SOURCES = t/fuzz/pattern.c t/fuzz/replay.c t/fuzz/fuzz.h t/lib/tap.c t/lib/tap.h
t_fuzz_replay_pattern_LDADD = libsme.a $(SME_LIBS)
t_fuzz_replay_rua_SOURCES = t/fuzz/rua.c t/fuzz/replay.c t/fuzz/fuzz.h t/lib/tap.c t/lib/tap.h
t_fuzz_replay_rua_LDADD = libsme.a $(SME_LIBS)
t_fuzz_replay_session_SOURCES = t/fuzz/session.c t/fuzz/replay.c t/fuzz/fuzz.h t/lib/tap.c t/lib/tap.h
t_fuzz_replay_session_LDADD = $(SMED_LIBS)

if FUZZERS
noinst_PROGRAMS += \
	t/fuzz/address \
	t/fuzz/mailboxes \
	t/fuzz/header \
	t/fuzz/date \
	t/fuzz/domain \
	t/fuzz/pattern \
	t/fuzz/rua \
	t/fuzz/session

t_fuzz_address_SOURCES = t/fuzz/address.c t/fuzz/fuzz.h
t_fuzz_address_LDADD = libsme.a $(SME_LIBS)
t_fuzz_address_LDFLAGS = -fsanitize=fuzzer
t_fuzz_mailboxes_SOURCES = t/fuzz/mailboxes.c t/fuzz/fuzz.h
t_fuzz_mailboxes_LDADD = libsme.a $(SME_LIBS)
t_fuzz_mailboxes_LDFLAGS = -fsanitize=fuzzer
t_fuzz_header_SOURCES = t/fuzz/header.c t/fuzz/fuzz.h
t_fuzz_header_LDADD = libsme.a $(SME_LIBS)
t_fuzz_header_LDFLAGS = -fsanitize=fuzzer
t_fuzz_date_SOURCES = t/fuzz/date.c t/fuzz/fuzz.h
t_fuzz_date_LDADD = libsme.a $(SME_LIBS)
t_fuzz_date_LDFLAGS = -fsanitize=fuzzer
t_fuzz_domain_SOURCES = t/fuzz/domain.c t/fuzz/fuzz.h
t_fuzz_domain_LDADD = libsme.a $(SME_LIBS)
t_fuzz_domain_LDFLAGS = -fsanitize=fuzzer
t_fuzz_pattern_SOURCES = t/fuzz/pattern.c t/fuzz/fuzz.h
t_fuzz_pattern_LDADD = libsme.a $(SME_LIBS)
t_fuzz_pattern_LDFLAGS = -fsanitize=fuzzer
t_fuzz_rua_SOURCES = t/fuzz/rua.c t/fuzz/fuzz.h
t_fuzz_rua_LDADD = libsme.a $(SME_LIBS)
t_fuzz_rua_LDFLAGS = -fsanitize=fuzzer
t_fuzz_session_SOURCES = t/fuzz/session.c t/fuzz/fuzz.h
t_fuzz_session_LDADD = $(SMED_LIBS)
t_fuzz_session_LDFLAGS = -fsanitize=fuzzer
endif

EXTRA_DIST += t/fuzz/corpus t/fuzz/PARSERS t/fuzz/run

.PHONY: fuzz
if FUZZERS
fuzz_programs = $(filter t/fuzz/%,$(noinst_PROGRAMS))
fuzz:
	$(MAKE) $(AM_MAKEFLAGS) $(fuzz_programs)
	$(srcdir)/t/fuzz/run '$(abs_top_builddir)' $(FUZZ_SECONDS) $(FUZZ_JOBS) $(FUZZ_TARGETS)
else
fuzz:
	@$(MKDIR_P) fuzz-build
	test -f fuzz-build/Makefile || (cd fuzz-build && '$(abs_srcdir)/configure' CC=clang --enable-fuzzers \
		--enable-sanitizers=fuzzer-no-link,address,undefined >configure.log)
	$(MAKE) -C fuzz-build fuzz FUZZ_SECONDS='$(FUZZ_SECONDS)' FUZZ_JOBS='$(FUZZ_JOBS)' FUZZ_TARGETS='$(FUZZ_TARGETS)'
distclean-local: fuzz-distclean
fuzz-distclean:
	rm -rf fuzz-build
endif
