//! AMX-BF16: products of whole tiles, on Xeons from Sapphire Rapids on.
//!
//! A tile register holds 16 rows of 64 bytes: 32 bf16 numbers of 16 rows of activations, 16 pairs of inputs by 16
//! outputs of weights, or 16 x 16 sums in f32. Two tiles of activations by the two of a panel are four tiles of sums:
//!
//! ```text
//!                     tmm6      tmm7         weights, 16 pairs x 16 outputs each
//!    tmm4             tmm0      tmm1         sums of rows 0 to 15
//!    tmm5             tmm2      tmm3         sums of rows 16 to 31
//! ```
//!
//! Linux lets a process use the tiles after it has asked for it. A processor that has them may still be emulated or
//! restricted, so a small product is compared with plain sums before the first use.

use std::arch::asm;
use std::arch::x86_64::{
    __m512i, _mm512_and_si512, _mm512_castps_si512, _mm512_castsi512_ps, _mm512_loadu_si512, _mm512_maskz_loadu_ps,
    _mm512_permutex2var_epi16, _mm512_set1_epi32, _mm512_storeu_si512, _mm512_sub_ps,
};
use std::cell::Cell;
use std::sync::OnceLock;

use super::avx512::Avx512;
use crate::cpu::cache_aligned::CacheAligned;
use crate::cpu::linear::pairs::{pack_row, pair, pairs, panels};
use crate::cpu::linear::product::{GROUP, Kernel, PackedRows, Scratch};
use crate::cpu::linear::tile::PANEL;
use crate::cpu::linear::weights::WeightRows;
use tailor_simd::{InstructionSet, instruction_set};

/// Intel's tiles (Xeons from Sapphire Rapids on): 32 rows by a panel at a time. An activation is as many numbers in
/// bf16.
///
/// With `PIECES` = 1 it is rounded. With 3 it is cut into its first, second and last eight bits: the sum of these is
/// the f32 to its last bit, so that products with weights that are bf16 are those of f32, and only sums are rounded.
/// Intel's oneMKL calls this `float_to_bf16x3`.
#[derive(Debug, Clone, Copy)]
pub(in crate::cpu::linear) struct Amx<const PIECES: usize> {
    /// Private, so that [`Kernel::detect`] alone makes one.
    _detected: (),
}

/// The pieces of an f32.
pub(in crate::cpu::linear) const EXACT: usize = 3;

/// Rows of two tiles.
const ROWS: usize = 32;

/// Whether the processor has the tiles, Linux lets this process use them, and they compute what they should. Asked
/// once.
fn detected() -> bool {
    static DETECTED: OnceLock<bool> = OnceLock::new();
    *DETECTED.get_or_init(|| {
        let has = instruction_set() == Ok(InstructionSet::Amx);
        // The tiles' kernels use AVX-512 beside them.
        cfg!(target_os = "linux") && has && Avx512::detect().is_some() && permitted() && computes()
    })
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

/// Compares a small product with plain sums. Called once processor and system have said yes, and only then.
fn computes() -> bool {
    const INPUTS: usize = 96;
    let amx = Amx::<1> { _detected: () };
    let x: Vec<f32> = (0..ROWS * INPUTS).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    let panel: Vec<u32> = (0..pairs(INPUTS) * PANEL)
        .map(|i| pair((i * 53 % 89) as f32 / 44.0 - 1.0, (i * 29 % 97) as f32 / 48.0 - 1.0))
        .collect();
    let mut scratch = Scratch::default();
    scratch.sums.grow(GROUP);
    let mut packed = vec![0; amx.room(ROWS, INPUTS)];
    amx.pack(&x, INPUTS, &mut packed);
    amx.sums(PackedRows { numbers: &packed, width: amx.width(INPUTS), count: ROWS }, &panel, &mut scratch);
    x.chunks_exact(INPUTS).zip(&*scratch.sums).all(|(x, found)| {
        let expected = (0..PANEL).map(|output| dot(x, panel.iter().skip(output).step_by(PANEL)));
        found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-3)
    })
}

/// The product of a row, rounded to bf16, with the pairs of an output.
fn dot<'a>(x: &[f32], pairs: impl Iterator<Item = &'a u32>) -> f32 {
    let rounded = |x: f32| half::bf16::from_f32(x).to_f32();
    let terms = x.as_chunks::<2>().0.iter().zip(pairs).map(|([first, second], pair)| {
        let [low, high] = [pair << 16, pair & 0xffff_0000].map(f32::from_bits);
        rounded(*first) * low + rounded(*second) * high
    });
    terms.sum()
}

