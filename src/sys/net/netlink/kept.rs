//! Netfilter sockets that are kept open while the host lock is held, and used again.
//!
//! After a deletion from `nf_tables`, the kernel finishes it in close(2) of the next netfilter socket, which
//! takes 7 to 16 ms. That must not be waited for under the host lock, so the sockets are closed after it
//! is released. The same holds for elements that go with the next tick of the kernel's clock.

use nix::sys::socket::SockProtocol;
use nix::time::ClockId;
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

/// The most sockets that are kept. More are open at a time only where operations are nested.
const MOST: usize = 4;

/// The tick of a kernel that counts 100 in a second.
const LONGEST_TICK: Duration = Duration::from_millis(10);

type Kept = Option<Vec<Rc<Socket>>>;

thread_local! {
    /// The kept sockets of this thread; `None` while it keeps none.
    ///
    /// `KeptSockets` drops them. A destructor for the thread would make the C library allocate memory
    /// at its registration, in each hook.
    static KEPT: RefCell<ManuallyDrop<Kept>> = const { RefCell::new(ManuallyDrop::new(None)) };
    /// Whether a change of this thread takes effect with the next tick only.
    static ENDS_WITH_A_TICK: Cell<bool> = const { Cell::new(false) };
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
            if ENDS_WITH_A_TICK.take() {
                wait_for_a_tick();
            }
        }
    }
}

/// Waits for the next tick of the kernel's clock: when the host lock is released, or now if it is not held.
pub(crate) fn ends_with_a_tick() {
    if KEPT.with_borrow(|kept| kept.is_some()) {
        ENDS_WITH_A_TICK.set(true);
    } else {
        wait_for_a_tick();
    }
}

/// Waits until the kernel has counted another tick (`CONFIG_HZ`): 1 to 10 ms at most.
pub(crate) fn wait_for_a_tick() {
    let coarse = ClockId::CLOCK_MONOTONIC_COARSE;
    let tick = coarse.res().map_or(LONGEST_TICK, Duration::from);
    let now = |clock: ClockId| clock.now().map_or(Duration::ZERO, Duration::from);
    let (begun, last) = (now(ClockId::CLOCK_MONOTONIC), now(coarse));
    // The coarse clock moves with the ticks.
    let since = begun.saturating_sub(last);
    thread::sleep(tick.saturating_sub(since));
    while now(coarse) == last && now(ClockId::CLOCK_MONOTONIC) < begun + 4 * LONGEST_TICK {
        thread::sleep(tick / 8);
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
