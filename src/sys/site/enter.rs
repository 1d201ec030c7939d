//! Enters the site. A process in the user namespace of a rootless podman starts in the network namespace of
//! the host, to which it cannot return.

use super::candidates::{mounted, of_podman};
use super::namespace::{inode, of_process};
use super::whose::{Whose, whose};
use crate::error::{Context, Kind, Result};
use crate::model::Inode;
use crate::sys::net::bridge::{namespaces_led_to, number_of};
use crate::sys::net::netlink::{Netlink, namespace_cookie};
use crate::sys::process::network;
use nix::sched::{CloneFlags, setns};
use std::cell::Cell;
use std::fs::File;

/// Where this process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// In its own network namespace, which has the bridges.
    Home,
    /// In the site. `origin` is the network namespace that the process came from.
    Site {
        /// The network namespace of the engine.
        origin: Inode,
    },
    /// No network namespace with bridges was found, so no rule can be read or changed.
    Nowhere {
        /// The network namespace of the engine.
        origin: Inode,
    },
}

thread_local! {
    static STANDING: Cell<Standing> = const { Cell::new(Standing::Home) };
}

/// Where this process stands.
pub(crate) fn standing() -> Standing {
    STANDING.get()
}

/// Enters the site if it is another network namespace. With `process`, it is the one that an interface of
/// that process leads to. This process does not come back.
///
/// Without a site this process must not change rules, which `sys::process::network` then refuses.
pub(crate) fn enter(process: Option<i32>) -> Result<()> {
    let Whose::Engine { uid, has_network: false } = whose() else { return Ok(()) };
    if standing() != Standing::Home {
        return Ok(());
    }
    let origin = inode(&of_process("self", "net")?)?;
    let podman = of_podman(uid);
    // Even if the search fails, this process may have left its network namespace.
    STANDING.set(Standing::Nowhere { origin });
    let site = match process {
        Some(pid) => site_of(pid, origin, podman),
        None => Ok(podman.into_iter().next()),
    };
    match site {
        Ok(Some(site)) => go(&site, origin),
        none => {
            network::has_no_site();
            none.map(drop)
        }
    }
}

fn go(site: &File, origin: Inode) -> Result<()> {
    let entered = setns(site, CloneFlags::CLONE_NEWNET).context(Kind::Namespace, || "setns");
    match entered {
        Ok(()) => {
            network::is_in_site();
            STANDING.set(Standing::Site { origin });
        }
        Err(_) => network::has_no_site(),
    }
    entered
}

/// The namespace that an interface of the process leads to, else the first of `podman`. Enters the network
/// namespace of the process.
fn site_of(pid: i32, origin: Inode, mut podman: Vec<File>) -> Result<Option<File>> {
    let theirs = of_process(pid, "net")?;
    let itself = inode(&theirs)?;
    // The network namespace of the host cannot be entered, and neither can that of a user's other engine.
    if itself == origin || setns(&theirs, CloneFlags::CLONE_NEWNET).is_err() {
        return Ok(podman.into_iter().next());
    }
    let mut link = Netlink::route()?;
    let wanted = namespaces_led_to(&mut link)?;
    let mut link = Netlink::route()?;
    let mut leads_to = |file: &File| -> Result<bool> {
        Ok(number_of(&mut link, file)?.is_some_and(|number| wanted.contains(&number)))
    };
    for at in 0..podman.len() {
        if leads_to(&podman[at])? {
            return Ok(Some(podman.swap_remove(at)));
        }
    }
    if wanted.is_empty() {
        // slirp4netns and pasta are processes: their interface leads to no namespace.
        return Ok(podman.into_iter().next());
    }
    let mut known = podman.iter().map(inode).collect::<Result<Vec<_>>>()?;
    known.push(itself);
    for file in mounted(&mut known) {
        if leads_to(&file)? {
            return Ok(Some(file));
        }
    }
    Ok(podman.into_iter().next())
}

/// Enters the site with this cookie. Returns whether there is one.
pub(crate) fn enter_by_cookie(cookie: u64) -> Result<bool> {
    let (Whose::Engine { uid, has_network: false }, true) = (whose(), cookie != 0) else {
        return Ok(false);
    };
    let (Standing::Site { origin } | Standing::Nowhere { origin }) = standing() else {
        return Ok(false);
    };
    let mut files = of_podman(uid);
    let mut known = files.iter().map(inode).collect::<Result<Vec<_>>>()?;
    files.extend(mounted(&mut known));
    let before = matches!(standing(), Standing::Site { .. }).then(|| of_process("self", "net"));
    for file in &files {
        let entered = setns(file, CloneFlags::CLONE_NEWNET).is_ok();
        if entered && namespace_cookie().is_ok_and(|found| found == cookie) {
            go(file, origin)?;
            return Ok(true);
        }
    }
    if let Some(before) = before {
        go(&before?, origin)?;
    }
    Ok(false)
}

/// Whether the engine still has a network namespace with this cookie. Requires that this process is in a site.
pub(crate) fn is_known(cookie: u64) -> bool {
    let (Whose::Engine { uid, .. }, Standing::Site { origin }) = (whose(), standing()) else {
        return false;
    };
    let Ok(before) = of_process("self", "net") else { return true };
    let is_it = |file: &File| {
        let entered = setns(file, CloneFlags::CLONE_NEWNET).is_ok();
        entered && namespace_cookie().is_ok_and(|found| found == cookie)
    };
    let mut files = of_podman(uid);
    let mut known: Vec<Inode> = files.iter().filter_map(|file| inode(file).ok()).collect();
    files.extend(mounted(&mut known));
    let found = files.iter().any(is_it);
    go(&before, origin).is_err() || found
}
