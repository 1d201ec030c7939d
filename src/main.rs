//! The program `oci-link`. Everything is in the library.

#![no_main] // See sys/process/entry.rs.

/// musl's allocator calls mmap and munmap for every larger allocation: see ARCHITECTURE.md.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

oci_link::main!(oci_link::run);
