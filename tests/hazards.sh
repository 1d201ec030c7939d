#!/bin/sh
# `make test-hazards`: runs every test of the table in docs/security.md, and prints the table with what
# came of each number.
set -eu
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
logs=${CARGO_TARGET_DIR:-target}/hazards
mkdir -p "$logs"

# The tests of `$1` that bear a number; `$2` may choose among them. Those with youki: make test-youki.
numbered() {
    $cargo test -q --test "$1" -- --list $2 | sed -n 's/: test$//p' | grep -E '(^|::)[afhi][0-9]+_' |
        grep -v '::youki$'
}

# Runs those of `$1` that the list `$3` names, and keeps what came of each.
run() {
    # shellcheck disable=SC2046 # Names of tests are words.
    $cargo test --test "$1" -- --exact $2 $(cat "$logs/$3.names") 2>&1 | tee "$logs/$3.log" || true
    # Which tests failed is said below; a run that did not end says it of none.
    grep -q '^test result: ' "$logs/$3.log" || { echo "$3: not run to the end" >&2; exit 1; }
}

numbered it "" >"$logs/it.names"
numbered it --ignored >"$logs/races.names"
# All of a start, call by call, takes an hour: make test-crash.
numbered crash --ignored | sort >"$logs/crash.later"
# Containers on broken hosts take half an hour: make test-harmless.
numbered harmless --ignored >"$logs/harmless.later"
numbered crash "" | sort | comm -23 - "$logs/crash.later" >"$logs/crash.names"
# What is not tried with both runtimes by itself is tried once more, with the other one.
grep -vE '::(runc|crun)$' "$logs/it.names" >"$logs/other.names"
run it "" it
# They use all processors, so they run alone.
run it --ignored races
(export OCI_LINK_OTHER_RUNTIME=1 && run it "" other)
run crash "" crash

awk -F ' *[|] *' '
    function bears(test, name) { return test == name || index(test, name "::") == 1 }
    FILENAME ~ /crash.later$/ { later["crash::" $0]; next }
    FILENAME ~ /harmless.later$/ { later["harmless::" $0]; next }
    # A log: "test a::b::c ... ok", or with what the test printed in between.
    FILENAME != "docs/security.md" {
        prefix = FILENAME ~ /crash.log$/ ? "crash::" : ""
        if (match($0, /^test [^ ]+ \.\.\. /)) { name = $0; sub(/^test /, "", name); sub(/ .*/, "", name) }
        if (name != "" && match($0, /(ok|FAILED)$/)) {
            # Whichever run it failed in.
            if (came[prefix name] != "FAILED") came[prefix name] = substr($0, RSTART)
            name = ""
        }
        next
    }
    # A row: number, hazard, result, tests.
    /^[|] [AFHI][0-9]+ / {
        ok = 0; bad = ""; where = ""
        count = split($5, words, "`")
        for (at = 2; at <= count; at += 2) {
            found = 0
            for (test in later) if (bears(test, words[at])) found = 1
            for (test in came) if (bears(test, words[at])) {
                found = 1
                if (came[test] == "ok") ok++; else bad = bad "\n     FAILED " test
            }
            if (!found) bad = bad "\n     not run: " words[at]
            file = words[at]; sub(/::[^:]*$/, "", file)
            if (index(where, file) == 0) where = where (where == "" ? "" : ", ") file
        }
        outcome = bad != "" ? "FAILED" : ok > 0 ? "ok (" ok ")" : "-"
        if (bad != "") failed = 1
        if (ok == 0 && bad == "") where = $5
        what = $3; gsub(/`/, "", what)
        printf "%-4s %-62.62s %-8s %s%s\n", $2, what, outcome, where, bad
    }
    END { exit failed }
' "$logs/crash.later" "$logs/harmless.later" "$logs/it.log" "$logs/races.log" "$logs/other.log" "$logs/crash.log" docs/security.md
