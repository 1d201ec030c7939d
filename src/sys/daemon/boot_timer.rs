//! A timer that also counts the time during which the machine is suspended.

use crate::error::{Context, Kind, Result};
use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// The timer. Its descriptor is readable once it has expired.
#[derive(Debug)]
pub(crate) struct BootTimer {
    timer: TimerFd,
    set: Option<Duration>,
}

impl BootTimer {
    /// Creates a timer that is not set.
    pub(crate) fn new() -> Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, flags);
        Ok(Self { timer: timer.context(Kind::Internal, || "timerfd")?, set: None })
    }

    /// Sets the time since the boot at which the timer expires. Nothing is done if it is set to that.
    pub(crate) fn set(&mut self, at: Option<Duration>) -> Result<()> {
        if self.set == at {
            return Ok(());
        }
        let done = match at {
            // A time of zero would not set it.
            Some(at) => self.timer.set(
                Expiration::OneShot(TimeSpec::from_duration(at.max(Duration::from_nanos(1)))),
                TimerSetTimeFlags::TFD_TIMER_ABSTIME,
            ),
            None => self.timer.unset(),
        };
        self.set = at;
        done.context(Kind::Internal, || "timerfd")
    }

    /// Makes the descriptor of an expired timer unreadable.
    pub(crate) fn clear(&self) -> Result<()> {
        // TimerFd::wait waits again after EAGAIN.
        match nix::unistd::read(&self.timer, &mut [0; 8]) {
            Ok(_) | Err(Errno::EAGAIN | Errno::EINTR | Errno::ECANCELED) => Ok(()),
            Err(error) => Err(error).context(Kind::Internal, || "timerfd"),
        }
    }
}

impl AsFd for BootTimer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock::since_boot;
    use crate::sys::daemon::epoll::Waiting;

    #[test]
    fn it_expires_once() {
        let (mut timer, waiting) = (BootTimer::new().unwrap(), Waiting::new().unwrap());
        waiting.add(&timer).unwrap();
        let is_over =
            |patience| !waiting.ready(Some(Duration::from_millis(patience))).unwrap().is_empty();
        assert!(!is_over(1), "it is not set");
        timer.set(Some(since_boot() + Duration::from_millis(20))).unwrap();
        assert!(is_over(5000));
        timer.clear().unwrap();
        assert!(!is_over(1));
        timer.clear().unwrap();
        timer.set(Some(Duration::ZERO)).unwrap();
        assert!(is_over(5000), "a time that has passed");
        timer.set(None).unwrap();
        assert!(!is_over(1));
    }
}
