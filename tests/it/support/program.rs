//! The program that is tested.

/// Cargo's, unless `make test-release` names the one that is released.
pub(crate) const OCI_LINK: &str = match option_env!("OCI_LINK_TESTED") {
    Some(released) => released,
    None => env!("CARGO_BIN_EXE_oci-link"),
};
