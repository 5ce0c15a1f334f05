#!/bin/sh
# The source tree keeps the rules of tools/check_house, and tools/check_house finds what breaks them.
set -u
command -v python3 >/dev/null || { echo "skipped: no python3"; exit 77; }
python="$(python3 -c 'import sys; print(sys.executable)') -I -S" # once through what may stand before it
source=${PHIZ_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}
check=$source/tools/check_house
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
tree=$work/tree
failed=0
options=--no-compile # but where headers are the matter

complain() {
	echo "FAILED: $*"
	failed=1
}

# put FILE: its text comes from stdin
put() {
	mkdir -p "$tree/$(dirname "$1")"
	cat >"$tree/$1"
}

clean() {
	rm -rf "$tree"
	mkdir -p "$tree/core/base" "$tree/core/graph" "$tree/core/include/phiz" "$tree/train" "$tree/deploy" "$tree/tools"
	cp "$source"/core/include/phiz/status.h "$source"/core/include/phiz/ctx.h "$tree/core/include/phiz/"
	echo '#include <phiz/ctx.h>' | put core/base/alloc.h
}

# finds WANT: running the check on the tree prints a line that starts with WANT, and nothing else
finds() {
	$python "$check" $options --root "$tree" >"$work/out" 2>/dev/null
	status=$?
	[ $status -eq 1 ] || complain "$1: exit status $status"
	[ "$(wc -l <"$work/out")" -eq 1 ] && grep -q "^$1" "$work/out" || { complain "want '$1', got:"; cat "$work/out"; }
}

# passes: running the check on the tree finds nothing
passes() {
	$python "$check" $options --root "$tree" >"$work/out" 2>&1 ||
		{ complain "$1: want nothing, got:"; cat "$work/out"; }
}

# plant WANT FILE: in a clean tree, a file with the text of stdin
plant() {
	clean
	put "$2"
	finds "$1"
}

# The rules, one by one.
clean
echo '#include <phiz/ctx.h>' | put core/include/phiz/graph.h
printf '/* No "core/graph/none.h" in comments. */\n#include <phiz/graph.h>\n' | put core/base/a.c
finds 'core/base/a.c:2: include: base must not include graph'
plant 'core/base/a.c:1: include: "phiz/none.h" is not in the tree' core/base/a.c <<-'END'
	#include <phiz/none.h>
