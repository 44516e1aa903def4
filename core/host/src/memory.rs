//! How much the C library's heap holds: the memory of plugins, where the hub's own comes from another allocator.

/// Bytes that are in use on the C library's heap, in all its arenas.
#[expect(unsafe_code, reason = "asks the C library")]
pub fn c_heap() -> u64 {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: takes nothing, and gives numbers by value.
        let told = unsafe { libc::mallinfo2() };
        (told.uordblks + told.hblkhd) as u64
    }
    #[cfg(not(target_env = "gnu"))]
    {
        0
    }
}
