//! An end for system calls that would wait for ever: this thread's are interrupted.

use crate::error::{Context, Kind, Result};
use nix::libc;
use nix::sys::signal::{
    SaFlags, SigAction, SigEvent, SigHandler, SigSet, SigevNotify, Signal, sigaction,
};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use nix::unistd::gettid;
use std::time::Duration;

/// Between a first interruption that came a moment before the call, and the next.
const AGAIN: Duration = Duration::from_millis(100);

extern "C" fn nothing(_: libc::c_int) {}

/// Rings until it is dropped.
#[derive(Debug)]
pub(crate) struct Alarm {
    _timer: Timer,
    /// Whoever started us wants it ignored, in the programs that we start too.
    ignored: bool,
}

impl Alarm {
    /// Rings after `time`, and then again and again.
    #[allow(unsafe_code)]
    pub(crate) fn after(time: Duration) -> Result<Self> {
        let handler =
            SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler does nothing.
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

/// What nix calls `SigevThreadId`, and has where the C library is glibc.
#[allow(unsafe_code)]
fn to_this_thread() -> SigEvent {
    let notify = SigevNotify::SigevSignal { signal: Signal::SIGALRM, si_value: 0 };
    let mut event = SigEvent::new(notify);
    // SAFETY: the pointer is to the event, which nobody else has yet.
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
            // SAFETY: no handler is given.
            let _ = unsafe { sigaction(Signal::SIGALRM, &ignore) };
        }
    }
}
