//! Products of bf16 with the instructions of x86-64: the only unsafe code of Tailor's runtime, behind safe faces.
//!
//! `Amx` and `Avx512` are made of nothing, but used only after their `is_there` said yes; tests hold both against
//! [`Portable`](super::bf16::Portable).
#![allow(unsafe_code)]

use std::arch::asm;
use std::arch::x86_64::{
    __cpuid_count, __m512bh, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_ps,
    _mm512_storeu_ps,
};
use std::cell::Cell;
use std::mem::transmute;

use super::PANEL;
use super::bf16::{Portable, interleave_step, pack_row, pair, pairs};

use super::product::Kernel;
use super::tile::largest;

/// `vdpbf16ps` on registers of 512 bits: AMD from Zen 4 on, Intel's Xeons from Cooper Lake on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx512;

impl Avx512 {
    /// Whether the processor has the instructions.
    pub fn is_there() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512bf16")
    }
}

impl Kernel for Avx512 {
    type X = u32;
    type W = u32;

    fn step(self, left: usize) -> usize {
        largest(&[12, 8, 4, 2, 1], left)
    }

    fn width(self, inputs: usize) -> usize {
        pairs(inputs)
    }

    fn pack(self, x: &[f32], inputs: usize, packed: &mut [u32]) {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
        fn wide(x: &[f32], inputs: usize, packed: &mut [u32]) {
            interleave_step(x, inputs, packed);
        }
        // SAFETY: `is_there`.
        unsafe { wide(x, inputs, packed) }
    }

