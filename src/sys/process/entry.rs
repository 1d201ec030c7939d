//! Where the kernel and the C library let this program begin.
//!
//! Rust's own start costs a quarter of what starting a program costs: it reads /proc/self/maps and
//! installs handlers, all for a message about a stack that overflowed. A container waits for us, so
//! the C library calls us instead.

#![allow(unsafe_code)] // Each block says why.

use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

/// Makes `run`, which takes the words of the command line and returns the exit status, what this
/// program begins with. The crate it stands in has `#![no_main]`.
#[macro_export]
macro_rules! main {
    ($run:path) => {
        // C knows it by this name, which nothing else in the program has.
        #[allow(unsafe_code)]
        #[unsafe(no_mangle)]
        extern "C" fn main(
            count: ::std::ffi::c_int,
            words: *const *const ::std::ffi::c_char,
        ) -> ::std::ffi::c_int {
            // SAFETY: what the C library hands over is what the kernel gave this process.
            unsafe { $crate::entry::begin(count, words, $run) }
        }
    };
}

/// C's `main`.
///
/// # Safety
/// `words` points to `count` strings, or to fewer and a null pointer.
pub unsafe fn begin(
    count: c_int,
    words: *const *const c_char,
    run: impl FnOnce(&[OsString]) -> u8,
) -> c_int {
    let words: Vec<OsString> = (0..usize::try_from(count).unwrap_or(0))
        // SAFETY: the caller's promise.
        .map(|at| unsafe { *words.add(at) })
        .take_while(|word| !word.is_null())
        // SAFETY: as above; such a string ends with a NUL.
        .map(|word| unsafe { CStr::from_ptr(word) }.to_bytes())
        .map(|word| OsStr::from_bytes(word).to_owned())
        .collect();
    let status = run(&words);
    // As Rust's own start does at the end.
    let _ = std::io::stdout().flush();
    c_int::from(status)
}
