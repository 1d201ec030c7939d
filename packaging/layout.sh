#!/bin/sh
# `make layout`: a linker script that puts the functions of a hook side by side, from where they are
# scattered among those of the other commands: every page of code that is touched is a page fault.
# $1 is the program with its symbols, $2 the addresses that hooks were at, one in a line, in their
# order, $3 the C library that is in it.
set -eu
export LC_ALL=C
program=$1
places=$2
libc=$3

# Each function once, in the order of its first call: symbols and addresses are sorted into one list.
functions() {
    {
        nm --defined-only "$program" | awk '$2 ~ /^[tTiW]$/ { print $1, "at", $3 }'
        awk '{ print $1, "was", NR }' "$places"
    } | sort | awk '$2 == "at" { name = $3 } $2 == "was" && name { print $3, name }' |
        sort -n | awk '!seen[$2]++ { print $2 }'
}

# Functions of Rust by their section: the hashes in their names, which change with every version of
# anything, do not count. Functions of C by the object that has them.
sections() {
    nm -A --defined-only "$libc" 2>/dev/null |
        awk '$2 ~ /^[tTiW]$/ { split($1, part, ":"); print $3, part[2] }' |
        awk -v libc="${libc##*/}" '
            FILENAME == "-" { object[$1] = $2; next }
            /^_R|^main$/ {
                gsub(/Cs[0-9A-Za-z]*_/, "Cs*_")
                sub(/\.llvm\..*/, "*")
                line = "*(.text*." $0 ")"
            }
            !/^_R|^main$/ { line = object[$0] ? "*" libc ":" object[$0] "(.text*)" : "" }
            line && !seen[line]++ { print "        " line }
        ' - "$1"
}

echo '/* Written by `make layout`: the functions that hooks call, in the order of their first call. What is'
echo '   not there any more does no harm; what is new is found by the next one. */'
echo 'SECTIONS {'
echo '    .fini : { KEEP (*(SORT_NONE(.fini))) }'
echo '    .text.hook : {'
echo '        *crt1.o(.text*)'
functions >"$places.functions"
sections "$places.functions"
echo '    }'
echo '}'
echo 'INSERT BEFORE .text;'
