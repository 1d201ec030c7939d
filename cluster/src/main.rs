//! `oci-link-cluster` carries the records of linked containers between hosts, over etcd. Everything is in the library, so
//! that fuzz targets reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    oci_link_cluster::main()
}