/// Which of a tile's rows and bytes count; as `ldtilecfg` reads it.
#[repr(C, align(64))]
struct TileConfig {
    /// 1: eight tiles.
    palette: u8,
    /// Where an interrupted load goes on.
    start_row: u8,
    reserved: [u8; 14],
    /// Bytes of a row of each tile.
    row_bytes: [u16; 16],
    /// Rows of each tile.
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
    // SAFETY: the process has the permission, and the configuration is one of palette 1: eight tiles of 16 rows of 64
    // bytes.
    unsafe { asm!("ldtilecfg [{config}]", config = in(reg) &raw const config, options(nostack, readonly)) }
}

impl<const PIECES: usize> Kernel for Amx<PIECES> {
    type X = u32;
    type W = u32;

    fn detect() -> Option<Self> {
        detected().then_some(Self { _detected: () })
    }

    /// In three pieces, a product is exact only if the weights are bf16.
    fn takes(self, rows: &WeightRows<'_>) -> bool {
        PIECES == 1 || rows.are_bf16()
    }

    fn panels(self, rows: &WeightRows<'_>) -> CacheAligned<u32> {
        panels(rows, PANEL, pairs(rows.inputs))
    }

    /// All rows that are left, up to two tiles.
    fn step(self, left: usize) -> usize {
        left.min(ROWS)
    }

    /// The pieces of a row stand one after the other for each 32 inputs.
    fn width(self, inputs: usize) -> usize {
        PIECES * pairs(inputs)
    }

    /// Weights have one piece.
    fn weights(self, inputs: usize) -> usize {
        pairs(inputs)
    }

    /// The tiles are read whole.
    fn room(self, rows: usize, inputs: usize) -> usize {
        rows.next_multiple_of(ROWS) * self.width(inputs)
    }

    /// Rows stay rows; those that are missing to two tiles are whatever stood there, as nothing reads their sums.
    fn pack(self, x: &[f32], inputs: usize, packed: &mut [u32]) {
        for (row, x) in packed.chunks_exact_mut(self.width(inputs)).zip(x.chunks_exact(inputs)) {
            if PIECES == EXACT {
                // SAFETY: `self` is there, and `detect` asked for AVX-512 too.
                unsafe { cut(x, row) }
            } else {
                pack_row(x, row);
            }
        }
    }

    fn sums(self, x: PackedRows<'_, u32>, panel: &[u32], scratch: &mut Scratch) {
        configure();
        for (rows, x) in x.steps(|left| self.step(left)) {
            let (count, tiles) = (rows.len(), &mut scratch.sums[rows.start..]);
            // SAFETY: `self` is there, so `detect` has found the instructions, and the tiles are set up.
            unsafe { tile::<PIECES>(x, panel, count, tiles) }
        }
    }
}

/// One tile of rows by a panel, or two; the tiles of this thread are set up.
unsafe fn tile<const PIECES: usize>(x: &[u32], panel: &[u32], rows: usize, sums: &mut [[f32; PANEL]]) {
    let pairs = panel.len() / PANEL;
    let rows = if rows <= ROWS / 2 { ROWS / 2 } else { ROWS };
    assert!(
        pairs >= TILE && x.len() >= rows * PIECES * pairs && sums.len() >= rows,
        "`room` makes room for whole tiles, `pairs` pads the inputs, groups are whole steps"
    );
    // SAFETY: there are pairs / 16 steps, each of which reads 2,048 bytes of `panel` and, PIECES times, 64 bytes of
    // each of 16 or 32 rows of `x`, which is how long they are. The stores fill so many rows of `sums`.
    unsafe {
        if rows == ROWS {
            two_tiles::<PIECES>(x, panel, pairs, sums);
        } else {
            one_tile::<PIECES>(x, panel, pairs, sums);
        }
    }
}

/// Pairs of a row of a tile.
const TILE: usize = 16;

