# t/unit/config.mk - tests of the configuration language and the option tables, with their fuzz target.
check_PROGRAMS += t/unit/config_tree t/unit/option t/fuzz/replay-config_tree
TESTS += t/unit/config_tree t/unit/option t/fuzz/replay-config_tree

t_unit_config_tree_SOURCES = t/unit/config_tree.c t/lib/tap.c t/lib/tap.h
t_unit_config_tree_LDADD = libsme.a $(SME_LIBS)
t_unit_option_SOURCES = t/unit/option.c t/lib/tap.c t/lib/tap.h
t_unit_option_LDADD = libsme.a $(SME_LIBS)
t_fuzz_replay_config_tree_SOURCES = t/fuzz/config_tree.c t/fuzz/replay.c t/fuzz/fuzz.h t/lib/tap.c t/lib/tap.h
t_fuzz_replay_config_tree_LDADD = libsme.a $(SME_LIBS)

if FUZZERS
noinst_PROGRAMS += t/fuzz/config_tree
t_fuzz_config_tree_SOURCES = t/fuzz/config_tree.c t/fuzz/fuzz.h
t_fuzz_config_tree_LDADD = libsme.a $(SME_LIBS)
t_fuzz_config_tree_LDFLAGS = -fsanitize=fuzzer
endif
