//! The table of kernels: which instructions multiply, what they need of the processor, and of the weights.

use super::product::{Kernel, Packed, PackedWeights};
use super::vectors::{F32Kernel, WidenedBf16};
use super::weights::WeightRows;
#[cfg(target_arch = "x86_64")]
use super::x86::{Amx, Avx512, EXACT};

/// The type in which weights are kept and multiplied; sums are in f32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Products {
    /// Weights and activations in f32, exact to the rounding of sums.
    F32,
    /// Both rounded to bf16.
    Bf16,
}

/// Of kernels that take the registers of any processor.
const ANY: &str = "any";

/// A row of the table.
#[derive(Debug)]
struct KernelRow {
    /// What the processor must have, as [`instruction_sets`] shows it, or [`ANY`].
    instruction_set: &'static str,
    /// What it multiplies.
    products: Products,
    /// Asks the processor.
    is_available: fn() -> bool,
    /// Lays weights out. `None`: the processor lacks the instructions, or the kernel does not take these weights.
    pack: fn(&WeightRows<'_>) -> Option<Box<dyn PackedWeights>>,
}

impl KernelRow {
    /// The row of a kernel's type.
    const fn of<K: Kernel>(instruction_set: &'static str, products: Products) -> Self {
        Self { instruction_set, products, is_available: || K::detect().is_some(), pack: pack::<K> }
    }
}

/// All kernels of this architecture. Of those that multiply one type, the fastest stands first, and one of any
/// registers last.
static KERNELS: &[KernelRow] = &[
    #[cfg(target_arch = "x86_64")]
    KernelRow::of::<Amx<EXACT>>("AMX-BF16", Products::F32),
    KernelRow::of::<F32Kernel>(ANY, Products::F32),
    #[cfg(target_arch = "x86_64")]
    KernelRow::of::<Amx<1>>("AMX-BF16", Products::Bf16),
    #[cfg(target_arch = "x86_64")]
    KernelRow::of::<Avx512>("AVX512-BF16", Products::Bf16),
    KernelRow::of::<WidenedBf16>(ANY, Products::Bf16),
];

/// Lays weights out for a kernel, if it is there and takes them.
fn pack<K: Kernel>(rows: &WeightRows<'_>) -> Option<Box<dyn PackedWeights>> {
    let kernel = K::detect().filter(|kernel| kernel.takes(rows))?;
    Some(Box::new(Packed::new(kernel, rows)))
}

/// The kernels that the products of a model may use, the fastest first.
#[derive(Debug, Clone)]
pub(crate) struct Kernels {
    /// What they multiply.
    pub products: Products,
    /// In the table's order.
    rows: Vec<&'static KernelRow>,
}

impl Kernels {
    /// All that this processor has.
    pub fn best(products: Products) -> Self {
        Self { products, rows: available().filter(|row| row.products == products).collect() }
    }

    /// Lays weights out for the first kernel that takes them; those of any registers take all.
    pub(super) fn pack(&self, rows: &WeightRows<'_>) -> Box<dyn PackedWeights> {
        let packed = self.rows.iter().find_map(|row| (row.pack)(rows));
        packed.unwrap_or_else(|| match self.products {
            Products::F32 => Box::new(Packed::new(F32Kernel::new(), rows)),
            Products::Bf16 => Box::new(Packed::new(WidenedBf16::new(), rows)),
        })
    }
}

#[cfg(test)]
impl Kernels {
    /// Each kernel that this processor has, by itself.
    pub fn each(products: Products) -> Vec<Self> {
        let rows = available().filter(|row| row.products == products);
        rows.map(|row| Self { products, rows: vec![row] }).collect()
    }

    /// The instruction set of the fastest one.
    pub fn name(&self) -> &'static str {
        self.rows.first().map_or(ANY, |row| row.instruction_set)
    }
}

/// The rows whose kernels this processor has.
fn available() -> impl Iterator<Item = &'static KernelRow> {
    KERNELS.iter().filter(|row| (row.is_available)())
}

/// The instruction sets of this processor that kernels of the table use, the newest last.
pub(crate) fn instruction_sets() -> Vec<&'static str> {
    let mut sets: Vec<&str> = available().map(|row| row.instruction_set).filter(|set| *set != ANY).collect();
    sets.reverse();
    sets.dedup();
    sets
}
