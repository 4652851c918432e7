# t/unit/dmarc_report.mk - the aggregate reports: their store and their XML, and rows for the end-to-end test.
check_PROGRAMS += t/unit/dmarc_report t/unit/dmarc_rua t/lib/dmarc_rows
TESTS += t/unit/dmarc_report t/unit/dmarc_rua
EXTRA_DIST += t/lib/dmarc-2.0.xsd

t_unit_dmarc_report_SOURCES = t/unit/dmarc_report.c t/lib/tap.c t/lib/tap.h
t_unit_dmarc_report_LDADD = libsme.a $(SME_LIBS)
t_unit_dmarc_rua_SOURCES = t/unit/dmarc_rua.c t/lib/tap.c t/lib/tap.h
t_unit_dmarc_rua_LDADD = libsme.a $(SME_LIBS)
t_lib_dmarc_rows_SOURCES = t/lib/dmarc_rows.c t/lib/tap.c t/lib/tap.h
t_lib_dmarc_rows_LDADD = libsme.a $(SME_LIBS)
