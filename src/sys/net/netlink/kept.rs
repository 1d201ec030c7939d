//! Netfilter sockets that are kept open while the host lock is held, and used again.
//!
//! After a deletion from `nf_tables`, the kernel finishes it in close(2) of the next netfilter socket, which
//! takes 7 to 16 ms. That must not be waited for under the host lock, so the sockets are closed after it
//! is released.

use nix::sys::socket::SockProtocol;
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// The most sockets that are kept. More are open at a time only where operations are nested.
const MOST: usize = 4;

type Kept = Option<Vec<Rc<Socket>>>;

thread_local! {
    /// The kept sockets of this thread; `None` while it keeps none.
    ///
    /// `KeptSockets` drops them. A destructor for the thread would make the C library allocate memory
    /// at its registration, in each hook.
    static KEPT: RefCell<ManuallyDrop<Kept>> = const { RefCell::new(ManuallyDrop::new(None)) };
}

/// A connected socket.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) fd: OwnedFd,
    /// Whether an answer may be left to be read.
    pub(super) is_busy: Cell<bool>,
}

/// While it lives, this thread keeps its netfilter sockets. It must not enter another network namespace
/// meanwhile and open one there.
#[derive(Debug)]
pub(crate) struct KeptSockets {
    is_first: bool,
}

impl KeptSockets {
    /// Begins to keep sockets. A second one at the same time changes nothing.
    pub(crate) fn begin() -> Self {
        let is_first = KEPT.with_borrow_mut(|kept| match &mut **kept {
            Some(_) => false,
            None => kept.replace(Vec::new()).is_none(),
        });
        Self { is_first }
    }
}

impl Drop for KeptSockets {
    fn drop(&mut self) {
        if self.is_first {
            drop(ManuallyDrop::into_inner(KEPT.take()));
        }
    }
}

/// Returns a kept socket for `protocol` that is not in use.
pub(super) fn idle(protocol: SockProtocol) -> Option<Rc<Socket>> {
    KEPT.with_borrow(|kept| {
        let mut sockets = kept.iter().flatten().filter(|_| is_kept(protocol));
        sockets.find(|socket| Rc::strong_count(socket) == 1 && !socket.is_busy.get()).cloned()
    })
}

/// Keeps a new socket for `protocol`, if this thread keeps sockets.
pub(super) fn keep(protocol: SockProtocol, socket: &Rc<Socket>) {
    KEPT.with_borrow_mut(|kept| {
        let Some(kept) = kept.as_mut().filter(|_| is_kept(protocol)) else { return };
        kept.retain(|socket| Rc::strong_count(socket) > 1 || !socket.is_busy.get());
        if kept.len() < MOST {
            kept.push(Rc::clone(socket));
        }
    });
}

fn is_kept(protocol: SockProtocol) -> bool {
    protocol == SockProtocol::NetlinkNetFilter
}

#[cfg(test)]
mod tests {
    use super::super::Netlink;
    use super::*;
    use std::os::fd::AsRawFd;

    fn number(link: &Netlink) -> i32 {
        link.socket.fd.as_raw_fd()
    }

    #[test]
    fn an_idle_socket_is_used_again_until_the_lock_is_released() {
        let before = Netlink::netfilter().unwrap();
        let kept = KeptSockets::begin();
        let first = Netlink::netfilter().unwrap();
        let second = Netlink::netfilter().unwrap();
        assert_ne!(number(&first), number(&second), "one of them is in use");
        let (was, watched) = (number(&first), Rc::downgrade(&first.socket));
        drop(first);
        let again = Netlink::netfilter().unwrap();
        assert_eq!(number(&again), was);
        again.socket.is_busy.set(true);
        drop(again);
        drop(KeptSockets::begin());
        let other = Netlink::netfilter().unwrap();
        assert_ne!(number(&other), number(&second));
        assert!(watched.upgrade().is_none(), "what has an answer left is closed");
        drop((other, second, before));
        assert_eq!(KEPT.with_borrow(|kept| kept.as_ref().map(Vec::len)), Some(2));
        drop(kept);
        assert!(idle(SockProtocol::NetlinkNetFilter).is_none());
    }
}
