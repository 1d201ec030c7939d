//! The C `main` function of the programs, used in place of Rust's start-up code.
//!
//! Rust's start-up code reads /proc/self/maps and installs signal handlers, only to print a message
//! at a stack overflow. That takes a quarter of the time needed to start a program, and each
//! container start waits for it.

#![allow(unsafe_code)] // Every block has a SAFETY comment.

use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

/// Defines the C function `main`, which calls `run`.
///
/// `run` takes the command-line arguments and returns the exit status. The crate that uses this
/// macro must have `#![no_main]`.
#[macro_export]
macro_rules! main {
    ($run:path) => {
        // The C library calls the symbol `main`, which no other function in the program has.
        #[allow(unsafe_code)]
        #[unsafe(no_mangle)]
        extern "C" fn main(
            count: ::std::ffi::c_int,
            words: *const *const ::std::ffi::c_char,
        ) -> ::std::ffi::c_int {
            // SAFETY: the C library passes the argument vector that the kernel created for this
            // process.
            unsafe { $crate::entry::begin(count, words, $run) }
        }
    };
}

/// Calls `run` with the command-line arguments and returns its exit status.
///
/// Flushes standard output at the end.
///
/// # Safety
/// `words` points to an array of `count` C strings. A null pointer may end the array earlier.
pub unsafe fn begin(
    count: c_int,
    words: *const *const c_char,
    run: impl FnOnce(&[OsString]) -> u8,
) -> c_int {
    let words: Vec<OsString> = (0..usize::try_from(count).unwrap_or(0))
        // SAFETY: the caller guarantees `count` elements.
        .map(|at| unsafe { *words.add(at) })
        .take_while(|word| !word.is_null())
        // SAFETY: the caller guarantees that each element is a NUL-terminated string.
        .map(|word| unsafe { CStr::from_ptr(word) }.to_bytes())
        .map(|word| OsStr::from_bytes(word).to_owned())
        .collect();
    let status = run(&words);
    // Rust's start-up code would flush standard output at exit.
    let _ = std::io::stdout().flush();
    c_int::from(status)
}
