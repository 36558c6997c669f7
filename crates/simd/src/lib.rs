#![doc = include_str!("../README.md")]

mod caches;
mod instruction_set;
mod loops;
mod norm;
mod product;
mod rotary;

pub use caches::{Caches, caches};
pub use instruction_set::{Error, InstructionSet, arch, instruction_set, run};
pub use loops::{exp, exp_sum, map, max, sum, sum_of_products, update};
pub use norm::{RmsNorm, inverse_rms};
pub use product::{Matrix, Number, Store, product};
pub use pulp::{Arch, Simd, WithSimd};
pub use rotary::{Turn, rotate};
