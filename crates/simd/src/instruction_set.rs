//! Which instructions are used: the best that the processor has, or fewer if the user says so.

use std::sync::OnceLock;

use pulp::{Arch, WithSimd};

/// The variable that limits the instruction set.
const VARIABLE: &str = "TAILOR_CPU";

/// What the processor has, beyond the oldest of its architecture. Each set contains those before it that its
/// architecture has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InstructionSet {
    /// Single numbers, and what the compiler makes of them.
    Plain,
    /// Registers of 128 bits, on aarch64.
    Neon,
    /// Registers of 256 bits with fused multiply-adds, on x86-64.
    Avx2,
    /// Registers of 512 bits, on x86-64; with its products of bf16 where the processor has them.
    Avx512,
    /// AVX-512 and tiles of bf16, on x86-64.
    Amx,
}

impl InstructionSet {
    const ALL: [Self; 5] = [Self::Plain, Self::Neon, Self::Avx2, Self::Avx512, Self::Amx];

    /// What `TAILOR_CPU` calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Amx => "amx",
        }
    }

    /// The sets of this processor, the best last.
    #[must_use]
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|set| set.is_available()).collect()
    }

    /// Whether the processor has it.
    fn is_available(self) -> bool {
        self == Self::Plain || self.arch().is_some() && (self != Self::Amx || has_tiles())
    }

    /// Its registers, if the processor has them.
    #[cfg(target_arch = "x86_64")]
    fn arch(self) -> Option<Arch> {
        match self {
            Self::Plain => Some(Arch::Scalar),
            Self::Neon => None,
            Self::Avx2 => pulp::x86::V3::try_new().map(Arch::V3),
            Self::Avx512 | Self::Amx => pulp::x86::V4::try_new().map(Arch::V4),
        }
    }

    /// Its registers, if the processor has them.
    #[cfg(target_arch = "aarch64")]
    fn arch(self) -> Option<Arch> {
        match self {
            Self::Plain => Some(Arch::Scalar),
            Self::Neon => pulp::aarch64::Neon::try_new().map(Arch::Neon),
            Self::Avx2 | Self::Avx512 | Self::Amx => None,
        }
    }

    /// Its registers, if the processor has them.
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn arch(self) -> Option<Arch> {
        (self == Self::Plain).then(Arch::new)
    }
}

/// Whether the processor has tiles of bf16. Whether the system lets a process use them is another question.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
fn has_tiles() -> bool {
    use std::arch::x86_64::__cpuid_count;
    // Leaf 7, EDX: 22 is AMX-BF16, 24 is AMX-TILE; leaf 1, ECX: 27 says that the system saves such state.
    let wanted = 1 << 22 | 1 << 24;
    // SAFETY: every x86-64 processor has the instruction. Newer compilers know.
    #[allow(unused_unsafe)]
    let (features, saved) = unsafe { (__cpuid_count(7, 0).edx, __cpuid_count(1, 0).ecx) };
    features & wanted == wanted && saved & 1 << 27 != 0
}

#[cfg(not(target_arch = "x86_64"))]
fn has_tiles() -> bool {
    false
}

/// `TAILOR_CPU` says what cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("TAILOR_CPU is `{value}`; this processor has {available}")]
pub struct Error {
    /// What it says.
    pub value: String,
    /// What it may say, in words.
    pub available: String,
}

/// The set that is used: the best of the processor, or the one that `TAILOR_CPU` names. Asked once; later changes of
/// the variable change nothing.
///
/// # Errors
/// [`Error`] if the variable names no set, or one that the processor lacks. Loops then run with the best.
pub fn instruction_set() -> Result<InstructionSet, Error> {
    static SET: OnceLock<Result<InstructionSet, Error>> = OnceLock::new();
    SET.get_or_init(|| chosen(std::env::var(VARIABLE).ok().as_deref())).clone()
}

/// The set of a value of the variable.
fn chosen(value: Option<&str>) -> Result<InstructionSet, Error> {
    let there = InstructionSet::available();
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(best()) };
    there.iter().copied().find(|set| set.name() == value).ok_or_else(|| {
        let names: Vec<String> = there.iter().map(|set| format!("`{}`", set.name())).collect();
        Error { value: value.to_owned(), available: names.join(", ") }
    })
}

/// The best set of the processor.
fn best() -> InstructionSet {
    InstructionSet::available().pop().unwrap_or(InstructionSet::Plain)
}

/// The registers of [`instruction_set`]. The one place where they are chosen.
#[must_use]
pub fn arch() -> Arch {
    static ARCH: OnceLock<Arch> = OnceLock::new();
    *ARCH.get_or_init(|| {
        let set = instruction_set().unwrap_or_else(|_| best());
        set.arch().unwrap_or_default()
    })
}

/// Runs a loop with the registers of [`arch`]. All that it calls must be `#[inline(always)]`, closures too, or it is
/// compiled for the oldest processor.
pub fn run<K: WithSimd>(kernel: K) -> K::Output {
    arch().dispatch(kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_that_is_there_can_be_chosen_and_no_other() {
        for set in InstructionSet::ALL {
            let found = chosen(Some(set.name()));
            assert_eq!(found.is_ok(), InstructionSet::available().contains(&set), "{found:?}");
        }
        assert_eq!(chosen(None), Ok(best()));
        assert_eq!(chosen(Some("")), Ok(best()));
        let message = chosen(Some("sse9")).map_err(|error| error.to_string());
        assert!(message.is_err_and(|text| text.starts_with("TAILOR_CPU is `sse9`; this processor has `plain`")));
    }

    #[test]
    fn every_processor_has_plain_numbers_first() {
        let there = InstructionSet::available();
        assert_eq!(there[0], InstructionSet::Plain);
        assert!(there.is_sorted());
    }
}
