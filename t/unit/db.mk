# t/unit/db.mk - tests of the databases that the daemon keeps, and the benchmark of karma.
db_tests = t/unit/migrate t/unit/database t/unit/database_trouble t/unit/karma_store t/unit/karma_tidy

check_PROGRAMS += $(db_tests)
TESTS += $(db_tests)
EXTRA_PROGRAMS += t/bench/karma

t_unit_migrate_SOURCES = t/unit/migrate.c t/lib/tap.c t/lib/tap.h
t_unit_migrate_LDADD = libsme.a $(SME_LIBS)
t_unit_database_SOURCES = t/unit/database.c t/unit/database_test.c t/unit/database_test.h t/lib/tap.c t/lib/tap.h
t_unit_database_LDADD = libsme.a $(SME_LIBS)
t_unit_database_trouble_SOURCES = \
	t/unit/database_trouble.c t/unit/database_test.c t/unit/database_test.h t/lib/tap.c t/lib/tap.h
t_unit_database_trouble_LDADD = libsme.a $(SME_LIBS)
t_unit_karma_store_SOURCES = t/unit/karma_store.c t/unit/karma_test.c t/unit/karma_test.h t/lib/tap.c t/lib/tap.h
t_unit_karma_store_LDADD = libsme.a $(SME_LIBS)
t_unit_karma_tidy_SOURCES = t/unit/karma_tidy.c t/unit/karma_test.c t/unit/karma_test.h t/lib/tap.c t/lib/tap.h
t_unit_karma_tidy_LDADD = libsme.a $(SME_LIBS)
t_bench_karma_SOURCES = t/bench/karma.c
t_bench_karma_LDADD = libsme.a $(SME_LIBS)

CLEANFILES += t/bench/karma$(EXEEXT)