END
for arrow in 'train deploy' 'deploy train' 'deploy datasets' 'datasets train' 'core/base tools' \
	'core/image core/graph' 'core/tensor core/cpu' 'core/cpu core/nn' 'core/cpu core/cuda' 'core/nn core/io' \
	'core/io datasets' 'core/io tools'; do
	from=${arrow% *} to=${arrow#* }
	clean
	echo '#include <phiz/ctx.h>' | put "$to/x.h"
	echo "#include \"$to/x.h\"" | put "$from/a.c"
	finds "$from/a.c:1: include: ${from#core/} must not include ${to#core/}"
done
for arrow in 'core/tensor core/base' 'core/io core/nn' 'core/io core/image' 'datasets core/io' 'train datasets' \
	'deploy core/io' 'tools train' 'tools deploy' 'tests tools'; do
	clean
	echo '#include <phiz/ctx.h>' | put "${arrow#* }/x.h"
	echo "#include \"${arrow#* }/x.h\"" | put "${arrow% *}/a.c"
	passes "$arrow"
done
plant 'core/base/a.c:1: include: "alloc.h" is not in the tree' core/base/a.c <<-'END'
	#include "alloc.h"
END
plant 'core/base/a.c:1: include: <threads.h>' core/base/a.c <<-'END'
	#include <threads.h>
END
plant 'core/zoo/a.c:1: include: this place has no layer' core/zoo/a.c <<-'END'
	int phiz_zoo;
END
clean
printf '/* For core/base only. */\n#include <phiz/ctx.h>\n' | sed 's/For/Inside, for/' | put core/base/inside.h
echo '#include "core/base/inside.h"' | put core/graph/a.c
finds 'core/graph/a.c:1: include: core/base/inside.h is for core/base only'

for name in abort exit assert malloc calloc realloc free strdup rand sscanf strerror; do
	printf 'int f(void);\n\nint f(void)\n{\n\t%s(0);\n}\n' $name |
		plant "core/base/a.c:5: banned: $name in library code" core/base/a.c
done
for name in strcpy strcat sprintf gets strtok atoi atof; do
	printf 'int f(void)\n{\n\t%s (0);\n}\n' $name | plant "tools/a.c:3: banned: $name" tools/a.c
	printf 'int f(void)\n{\n\t%s(0);\n}\n' $name | plant "deploy/a.c:3: banned: $name" deploy/a.c
done
for name in printf fprintf puts putchar perror; do
	printf 'int f(void)\n{\n\t%s(0);\n}\n' $name | plant "train/a.c:3: print: $name" train/a.c
done
printf 'f(stdout);\n' | plant 'train/a.c:1: print: stdout' train/a.c
printf 'list_done(x, free);\n' | plant 'train/a.c:1: banned: free' train/a.c
clean
put core/base/alloc.c <<-'END'
	/* free(x) in a comment, "exit(1)" in a text, and names that only look alike. */
	static const char text[] = "exit(1) /* \" printf(";
	void f(void)
	{
		free(malloc(1));
		phiz_free(x), my_exit(1), x->free(y), x.free(y), snprintf(text, 1, "'"), _Static_assert(1, "");
	}
END
put tools/a.c <<-'END'
	int main(void)
	{
		printf("hello\n"), exit(2), free(0);
	}
END
passes 'what is allowed'
printf '\nint main(void)\n{\n}\n' | plant 'deploy/a.c:2: main' deploy/a.c

plant 'core/graph/x.h:2: cuda: cudaStream_t' core/graph/x.h <<-'END'
	/* cudaStream_t in words */
	struct y { struct cudaStream_t *s; };
END
options=
plant 'core/base/x.h:1: header: does not compile alone as C' core/base/x.h <<-'END'
	static inline size_t f(void);
END
plant 'core/include/phiz/image.h:1: header: does not compile alone as C++' core/include/phiz/image.h <<-'END'
	int phiz_x(int class);
END
options=--no-compile

printf 'see /%s/me/notes\n' home | plant 'notes.md:1: path' notes.md
printf '# x\nDIR=/%s/main\n' work | plant 'tools/run.sh:2: path' tools/run.sh
clean
printf 'https://example.org/%s/me and build/%s/x and $HOME/%s/x\n' home work root | put notes.md
passes 'paths that are not of a machine'

yes 'int x;' | head -n 801 | plant 'train/a.c:801: lines: 801 lines' train/a.c
printf '\t\t%0113d;\n' 0 | plant 'train/a.c:1: lines: 122 columns' train/a.c
printf 'int x; \n' | plant 'train/a.c:1: lines: blanks' train/a.c
printf 'int x;\r\n' | plant 'train/a.c:1: lines: ends in CR' train/a.c
printf 'int x;' | plant 'train/a.c:1: lines: the last line' train/a.c
head -c 300000 /dev/zero | plant 'tests/golden/a.bin:1: size' tests/golden/a.bin
head -c 300000 /dev/zero | plant 'deploy/trunks/a.bin:1: size' deploy/trunks/a.bin
head -c 24000000 /dev/zero | plant 'deploy/trunks/a.phiz:1: size' deploy/trunks/a.phiz
clean
head -c 300000 /dev/zero | put deploy/trunks/a.phiz
passes 'a trunk of less than 23 MB'

# Symbols: a small library with a counter and a stray name.
if command -v cc >/dev/null && command -v objdump >/dev/null; then
	mkdir "$work/build"
	cat >"$work/count.c" <<-'END'
		extern int phiz_f(void), stray(void);
		static const char *const names[] = {"a", "b"};
		const char *phiz_name(int i);
		const char *phiz_name(int i) { return names[i]; }
		int phiz_f(void) { static int calls; return ++calls; }
		int stray(void) { return 0; }
	END
	(cd "$work/build" && cc -O1 -fPIC -c ../count.c && ar rc libphiz.a count.o && cc -shared -o libphiz.so count.o)
	clean
	$python "$check" $options --root "$tree" --build "$work/build" >"$work/out" 2>/dev/null &&
		complain "symbols: nothing found"
	grep -q '^count:1: symbol: calls.* is a variable' "$work/out" ||
		{ complain "symbols: the counter"; cat "$work/out"; }
	grep -q 'symbol: stray is exported' "$work/out" || { complain "symbols: the export"; cat "$work/out"; }
	[ "$(wc -l <"$work/out")" -eq 2 ] || { complain "symbols: more than that"; cat "$work/out"; }
fi

$python "$check" --root "$work/none" nonsense >/dev/null 2>&1
[ $? -eq 2 ] || complain "an unknown rule is not refused"
$python "$check" --nonsense >/dev/null 2>&1
[ $? -eq 2 ] || complain "an unknown option is not refused"

# The tree itself.
$python "$check" --root "$source" ${PHIZ_BUILD:+--build "$PHIZ_BUILD"} ||
	complain "the source tree breaks rules (see above)"
exit $failed