/// 32 rows by a panel.
#[inline(always)]
unsafe fn two_tiles<const PIECES: usize>(x: &[u32], panel: &[u32], pairs: usize, sums: &mut [[f32; PANEL]]) {
    // SAFETY: the caller's.
    unsafe {
        asm!(
            "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
            "2:",
            "tileloadd tmm6, [{b} + {sb}*1]",
            "tileloadd tmm7, [{b} + {sb}*1 + 64]",
            "mov {p:e}, {pieces}",
            "3:",
            "tileloadd tmm4, [{a0} + {sa}*1]",
            "tileloadd tmm5, [{a1} + {sa}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {a0}, 64", "add {a1}, 64",
            "dec {p:e}",
            "jnz 3b",
            "add {b}, 2048",
            "dec {n}",
            "jnz 2b",
            "tilestored [{c0} + {sb}*1], tmm0",
            "tilestored [{c0} + {sb}*1 + 64], tmm1",
            "tilestored [{c1} + {sb}*1], tmm2",
            "tilestored [{c1} + {sb}*1 + 64], tmm3",
            a0 = inout(reg) x.as_ptr() => _,
            a1 = inout(reg) x.as_ptr().add(TILE * PIECES * pairs) => _,
            b = inout(reg) panel.as_ptr() => _,
            n = inout(reg) pairs / TILE => _,
            p = out(reg) _,
            pieces = const PIECES,
            sa = in(reg) 4 * PIECES * pairs,
            sb = in(reg) 4 * PANEL,
            c0 = in(reg) sums.as_mut_ptr(),
            c1 = in(reg) sums.as_mut_ptr().add(TILE),
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}

/// 16 rows by a panel; the sums of a row are those of [`two_tiles`].
#[inline(always)]
unsafe fn one_tile<const PIECES: usize>(x: &[u32], panel: &[u32], pairs: usize, sums: &mut [[f32; PANEL]]) {
    // SAFETY: the caller's.
    unsafe {
        asm!(
            "tilezero tmm0", "tilezero tmm1",
            "2:",
            "tileloadd tmm6, [{b} + {sb}*1]",
            "tileloadd tmm7, [{b} + {sb}*1 + 64]",
            "mov {p:e}, {pieces}",
            "3:",
            "tileloadd tmm4, [{a} + {sa}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "add {a}, 64",
            "dec {p:e}",
            "jnz 3b",
            "add {b}, 2048",
            "dec {n}",
            "jnz 2b",
            "tilestored [{c} + {sb}*1], tmm0",
            "tilestored [{c} + {sb}*1 + 64], tmm1",
            a = inout(reg) x.as_ptr() => _,
            b = inout(reg) panel.as_ptr() => _,
            n = inout(reg) pairs / TILE => _,
            p = out(reg) _,
            pieces = const PIECES,
            sa = in(reg) 4 * PIECES * pairs,
            sb = in(reg) 4 * PANEL,
            c = in(reg) sums.as_mut_ptr(),
            out("tmm0") _, out("tmm1") _, out("tmm4") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}

/// A row in its three pieces: of each 32 inputs the pairs of the first, of the second, of the last. The padding is
/// zero.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn cut(x: &[f32], row: &mut [u32]) {
    let high = _mm512_set1_epi32(0xffff_0000_u32.cast_signed());
    const UPPER_HALVES: [u16; 32] = upper_halves();
    // SAFETY: 32 numbers of 16 bits are 512 bits.
    let upper_halves = unsafe { _mm512_loadu_si512(UPPER_HALVES.as_ptr().cast()) };
    for (x, row) in x.chunks(2 * TILE).zip(row.chunks_exact_mut(EXACT * TILE)) {
        let mask = |start: usize| (1_u32 << x.len().saturating_sub(start).min(16)) as u16;
        let mask = [mask(0).wrapping_sub(1), mask(16).wrapping_sub(1)];
        // SAFETY: the masks leave out what is beyond the slice.
        let mut left = unsafe {
            [_mm512_maskz_loadu_ps(mask[0], x.as_ptr()), _mm512_maskz_loadu_ps(mask[1], x.as_ptr().wrapping_add(16))]
        };
        for piece in row.chunks_exact_mut(TILE) {
            let [first, second]: [__m512i; 2] = left.map(|x| _mm512_and_si512(_mm512_castps_si512(x), high));
            let pairs = _mm512_permutex2var_epi16(first, upper_halves, second);
            // SAFETY: the piece is 16 numbers.
            unsafe { _mm512_storeu_si512(piece.as_mut_ptr().cast(), pairs) }
            left = [
                _mm512_sub_ps(left[0], _mm512_castsi512_ps(first)),
                _mm512_sub_ps(left[1], _mm512_castsi512_ps(second)),
            ];
        }
    }
}

/// Where the upper halves of 32 numbers stand in two registers.
const fn upper_halves() -> [u16; 32] {
    let (mut places, mut i) = ([0; 32], 0);
    while i < 32 {
        places[i] = 2 * i as u16 + 1;
        i += 1;
    }
    places
}
