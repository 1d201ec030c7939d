use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

/// A directory of its own, which is removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().canonicalize().unwrap();
        let path = path.join(format!("oci-link-cluster-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
        Self(path)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn place(name: &str) -> Place {
    Place::of_spool(name).unwrap()
}

#[test]
fn a_comparison_writes_the_difference_and_removes_the_rest() {
    let scratch = Scratch::new("difference");
    let mut spool = Spool::open(&scratch.0).unwrap();
    for name in ["b~1.offer", "b~2.offer", "b.host"] {
        assert_eq!(spool.put(&place(name), b"{}").unwrap(), Put::Written);
    }
    drop(spool);
    fs::write(scratch.0.join("junk"), "").unwrap();
    let mut spool = Spool::open(&scratch.0).unwrap();
    assert_eq!(spool.len(), 3, "a new process knows what is there");
    spool.begin();
    assert_eq!(spool.put(&place("b~1.offer"), b"{}").unwrap(), Put::Same);
    assert_eq!(spool.put(&place("b.host"), b"{ }").unwrap(), Put::Written);
    assert_eq!(scratch.names().len(), 4, "nothing is removed before the end");
    spool.finish().unwrap();
    assert_eq!(scratch.names(), ["b.host", "b~1.offer", "junk"]);
    spool.remove(&place("b~1.offer")).unwrap();
    spool.remove(&place("b~1.offer")).unwrap();
    assert_eq!(scratch.names(), ["b.host", "junk"]);
    let mode = fs::metadata(scratch.0.join("b.host")).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o640);
}

#[test]
fn links_in_the_spool_are_replaced_and_not_followed() {
    let scratch = Scratch::new("links");
    let target = Scratch::new("links-target");
    let outside = target.0.join("file");
    fs::write(&outside, "outside").unwrap();
    for name in ["b~1.offer", ".new", "b.host"] {
        symlink(&outside, scratch.0.join(name)).unwrap();
    }
    let mut spool = Spool::open(&scratch.0).unwrap();
    spool.begin();
    assert_eq!(spool.put(&place("b~1.offer"), b"outside").unwrap(), Put::Written);
    spool.finish().unwrap();
    assert_eq!(fs::read(&outside).unwrap(), b"outside");
    assert_eq!(scratch.names(), ["b~1.offer"]);
    assert!(fs::symlink_metadata(scratch.0.join("b~1.offer")).unwrap().is_file());
}

#[test]
fn a_spool_that_others_can_change_is_refused() {
    let scratch = Scratch::new("refused");
    let refused = |path: &Path| Spool::open(path).err().expect("refused").to_string();
    fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o770)).unwrap();
    assert!(refused(&scratch.0).contains("mode 0770"));
    fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o750)).unwrap();
    let link = scratch.0.join("link");
    symlink(&scratch.0, &link).unwrap();
    assert!(refused(&link).contains("a link leads to it"));
    assert!(refused(&scratch.0.join("missing")).contains("No such file"));
}

#[test]
fn one_process_at_a_time_writes() {
    let scratch = Scratch::new("lock");
    assert!(!Seen::read(&scratch.0).unwrap().runs);
    let spool = Spool::open(&scratch.0).unwrap();
    assert!(Seen::read(&scratch.0).unwrap().runs);
    let second = Spool::open(&scratch.0).err().expect("locked");
    assert!(second.to_string().contains("another oci-link-cluster"));
    let view = View::new("boot".to_owned(), Some(7));
    spool.report(&view, &Report::new("a", 1000)).unwrap();
    spool.set_incarnation(b"x").unwrap();
    drop(spool);
    let seen = Seen::read(&scratch.0).unwrap();
    assert!(!seen.runs);
    assert_eq!(seen.view, Some(view));
    assert_eq!(seen.report.unwrap().host, "a");
    assert_eq!(seen.incarnation.as_deref(), Some(&b"x"[..]));
}

#[test]
fn a_directory_in_the_place_of_a_record_stops_nothing() {
    let scratch = Scratch::new("directory");
    fs::create_dir(scratch.0.join("b~1.offer")).unwrap();
    let mut spool = Spool::open(&scratch.0).unwrap();
    spool.begin();
    assert_eq!(spool.put(&place("b~1.offer"), b"1").unwrap(), Put::Full);
    assert_eq!(spool.put(&place("b~2.offer"), b"2").unwrap(), Put::Written);
    spool.remove(&place("b~1.offer")).unwrap();
    spool.begin();
    spool.finish().unwrap();
    assert_eq!(scratch.names(), ["b~1.offer"]);
}

#[test]
fn odd_files_are_not_read() {
    let scratch = Scratch::new("odd");
    let directory = open_directory(&scratch.0).unwrap();
    fs::write(scratch.0.join("large"), vec![0; MAX_RECORD + 1]).unwrap();
    fs::write(scratch.0.join("largest"), vec![0; MAX_RECORD]).unwrap();
    fs::create_dir(scratch.0.join("directory")).unwrap();
    nix::unistd::mkfifo(&scratch.0.join("fifo"), MODE).unwrap();
    for name in ["large", "directory", "fifo", "missing"] {
        assert!(read(&directory, name).is_err(), "{name}");
    }
    assert_eq!(read(&directory, "largest").unwrap().len(), MAX_RECORD);
}
