//! The allocator of the program.
//!
//! musl's allocator calls mmap and munmap for every larger allocation. That of the crate `dlmalloc` does not, but its
//! global form takes a lock of the C library for each call: a fifth of all instructions of a hook.

#![allow(unsafe_code)] // Each block states its reason.

use dlmalloc::Dlmalloc;
use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};

/// How much memory is taken from the kernel at a time, in bytes. It takes no pages until they are written to. A hook
/// needs one piece: the buffers of its netlink sockets are most of it.
const PIECE: usize = 512 << 10;

/// A heap behind a lock that spins. The program has one thread, so the lock is always free.
pub struct Allocator {
    is_taken: AtomicBool,
    heap: UnsafeCell<Dlmalloc>,
}

// SAFETY: `heap` is used by `with` only, which one thread at a time gets through.
unsafe impl Sync for Allocator {}

impl Allocator {
    /// An empty heap.
    #[must_use]
    pub const fn new() -> Self {
        let mut heap = Dlmalloc::new();
        assert!(heap.set_granularity(PIECE));
        Self { is_taken: AtomicBool::new(false), heap: UnsafeCell::new(heap) }
    }

    #[inline]
    fn with<T>(&self, act: impl FnOnce(&mut Dlmalloc) -> T) -> T {
        while self.is_taken.swap(true, Ordering::Acquire) {
            spin_loop();
        }
        // SAFETY: the flag was free and is taken now, so no other reference exists. `act` calls functions of the heap,
        // which do not allocate from it through this type.
        let done = act(unsafe { &mut *self.heap.get() });
        self.is_taken.store(false, Ordering::Release);
        done
    }
}

impl Default for Allocator {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: each function passes its arguments to the heap's function of the same contract.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the contract of `alloc` is that of `malloc`.
        self.with(|heap| unsafe { heap.malloc(layout.size(), layout.align()) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller states that `memory` was allocated here with `layout`.
        self.with(|heap| unsafe { heap.free(memory, layout.size(), layout.align()) });
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the contract of `alloc_zeroed` is that of `calloc`.
        self.with(|heap| unsafe { heap.calloc(layout.size(), layout.align()) })
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller states that `memory` was allocated here with `layout`, and `size` is not 0.
        self.with(|heap| unsafe { heap.realloc(memory, layout.size(), layout.align(), size) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn threads_share_the_heap() {
        static HEAP: Allocator = Allocator::new();
        let fill = |byte: u8| {
            for size in (1..2000).chain([PIECE, 3 * PIECE]) {
                let layout = Layout::from_size_align(size, 16).unwrap();
                // SAFETY: sizes are not 0, and each piece is used within its size and freed once.
                unsafe {
                    let memory = HEAP.alloc(layout);
                    memory.write_bytes(byte, size);
                    let memory = HEAP.realloc(memory, layout, 2 * size);
                    let is_kept = (0..size).all(|at| memory.add(at).read() == byte);
                    assert!(is_kept, "{size} bytes of {byte}");
                    HEAP.dealloc(memory, Layout::from_size_align(2 * size, 16).unwrap());
                    let zeros = HEAP.alloc_zeroed(layout);
                    assert!((0..size).all(|at| zeros.add(at).read() == 0));
                    HEAP.dealloc(zeros, layout);
                }
            }
        };
        thread::scope(|scope| (1..5).for_each(|byte| drop(scope.spawn(move || fill(byte)))));
    }
}
