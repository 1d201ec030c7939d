//! Fuzz target: bytes of etcd, of the spool, of `offers` and of a certificate, for every reader of them. It panics if a
//! guarantee is broken. `make fuzz` runs it with libFuzzer, and a unit test on the files in `fuzz/corpus/courier`. Other
//! builds do not contain it.

use crate::certificate::Certificate;
use crate::error::one_line;
use crate::etcd;
use crate::names::{Kind, Place};
use crate::offers;
use crate::spool::{self, MAX_RECORD};
use std::path::{Component, Path};

/// Any bytes, taken for each thing that the courier reads.
///
/// # Panics
///
/// If a guarantee is broken.
pub fn courier(bytes: &[u8]) {
    etcd::fuzz::answer(bytes, MAX_RECORD);
    if let Some(place) = Place::of_key(bytes) {
        assert_eq!(place.key().as_bytes(), bytes);
        stays_in_its_directory(&place);
    }
    if let Ok(name) = std::str::from_utf8(bytes) {
        if let Some(place) = Place::of_spool(name) {
            assert_eq!(place.spool_name(), name);
            stays_in_its_directory(&place);
        }
        if let Some(place) = Place::of_offers("b", name) {
            assert_eq!(place.offers_name().as_deref(), Some(name));
            stays_in_its_directory(&place);
        }
        let line = one_line(name);
        assert!(!line.contains(char::is_control) && line.chars().count() <= 400);
    }
    spool::fuzz::kept(bytes);
    offers::fuzz::events(bytes);
    if let Ok(certificate) = Certificate::parse(bytes) {
        assert!(certificate.common_name.len() <= 3 * bytes.len());
    }
}

/// A place has one key and one file name, and each is read as the same place.
fn stays_in_its_directory(place: &Place) {
    let name = place.spool_name();
    let parts: Vec<Component<'_>> = Path::new(&name).components().collect();
    assert!(matches!(parts[..], [Component::Normal(_)]) && name.len() <= 255, "{name:?}");
    assert!(!name.starts_with('.') && !name.contains(char::is_control), "{name:?}");
    assert_eq!(Place::of_spool(&name).as_ref(), Some(place));
    assert_eq!(Place::of_key(place.key().as_bytes()).as_ref(), Some(place));
    assert_eq!(place.offers_name().is_none(), place.kind == Kind::Presence);
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    #[test]
    fn promises_hold_for_the_corpus() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/courier");
        let files: Vec<_> = fs::read_dir(corpus).unwrap().map(Result::unwrap).collect();
        assert!(files.len() > 5);
        for file in files {
            println!("{}", file.path().display());
            super::courier(&fs::read(file.path()).unwrap());
        }
    }
}