    fn tile(self, x: &[u32], panel: &[u32], tile: &mut [[f32; PANEL]]) {
        // SAFETY: `is_there`.
        unsafe {
            match tile.len() {
                12 => sums::<12>(x, panel, tile),
                8 => sums::<8>(x, panel, tile),
                4 => sums::<4>(x, panel, tile),
                2 => sums::<2>(x, panel, tile),
                _ => sums::<1>(x, panel, tile),
            }
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn sums<const R: usize>(x: &[u32], panel: &[u32], tile: &mut [[f32; PANEL]]) {
    let mut sums = [[_mm512_setzero_ps(); 2]; R];
    for (x, weights) in x.as_chunks::<R>().0.iter().zip(panel.as_chunks::<PANEL>().0) {
        // SAFETY: both loads stay within the 32 numbers; 512 bits are 512 bits.
        let [first, second]: [__m512bh; 2] =
            unsafe { [0, 16].map(|half| transmute(_mm512_loadu_si512(weights.as_ptr().add(half).cast()))) };
        for (sums, x) in sums.iter_mut().zip(x) {
            // SAFETY: 512 bits are 512 bits.
            let x: __m512bh = unsafe { transmute(_mm512_set1_epi32(x.cast_signed())) };
            sums[0] = _mm512_dpbf16_ps(sums[0], x, first);
            sums[1] = _mm512_dpbf16_ps(sums[1], x, second);
        }
    }
    for (row, sums) in tile.iter_mut().zip(sums) {
        // SAFETY: both stores stay within the 32 numbers.
        unsafe {
            _mm512_storeu_ps(row.as_mut_ptr(), sums[0]);
            _mm512_storeu_ps(row.as_mut_ptr().add(16), sums[1]);
        }
    }
}

/// Intel's tiles (Xeons from Sapphire Rapids on): 32 rows by a panel at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Amx;

/// Rows of two tiles.
const ROWS: usize = 32;

impl Amx {
    /// Whether the processor has the tiles, Linux lets this process use them, and they compute what they should.
    pub fn is_there() -> bool {
        // Leaf 7, EDX: 22 is AMX-BF16, 24 is AMX-TILE; leaf 1, ECX: 27 says that the system saves such state.
        let wanted = 1 << 22 | 1 << 24;
        // SAFETY: every x86-64 processor has the instruction. Newer compilers know.
        #[allow(unused_unsafe)]
        let (features, saved) = unsafe { (__cpuid_count(7, 0).edx, __cpuid_count(1, 0).ecx) };
        let has = features & wanted == wanted && saved & 1 << 27 != 0;
        cfg!(target_os = "linux") && has && permitted() && computes()
    }
}

/// Asks Linux for the tiles' state, `arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)`: without it the first tile
/// instruction ends the process.
fn permitted() -> bool {
    let mut answer: i64 = 158;
    // SAFETY: the call reads two registers and changes this process's permissions only.
    unsafe {
        asm!("syscall", inout("rax") answer, in("rdi") 0x1023, in("rsi") 18, lateout("rcx") _, lateout("r11") _,
            options(nostack));
    }
    answer == 0
}

/// A small product against the portable kernel's.
fn computes() -> bool {
    const INPUTS: usize = 96;
    let x: Vec<f32> = (0..ROWS * INPUTS).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    let panel: Vec<u32> = (0..pairs(INPUTS) * PANEL)
        .map(|i| pair((i * 53 % 89) as f32 / 44.0 - 1.0, (i * 29 % 97) as f32 / 48.0 - 1.0))
        .collect();
    let mut found = [[0.0; PANEL]; ROWS];
    let mut packed = vec![0; Amx.room(ROWS, INPUTS)];
    Amx.pack(&x, INPUTS, &mut packed);
    Amx.tile(&packed, &panel, &mut found);
    x.chunks_exact(INPUTS).zip(&found).all(|(x, found)| {
        let (kernel, mut expected) = (Portable::new(), [[0.0; PANEL]]);
        let mut packed = vec![0; kernel.room(1, INPUTS)];
        kernel.pack(x, INPUTS, &mut packed);
        kernel.tile(&packed, &panel, &mut expected);
        found.iter().zip(&expected[0]).all(|(found, expected)| (found - expected).abs() < 1e-3)
    })
}

/// Which of a tile's rows and bytes count; as `ldtilecfg` reads it.
#[repr(C, align(64))]
struct TileConfig {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// Sets the tiles of this thread up, once.
fn configure() {
    thread_local!(static DONE: Cell<bool> = const { Cell::new(false) });
    if DONE.replace(true) {
        return;
    }
    let first_eight = |value: usize| std::array::from_fn::<usize, 16, _>(|i| if i < 8 { value } else { 0 });
    let config = TileConfig {
        palette: 1,
        start_row: 0,
        reserved: [0; 14],
        row_bytes: first_eight(64).map(|bytes| bytes as u16),
        rows: first_eight(16).map(|rows| rows as u8),
    };
    // SAFETY: the process has the permission, and the configuration is one of palette 1: eight tiles of 16 rows of 64 bytes.
    unsafe { asm!("ldtilecfg [{config}]", config = in(reg) &raw const config, options(nostack, readonly)) }
}

impl Kernel for Amx {
    type X = u32;
    type W = u32;

    fn step(self, left: usize) -> usize {
        left.min(ROWS)
    }

    fn width(self, inputs: usize) -> usize {
        pairs(inputs)
    }

    fn room(self, rows: usize, inputs: usize) -> usize {
        rows.next_multiple_of(ROWS) * pairs(inputs)
    }

    /// Rows stay rows; those that are missing to two tiles are whatever stood there, as nothing reads their sums.
    fn pack(self, x: &[f32], inputs: usize, packed: &mut [u32]) {
        for (row, x) in packed.chunks_exact_mut(pairs(inputs)).zip(x.chunks_exact(inputs)) {
            pack_row(x, row);
        }
    }

    fn tile(self, x: &[u32], panel: &[u32], tile: &mut [[f32; PANEL]]) {
        let pairs = panel.len() / PANEL;
        assert!(pairs >= 16 && x.len() >= ROWS * pairs, "`room` makes room for whole tiles, `pairs` pads the inputs");
        configure();
        let mut sums = [[0.0_f32; PANEL]; ROWS];
        // SAFETY: each step reads 64 bytes of each of 32 rows of `x` and 2,048 bytes of `panel`; there are pairs / 16 steps,
        // which is how long they are. The stores fill `sums`.
        unsafe {
            asm!(
                "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
                "2:",
                "tileloadd tmm4, [{a0} + {sa}*1]",
                "tileloadd tmm6, [{b} + {sb}*1]",
                "tileloadd tmm5, [{a1} + {sa}*1]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{b} + {sb}*1 + 64]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {a0}, 64", "add {a1}, 64", "add {b}, 2048",
                "dec {n}",
                "jnz 2b",
                "tilestored [{c0} + {sb}*1], tmm0",
                "tilestored [{c0} + {sb}*1 + 64], tmm1",
                "tilestored [{c1} + {sb}*1], tmm2",
                "tilestored [{c1} + {sb}*1 + 64], tmm3",
                a0 = inout(reg) x.as_ptr() => _,
                a1 = inout(reg) x.as_ptr().add(16 * pairs) => _,
                b = inout(reg) panel.as_ptr() => _,
                n = inout(reg) pairs / 16 => _,
                sa = in(reg) 4 * pairs,
                sb = in(reg) 4 * PANEL,
                c0 = in(reg) sums.as_mut_ptr(),
                c1 = in(reg) sums.as_mut_ptr().add(16),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
        tile.copy_from_slice(&sums[..tile.len()]);
    }
}
