//! How glibc's allocator keeps memory.

/// Pieces of this size and more are memory of their own, which goes back to the machine when they are freed, in bytes.
/// It is glibc's own start; left alone, glibc raises it to the largest such piece that was ever freed (mallopt(3)).
#[cfg(target_env = "gnu")]
const OF_THEIR_OWN: libc::c_int = 128 << 10;
/// Heaps that threads share. glibc has eight for each processor, and each keeps what its threads freed.
#[cfg(target_env = "gnu")]
const HEAPS: libc::c_int = 2;

/// Has the allocator keep little of what is freed, for this whole process. Slower where many threads allocate much at
/// once. Of allocators other than glibc's it changes nothing.
pub fn keep_little() {
    #[cfg(target_env = "gnu")]
    for (parameter, value) in [(libc::M_MMAP_THRESHOLD, OF_THEIR_OWN), (libc::M_ARENA_MAX, HEAPS)] {
        // SAFETY: mallopt takes two numbers and the allocator's own lock; what was allocated stays as it is. A value that
        // it does not take changes nothing.
        unsafe { libc::mallopt(parameter, value) };
    }
}
