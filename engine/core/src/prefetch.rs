//! A hint to the processor that something will be read soon. Changes nothing but time: with a million jobs, what the
//! next step reads is in no cache, and asking early lets several such reads wait at once.

/// The first cache line of this will be read soon.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
#[inline]
pub(crate) fn prefetch<T>(what: &T) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch reads nothing that the program could see and cannot fault; every x86-64 processor has it.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(what).cast()) };
}

/// The first cache line of this will be read soon: not said to this kind of processor.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(crate) fn prefetch<T>(_: &T) {}

/// All of this will be read soon: for what takes a few cache lines.
#[inline]
pub(crate) fn prefetch_all<T>(what: &[T]) {
    let step = 64_usize.div_ceil(size_of::<T>().max(1));
    what.iter().step_by(step).for_each(prefetch);
}
