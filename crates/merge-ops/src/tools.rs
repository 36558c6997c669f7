//! The toolbox that the methods of this crate are made of: for methods of your own of TIES, DARE, breadcrumbs or Model
//! Stock kind.
//!
//! | to know | take | kind of method |
//! |---|---|---|
//! | which differences are the largest | [`Cut::largest`] | TIES |
//! | which lie between two ranks | a [`Band`] of two [`Edge`]s | breadcrumbs |
//! | the value at a rank | [`magnitude_at`] | quantiles, thresholds |
//! | random numbers by place | [`Draws`] | DARE, DELLA |
//! | a choice for each element | [`Bits`] | DELLA, SCE |
//! | inner products, lengths, angles | [`Vectors::gram`], [`Gram`], [`dot`] | slerp, Model Stock, Karcher |
//! | what does not point in the elected direction | [`against`] | TIES |
//! | any sum over all elements | [`Inputs::sums`](crate::Inputs::sums), [`blocks`] | norms, counts |
//!
//! Everything here reads tensors in blocks, on all threads, and gives the same for any number of threads. In
//! [`MergeOp::prepare`](crate::MergeOp::prepare) a method reads whole tensors by
//! [`Inputs::difference`](crate::Inputs::difference); in [`MergeOp::merge`](crate::MergeOp::merge) it applies what it
//! found to pieces, by the place where a piece begins:
//! ```
//! use merge_ops::tools::Cut;
//! use merge_ops::{Lanes, Numbers, Operand};
//!
//! let tensor = Operand::from_values("w", &[3.0, -1.0, 2.0, -2.0]);
//! let cut = Cut::largest(4, 2, &|range| tensor.values(range)).ok_or("two of four stay")?;
//! assert!(cut.keeps(3.0, 0) && cut.keeps(2.0, 2) && !cut.keeps(-2.0, 3), "of equal magnitudes the first stays");
//! let second_half = cut.apply(Lanes::from(vec![2.0, -2.0]), 2);
//! assert_eq!(*second_half.numbers(), [2.0, 0.0]);
//! # Ok::<(), &str>(())
//! ```
//! A whole method stands in `examples/outside/src/merge_method.rs`.

pub use crate::bits::Bits;
pub use crate::draws::Draws;
pub use crate::gram::{Gram, Vectors, dot};
pub use crate::op::{BLOCK, blocks};
pub use crate::order_statistics::{Read, magnitude_at};
pub use crate::select::{Band, Cut, Edge};

use crate::Numbers;

/// Where numbers do not point in the elected direction: where `negative` is false they are 0 or negative, where it is
/// true they are 0 or positive. `negative` is usually where the sum of all sources' differences is below 0, as TIES
/// elects signs.
///
/// ```
/// use merge_ops::{Lanes, Numbers, tools::against};
///
/// let sums = Lanes::from(vec![2.0, 2.0, -2.0]);
/// let differences = Lanes::from(vec![0.5, -1.0, -3.0]);
/// let against = against(&differences, &sums.lower_elem(0.0));
/// assert_eq!(*differences.mask_fill(&against, 0.0).numbers(), [0.5, 0.0, -3.0]);
/// ```
pub fn against<N: Numbers>(numbers: &N, negative: &N::Mask) -> N::Mask {
    let opposite = numbers.clone().mul_scalar(-1.0);
    numbers.clone().mask_where(negative, &opposite).lower_equal_elem(0.0)
}
