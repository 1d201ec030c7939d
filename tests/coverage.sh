#!/bin/sh
# `make coverage`: prints the share of lines of src/lifecycle and src/recovery that the unit tests run,
# and fails below 80 %. Test code is not counted.
set -eu
cd "$(dirname "$0")/.."
least=80
made=${CARGO_TARGET_DIR:-target}/coverage
tools=$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin
[ -x "$tools/llvm-cov" ] || rustup component add llvm-tools

rm -rf "$made"
mkdir -p "$made"
# Only this crate is instrumented, so its dependencies are not built again.
cargo rustc -q --lib --profile test --message-format=json -- -C instrument-coverage >"$made/build.json"
tests=$(sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' "$made/build.json")
LLVM_PROFILE_FILE="$made/%p.profraw" "$tests" --quiet >"$made/tests.log" 2>&1 \
    || { cat "$made/tests.log"; exit 1; }
"$tools/llvm-profdata" merge -sparse -o "$made/profile" "$made"/*.profraw
"$tools/llvm-cov" export -format=lcov -instr-profile="$made/profile" \
    -ignore-filename-regex='/(tests|fakes)(/|\.rs)' "$tests" >"$made/lines"

# A file's test module begins at its first `#[cfg(test)]`.
awk -v least="$least" '
    /^SF:/ {
        file = substr($0, 4)
        part = match(file, /\/src\/(lifecycle|recovery)\//) ? substr(file, RSTART + 1, RLENGTH - 2) : ""
        end = 0
        while (part && (getline text <file) > 0) {
            end++
            if (text ~ /^#\[cfg\(test\)\]/) break
        }
        close(file)
    }
    /^DA:/ && part {
        split(substr($0, 4), line, ",")
        if (line[1] < end) {
            all[part]++
            run[part] += line[2] > 0
        }
    }
    END {
        split("src/lifecycle src/recovery", parts, " ")
        for (at = 1; at in parts; at++) {
            part = parts[at]
            share = all[part] ? 100 * run[part] / all[part] : 0
            printf "%s: %.1f %% of %d lines\n", part, share, all[part]
            if (share < least) low = 1
        }
        if (low) print "below " least " %"
        exit low
    }' "$made/lines"
