//! The program `oci-link`. Everything is in the library.

#![no_main] // See sys/process/entry.rs.

#[global_allocator]
static ALLOCATOR: oci_link::Allocator = oci_link::Allocator::new();

oci_link::main!(oci_link::run);
