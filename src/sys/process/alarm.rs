//! A timer that interrupts blocking system calls of the current thread with EINTR.

use crate::error::{Context, Kind, Result};
use nix::libc;
use nix::sys::signal::{
    SaFlags, SigAction, SigEvent, SigHandler, SigSet, SigevNotify, Signal, sigaction,
};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use nix::unistd::gettid;
use std::time::Duration;

/// The interval after the first signal. A signal that arrives just before the system call begins
/// does not interrupt it, so the signal is repeated.
const AGAIN: Duration = Duration::from_millis(100);

extern "C" fn nothing(_: libc::c_int) {}

/// Sends SIGALRM to the thread that created it, until it is dropped.
#[derive(Debug)]
pub(crate) struct Alarm {
    _timer: Timer,
    /// Whether SIGALRM was ignored before. That action is restored on drop because exec inherits
    /// it.
    ignored: bool,
}

impl Alarm {
    /// Sends SIGALRM to this thread after `time`, and then every 100 ms.
    #[allow(unsafe_code)]
    pub(crate) fn after(time: Duration) -> Result<Self> {
        let handler =
            SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler is an empty function.
        let before = unsafe { sigaction(Signal::SIGALRM, &handler) };
        let alarm = before.and_then(|before| {
            let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, to_this_thread())?;
            let expiration = Expiration::IntervalDelayed(time.into(), AGAIN.into());
            timer.set(expiration, TimerSetTimeFlags::empty())?;
            SigSet::from(Signal::SIGALRM).thread_unblock()?;
            Ok(Self { _timer: timer, ignored: matches!(before.handler(), SigHandler::SigIgn) })
        });
        alarm.context(Kind::Internal, || "cannot set a timer")
    }
}

/// Returns an event that sends SIGALRM to this thread.
///
/// nix offers this as `SigevThreadId` for glibc only; the musl build needs it too.
#[allow(unsafe_code)]
fn to_this_thread() -> SigEvent {
    let notify = SigevNotify::SigevSignal { signal: Signal::SIGALRM, si_value: 0 };
    let mut event = SigEvent::new(notify);
    // SAFETY: the pointer refers to `event`, a local variable without other references.
    let raw = unsafe { &mut *event.as_mut_ptr() };
    raw.sigev_notify = libc::SIGEV_THREAD_ID;
    raw.sigev_notify_thread_id = gettid().as_raw();
    event
}

impl Drop for Alarm {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        if self.ignored {
            let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
            // SAFETY: ignoring a signal installs no handler.
            let _ = unsafe { sigaction(Signal::SIGALRM, &ignore) };
        }
    }
}
