//! Weights before they are packed, and the order in which their outputs stand in panels.

use std::ops::Range;

use burn::tensor::{DType, Tensor, TensorData};
use half::bf16;
use half::slice::HalfFloatSliceExt;

use super::tile::PANEL;
use crate::Error;
use crate::cpu::host::host;

/// The values of a weight, flat, as a checkpoint stores them or as a merge makes them.
#[derive(Debug)]
pub(crate) enum WeightValues {
    F32(Vec<f32>),
    Bf16(TensorData),
}

impl WeightValues {
    /// Reads a tensor of the CPU: bf16 stays bf16, all else becomes f32.
    pub fn of(tensor: Tensor<1>) -> Result<Self, Error> {
        if tensor.dtype() == DType::BF16 {
            Ok(Self::Bf16(tensor.try_into_data()?))
        } else {
            Ok(Self::F32(host(tensor)?))
        }
    }

    /// The values of an output.
    fn row(&self, range: Range<usize>) -> WeightRow<'_> {
        match self {
            Self::F32(numbers) => WeightRow::F32(&numbers[range]),
            Self::Bf16(numbers) => WeightRow::Bf16(numbers.as_slice().map_or(&[], |numbers| &numbers[range])),
        }
    }
}

/// The inputs of an output.
#[derive(Debug, Clone, Copy)]
pub(super) enum WeightRow<'a> {
    F32(&'a [f32]),
    Bf16(&'a [bf16]),
}

impl WeightRow<'_> {
    /// Whether bf16 holds all values as they are.
    #[cfg(target_arch = "x86_64")]
    fn is_bf16(&self) -> bool {
        match self {
            Self::F32(numbers) => numbers.iter().all(|number| number.to_bits() & 0xffff == 0),
            Self::Bf16(_) => true,
        }
    }

    /// Some of them in f32.
    pub fn read(self, range: Range<usize>, to: &mut [f32]) {
        match self {
            Self::F32(numbers) => to.copy_from_slice(&numbers[range]),
            Self::Bf16(numbers) => numbers[range].convert_to_f32_slice(to),
        }
    }
}

/// Some outputs of a weight: `[outputs, inputs]`, flat, and their bias `[outputs]`.
#[derive(Debug)]
pub(crate) struct WeightPart {
    /// `[outputs, inputs]`
    pub weight: WeightValues,
    /// Rows of the weight.
    pub outputs: usize,
    /// `[outputs]`
    pub bias: Option<Vec<f32>>,
}

/// How a panel's outputs belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Columns {
    /// Each for itself.
    Plain,
    /// Half a panel of the first part, the gates, beside half a panel of the second: gate and factor of a result meet
    /// in a tile.
    Gated,
}

impl Columns {
    /// The numbers of the result that a panel makes.
    pub fn of_panel(self) -> usize {
        match self {
            Self::Plain => PANEL,
            Self::Gated => PANEL / 2,
        }
    }
}

/// Each panel's outputs as (part, output of the part); `None` is padding.
fn order(sizes: &[usize], columns: Columns) -> Vec<[Option<(usize, usize)>; PANEL]> {
    let each = |part: usize| (0..sizes[part]).map(move |output| (part, output));
    match columns {
        Columns::Plain => {
            let all: Vec<_> = (0..sizes.len()).flat_map(each).collect();
            all.chunks(PANEL).map(|chunk| std::array::from_fn(|i| chunk.get(i).copied())).collect()
        }
        Columns::Gated => {
            let half = PANEL / 2;
            let at = |part: usize, output: usize| (output < sizes[part]).then_some((part, output));
            let panel = |first: usize| std::array::from_fn(|i| at(i / half, first + i % half));
            (0..sizes[0]).step_by(half).map(panel).collect()
        }
    }
}

/// A weight's outputs in the order of its panels.
#[derive(Debug)]
pub(super) struct WeightRows<'a> {
    /// The inputs of each panel's outputs.
    pub panels: Vec<[WeightRow<'a>; PANEL]>,
    /// Numbers of a row.
    pub inputs: usize,
}

impl<'a> WeightRows<'a> {
    /// The outputs of all parts; `padding`, a row of zeros, fills the last panel.
    pub fn new(parts: &'a [WeightPart], inputs: usize, columns: Columns, padding: &'a [f32]) -> Self {
        let sizes: Vec<usize> = parts.iter().map(|part| part.outputs).collect();
        let row = |place: Option<(usize, usize)>| match place {
            None => WeightRow::F32(padding),
            Some((part, output)) => parts[part].weight.row(output * inputs..(output + 1) * inputs),
        };
        Self { panels: order(&sizes, columns).into_iter().map(|panel| panel.map(row)).collect(), inputs }
    }

    /// The outputs of each strip of so many, panel after panel.
    pub fn strips(&self, strip: usize) -> Vec<&[WeightRow<'a>]> {
        self.panels.iter().flat_map(|panel| panel.chunks(strip)).collect()
    }

    /// Whether bf16 holds all values as they are.
    #[cfg(target_arch = "x86_64")]
    pub fn are_bf16(&self) -> bool {
        self.panels.iter().flatten().all(WeightRow::is_bf16)
    }
}

/// Each panel's biases, if any part has some.
pub(super) fn bias(parts: &[WeightPart], columns: Columns) -> Option<Vec<[f32; PANEL]>> {
    parts.iter().any(|part| part.bias.is_some()).then(|| {
        let sizes: Vec<usize> = parts.iter().map(|part| part.outputs).collect();
        let bias = |place: Option<(usize, usize)>| {
            place.and_then(|(part, output)| Some(parts[part].bias.as_ref()?[output])).unwrap_or(0.0)
        };
        order(&sizes, columns).into_iter().map(|panel| panel.map(bias)).collect()
    })
}
