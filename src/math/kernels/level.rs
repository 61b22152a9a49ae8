//! The instruction sets that kernels are compiled for, and the choice among those of the processor.

use std::fmt;
use std::sync::LazyLock;

/// Environment variable with the name of an instruction set to use in place of the best one: for tests of npad itself.
const VARIABLE: &str = "NPAD_TEST_KERNELS";

/// The best level, unless a test asks for another one.
static BEST: LazyLock<Level> = LazyLock::new(|| {
    let best = Level::all().next().unwrap_or(Level(Set::Portable));
    let level = match std::env::var_os(VARIABLE) {
        Some(wanted) => Level::all().find(|level| *level.to_string() == *wanted).unwrap_or_else(|| {
            let known: Vec<String> = Level::all().map(|level| level.to_string()).collect();
            let (wanted, known) = (wanted.to_string_lossy(), known.join(", "));
            log::warn!("{VARIABLE} is '{wanted}', but this processor has {known}: the kernels are those for {best}");
            best
        }),
        None => best,
    };
    log::info!("kernels for {level}");
    level
});

/// An instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// The baseline of the target, without intrinsics. Products are rounded before they are added.
    Portable,
    /// AVX2, FMA and F16C (Intel since 2013, AMD since 2015).
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX2, FMA, F16C and AVX-512 F and VL.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// NEON, which every aarch64 processor has.
    #[cfg(target_arch = "aarch64")]
    Neon,
}

/// An instruction set that this processor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level(Set);

impl Level {
    /// The level that kernels run at.
    pub fn best() -> Self {
        *BEST
    }

    /// All levels of this processor, the best first.
    pub fn all() -> impl Iterator<Item = Self> {
        let sets: &[(Set, bool)] = &[
            #[cfg(target_arch = "x86_64")]
            (
                Set::Avx512,
                has_avx2()
                    && std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512vl"),
            ),
            #[cfg(target_arch = "x86_64")]
            (Set::Avx2, has_avx2()),
            #[cfg(target_arch = "aarch64")]
            (Set::Neon, true),
            (Set::Portable, true),
        ];
        sets.iter().filter(|(_, found)| *found).map(|(set, _)| Self(*set)).collect::<Vec<_>>().into_iter()
    }

    /// The instruction set.
    pub fn set(self) -> Set {
        self.0
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Set::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Set::Neon => "neon",
        })
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("avx2") && has!("fma") && has!("f16c")
}

/// Calls `body::<FMA>` compiled for the instruction set of [`Level::best`].
macro_rules! dispatch {
    ($body:ident ( $($arg:ident : $ty:ty),* ) $(-> $ret:ty)?) => {{
        use $crate::math::kernels::{Level, Set};
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma,f16c")]
        fn avx2($($arg: $ty),*) $(-> $ret)? { $body::<true>($($arg),*) }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512vl")]
        fn avx512($($arg: $ty),*) $(-> $ret)? { $body::<true>($($arg),*) }
        #[allow(unsafe_code)]
        match Level::best().set() {
            // SAFETY: a level is one that the processor has.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { avx512($($arg),*) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { avx2($($arg),*) },
            #[cfg(target_arch = "aarch64")]
            Set::Neon => $body::<true>($($arg),*),
            Set::Portable => $body::<false>($($arg),*),
        }
    }};
}
pub(crate) use dispatch;

/// `a * b + c`, fused where the instruction set has it (elsewhere the fused form would be a library call).
#[inline(always)]
pub(crate) fn fma<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}
