#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oci_link_cluster::fuzz::courier(bytes));
