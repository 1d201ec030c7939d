//! The home directory of a user, by the user database: runtimes clear the variable HOME.

use crate::sys::file::read_followed;
use std::path::{Path, PathBuf};

/// Size limit of the user database in bytes.
const MAX_DATABASE: u64 = 4 << 20;

/// The home directory of the user `uid`. `None` for a user that only a directory service knows.
pub(crate) fn home(uid: u32) -> Option<PathBuf> {
    let database = read_followed(Path::new("/etc/passwd"), MAX_DATABASE).ok()?;
    find(&String::from_utf8_lossy(&database), uid)
}

fn find(database: &str, uid: u32) -> Option<PathBuf> {
    let home = database.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.len() == 7 && fields[2].parse() == Ok(uid)).then(|| PathBuf::from(fields[5]))
    });
    home.filter(|home| home.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_the_home_directory_of_the_database() {
        let database = "root:x:0:0:root:/root:/bin/sh\n# alice:x:1500:1:\n+::::::\nbroken:x:1500\n\
                        alice:x:1500:1500:A, B:/home/alice:/bin/sh\nalso:x:1500:1500::/other:/bin/sh\n\
                        relative:x:7:7::home:/bin/sh\n";
        assert_eq!(find(database, 1500), Some("/home/alice".into()));
        assert_eq!(find(database, 0), Some("/root".into()));
        for uid in [7, 9, u32::MAX] {
            assert_eq!(find(database, uid), None, "{uid}");
        }
    }
}
