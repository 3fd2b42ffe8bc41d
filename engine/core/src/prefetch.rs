//! A hint to the processor that something will be read soon. Changes nothing but time: with a million jobs, what the
//! next step reads is in no cache, and asking early lets several such reads wait at once.

const LINE_BYTES: usize = 64;

/// All of this will be read soon: for what takes a few cache lines.
#[inline]
pub(crate) fn prefetch<T: ?Sized>(what: &T) {
    let first = std::ptr::from_ref(what).cast::<u8>();
    // At least one, so that an empty text is asked for, too: it costs nothing.
    for line in 0..size_of_val(what).div_ceil(LINE_BYTES).max(1) {
        hint(first.wrapping_add(line * LINE_BYTES));
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
#[inline]
fn hint(address: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch reads nothing that the program could see and cannot fault, whatever the address; every x86-64
    // processor has it.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
}

/// Not said to this kind of processor.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn hint(_: *const u8) {}
