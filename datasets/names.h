/* Names of files and folders that make trouble, here or where the folder is copied to next. */
#ifndef PHIZ_DATASETS_NAMES_H
#define PHIZ_DATASETS_NAMES_H

#include <stddef.h>

#include "core/base/bytes.h"

/* What is odd about a name; flags. */
enum phiz_name_oddity {
	PHIZ_NAME_NOT_UTF8 = 1, /* phiz leaves such files out */
	PHIZ_NAME_CONTROL = 2,  /* a line end, tab or other control character (below 0x20, 0x7f, U+0080..U+009F) */
	PHIZ_NAME_BLANK = 4,    /* begins or ends with white space (U+00A0, U+3000 and their like too) */
	PHIZ_NAME_RESERVED = 8, /* < > : " \ | ? *, a full stop at the end, or CON, NUL, COM1 and so on: Windows and exFAT
	                           sticks refuse it */
	PHIZ_NAME_LONG = 16,    /* more than PHIZ_NAME_MAX bytes */
	PHIZ_NAME_CASE = 32     /* another name beside it differs in nothing but case; told by those who see both */
};

/* File systems take 255 bytes; encrypted ones 143 at times; and what works with a file adds to its name. */
#define PHIZ_NAME_MAX 200

/* The flags of one name (no slashes in it). */
unsigned phiz_name_oddities(const char *name);
/* < 0, 0, > 0 by name, without regard to case (ASCII, Latin, Greek and Cyrillic letters of two bytes). */
int phiz_name_compare_folded(const char *a, const char *b);
/* The flags in words, such as "is not UTF-8; begins or ends with a blank", with what to do not in it. */
void phiz_name_describe(unsigned oddities, const char *name, struct phiz_bytes *out);
/* The name as text that can be shown: bytes that are no UTF-8 and control characters as \xNN. */
void phiz_name_show(const char *name, struct phiz_bytes *out);

/* A path as one word of printable ASCII and back: everything else, blanks and '%' become %XX. */
void phiz_name_escape(const char *name, struct phiz_bytes *out);
/* In place; false where it is not what phiz_name_escape makes, or holds a NUL. */
_Bool phiz_name_unescape(char *text);

#endif
