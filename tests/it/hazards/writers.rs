//! A process writes to a hosts file in a root filesystem while oci-link replaces it, many times.

use super::scene::isolated;
use crate::{cast::source, support::each_runtime};
use std::{
    collections::HashSet,
    fs,
    io::Write,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

/// How often the link is ended and made again.
const TIMES: usize = 15;

each_runtime! {
    fn a43_lines_written_while_the_file_is_replaced_stay(runtime) {
        let host = isolated(runtime);
        let _db = source(&host, "db", "3306");
        let web = host.container("web").annotate("links", "db").hooks().build();
        web.run().ok();
        let file = web.bundle().join("rootfs/etc/hosts");
        let done = AtomicBool::new(false);
        let write = |line: &String| {
            let mut file = fs::OpenOptions::new().append(true).open(&file).expect("there");
            file.write_all(line.as_bytes()).expect("written");
            drop(file);
            thread::sleep(Duration::from_micros(400));
        };
        let written: Vec<String> = thread::scope(|scope| {
            // With more, the file would be too large.
            let lines = (0..40_000).map(|number| format!("10.0.0.9 line-{number}\n"));
            let unfinished = lines.take_while(|_| !done.load(Relaxed));
            let writer = scope.spawn(|| unfinished.inspect(write).collect());
            for _ in 0..TIMES {
                for words in [["disconnect", "web", "db"], ["connect", "web", "db"]] {
                    host.run(&mut host.oci_link(&words)).ok();
                }
            }
            done.store(true, Relaxed);
            writer.join().expect("it ends")
        });
        let left = fs::read_to_string(&file).expect("readable");
        assert_eq!(left.matches("\tdb db\n").count(), 2, "one block");
        let left: HashSet<&str> = left.split_inclusive('\n').collect();
        let lost = written.iter().filter(|line| !left.contains(line.as_str())).count();
        assert!(written.len() > 100 && lost == 0, "{lost} of {} lines lost", written.len());
    }
}
