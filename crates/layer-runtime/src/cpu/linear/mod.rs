//! Matrix products whose weights are laid out once, in the order in which the processor's registers take them.
//!
//! A weight `[out, in]` becomes panels of [`PANEL`] outputs. A kernel multiplies a few rows of activations with a panel in
//! registers, over all inputs, and what follows the product (bias, residual sum, gate) happens while the tile is in the cache.
//! The sums of a row run over the inputs in order, whatever the other rows: so a row's result depends on the row alone.

mod bf16;
mod f32;
mod pack;
mod product;
#[cfg(test)]
mod tests;
mod tile;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use bf16::Bf16Kernel;
pub(crate) use pack::{Columns, Numbers, Part};
pub(crate) use product::{Put, Scratch};

use super::lines::Lines;
use product::{Job, product};

/// Outputs of a panel.
pub(crate) const PANEL: usize = 32;

/// A weight `[out, in]`, ready to multiply rows with.
#[derive(Debug)]
pub(crate) struct Linear {
    inputs: usize,
    /// Numbers of a row of the result.
    outputs: usize,
    columns: Columns,
    panels: Panels,
    bias: Option<Vec<[f32; PANEL]>>,
}

#[derive(Debug)]
enum Panels {
    /// `[panels][inputs][PANEL]`
    F32(Lines<f32>),
    /// `[panels][inputs / 2][PANEL]`, two neighbouring inputs in a number, the first one in the lower half.
    Bf16(Lines<u32>, Bf16Kernel),
    /// The same, of weights that are bf16, for products in f32 by tiles.
    #[cfg(target_arch = "x86_64")]
    Exact(Lines<u32>),
}

impl Linear {
    /// Lays the parts' outputs out side by side; in bf16 for `kernel`, in f32 without one.
    pub fn new(parts: &[Part], inputs: usize, columns: Columns, kernel: Option<Bf16Kernel>) -> Self {
        let padding = vec![0.0; inputs];
        let rows = pack::rows(parts, inputs, columns, &padding);
        let panels = match kernel {
            #[cfg(target_arch = "x86_64")]
            None if Bf16Kernel::best().choice() == bf16::Choice::Amx
                && rows.iter().flatten().all(pack::Row::is_bf16) =>
            {
                Panels::Exact(bf16::panels(&rows, inputs))
            }
            None => Panels::F32(f32::panels(&rows, inputs)),
            Some(kernel) => Panels::Bf16(bf16::panels(&rows, inputs), kernel),
        };
        let outputs: usize = parts.iter().map(|part| part.outputs).sum();
        let outputs = if columns == Columns::Gated { outputs / 2 } else { outputs };
        Self { inputs, outputs, columns, panels, bias: pack::bias(parts, columns) }
    }

    /// Numbers of a row of the result.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// What it takes in memory.
    pub fn bytes(&self) -> usize {
        let panels = match &self.panels {
            Panels::F32(panels) => size_of_val::<[_]>(panels),
            Panels::Bf16(panels, _) => size_of_val::<[_]>(panels),
            #[cfg(target_arch = "x86_64")]
            Panels::Exact(panels) => size_of_val::<[_]>(panels),
        };
        panels + self.bias.as_ref().map_or(0, |bias| size_of_val(bias.as_slice()))
    }

    /// `x W^T + b`, `[rows, inputs]` to `[rows, outputs]`; of gated columns silu(gate) * up. With `split`, the panels are shared
    /// out to the threads, for few rows.
    pub fn apply(&self, x: &[f32], out: &mut [f32], put: Put, scratch: &mut Scratch, split: bool) {
        let Self { inputs, outputs, columns, bias, .. } = self;
        let job = Job { inputs: *inputs, outputs: *outputs, columns: *columns, bias: bias.as_deref(), put, split };
        match &self.panels {
            Panels::F32(panels) => product(f32::F32Kernel::new(), &job, x, panels, out, &mut scratch.plain),
            Panels::Bf16(panels, kernel) => match kernel.choice() {
                #[cfg(target_arch = "x86_64")]
                bf16::Choice::Amx => product(x86::Amx::<1>, &job, x, panels, out, &mut scratch.pairs),
                #[cfg(target_arch = "x86_64")]
                bf16::Choice::Avx512 => product(x86::Avx512, &job, x, panels, out, &mut scratch.pairs),
                bf16::Choice::Portable => product(bf16::Portable::new(), &job, x, panels, out, &mut scratch.pairs),
            },
            #[cfg(target_arch = "x86_64")]
            Panels::Exact(panels) => product(x86::Amx::<{ x86::EXACT }>, &job, x, panels, out, &mut scratch.pairs),
        }
    }
}
