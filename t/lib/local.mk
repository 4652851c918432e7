# t/lib/local.mk - the scenario runner, the daemon that it plays with, and what tests share.

check_PROGRAMS += t/lib/scenario t/lib/sme-milter-test

t_lib_scenario_SOURCES = \
	t/lib/scenario.c t/lib/scenario.h t/lib/scenario_checks.c t/lib/scenario_config.c t/lib/scenario_daemon.c \
	t/lib/scenario_daemon.h t/lib/scenario_dns.c t/lib/scenario_early.c t/lib/scenario_inner.c t/lib/scenario_inprocess.c \
	t/lib/scenario_karma.c t/lib/scenario_line.c t/lib/scenario_parse.c t/lib/scenario_past.c t/lib/scenario_play.c t/lib/scenario_scan.c \
	t/lib/scenario_postfix.c t/lib/scenario_postfix.h t/lib/scenario_queue.c t/lib/scenario_reader.h \
	t/lib/scenario_wire.c t/lib/table_test.c t/lib/wire.c t/lib/wire.h t/lib/world.h
t_lib_scenario_CPPFLAGS = $(AM_CPPFLAGS) -DT_LIB_DIR='"$(abs_srcdir)/t/lib"'
t_lib_scenario_LDADD = libsme.a $(SME_LIBS)

# The daemon as it is, but with the test policies, and with time, load and DNS as a scenario says.
t_lib_sme_milter_test_SOURCES = milter/main.c t/lib/clock_test.c t/lib/dns_test.c t/lib/table_test.c t/lib/world.h
t_lib_sme_milter_test_LDADD = $(SMED_LIBS)
t_lib_sme_milter_test_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=clock_ms,--wrap=clock_wall_ms,--wrap=clock_load \
	-Wl,--wrap=dns_start,--wrap=scripted_note,--wrap=health_watch_start

EXTRA_DIST += \
	t/README t/e2e t/scenario t/lib/daemon.py t/lib/disk.py t/lib/dnsd.py t/lib/house.py t/lib/milter.py t/lib/scanners.py t/lib/postfix.py t/lib/private_root.py t/lib/processes.py t/lib/run.py \
	t/lib/mmdb.py t/lib/scenario_postfix.py t/lib/smtp.py t/lib/tally.py t/lib/tap.py t/lib/wiring.py
