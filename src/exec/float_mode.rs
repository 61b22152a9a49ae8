//! The floating-point mode of a thread: how it rounds, and whether denormals are zero.
//!
//! Hosts change it, some without knowing: a program that was compiled with `-ffast-math` starts with denormals off. Loops that such
//! a thread shares with npad's workers would give results that depend on who computed what, and the workers that it starts would
//! have its mode for ever.
#![allow(unsafe_code)]

/// Runs `work` in the mode in which threads begin, and gives the thread its own mode back.
pub fn in_standard_mode<R>(work: impl FnOnce() -> R) -> R {
    struct Back(u64);
    impl Drop for Back {
        fn drop(&mut self) {
            set(self.0);
        }
    }

    let own = get();
    if own & CONTROL == STANDARD {
        return work();
    }
    set(STANDARD);
    let _back = Back(own);
    work()
}

/// Runs a callback of the host, and gives the thread the mode back that it had before, which the callback may have changed.
pub fn kept<R>(callback: impl FnOnce() -> R) -> R {
    let before = get();
    let outcome = callback();
    if get() & CONTROL != before & CONTROL {
        set(before);
    }
    outcome
}

/// The mode without the flags that operations leave, and what a thread begins with: all exceptions masked.
#[cfg(target_arch = "x86_64")]
const CONTROL: u64 = 0xffc0;
#[cfg(target_arch = "x86_64")]
const STANDARD: u64 = 0x1f80;
#[cfg(not(target_arch = "x86_64"))]
const CONTROL: u64 = u64::MAX;
#[cfg(not(target_arch = "x86_64"))]
const STANDARD: u64 = 0;

#[cfg(target_arch = "x86_64")]
fn get() -> u64 {
    let mut mode = 0u32;
    // SAFETY: writes the register to `mode`.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut mode, options(nostack, preserves_flags)) };
    mode.into()
}

#[cfg(target_arch = "x86_64")]
#[inline(never)]
fn set(mode: u64) {
    let mode = mode as u32;
    // SAFETY: the standard mode, or one that the thread has had.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const mode, options(nostack, preserves_flags)) };
}

#[cfg(target_arch = "aarch64")]
fn get() -> u64 {
    let mode;
    // SAFETY: reads a register.
    unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) mode, options(nomem, nostack, preserves_flags)) };
    mode
}

#[cfg(target_arch = "aarch64")]
#[inline(never)]
fn set(mode: u64) {
    // SAFETY: the standard mode, or one that the thread has had.
    unsafe { std::arch::asm!("msr fpcr, {}", in(reg) mode, options(nostack, preserves_flags)) };
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn get() -> u64 {
    STANDARD
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn set(_: u64) {}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn a_thread_gets_its_own_mode_back() {
        const DENORMALS_ARE_ZERO: u64 = 0x8040;
        let denormal = || black_box(f32::MIN_POSITIVE) * black_box(0.5);
        let own = get() | DENORMALS_ARE_ZERO;
        set(own);
        let there = denormal();
        let inside = in_standard_mode(denormal);
        let outcome = std::panic::catch_unwind(|| in_standard_mode(|| assert!(black_box(false), "on purpose")));
        let after = get();
        set(STANDARD);
        assert!(there == 0.0 && inside > 0.0 && outcome.is_err());
        assert_eq!(after & CONTROL, own & CONTROL);
        kept(|| set(own));
        assert_eq!(get() & CONTROL, STANDARD);
    }
}
