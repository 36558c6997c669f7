//! The values that one dimension can have.

use std::fmt;
use std::ops::RangeInclusive;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::Value;
use crate::random::{pick, sample_items, shuffle};

/// The values that one dimension can have.
///
/// ```
/// # use zo_search::{Domain, Value, generator, TrialId};
/// let domain = Domain::Subset { n: 6, k: 3, least: Some(2), always: vec![0], never: vec![5] };
/// assert_eq!(domain.to_string(), "subset of 2 to 3 of 6 with [0] without [5]");
/// assert!(domain.contains(&Value::Subset(vec![0, 4])) && !domain.contains(&Value::Subset(vec![3, 4])));
/// let near = domain.mutate(&Value::Subset(vec![0, 4]), &mut generator(7, "example", TrialId(0)));
/// assert!(domain.contains(&near));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Domain {
    /// Reals from `low` to `high`; with `log`, evenly spread over the logarithm.
    Float {
        /// Smallest value.
        low: f64,
        /// Largest value.
        high: f64,
        /// Whether the logarithm is what is spread and shifted.
        log: bool,
    },
    /// Integers from `low` to `high`.
    Int {
        /// Smallest value.
        low: i64,
        /// Largest value.
        high: i64,
    },
    /// One of these names, which have no order.
    Categorical {
        /// The names.
        choices: Vec<String>,
    },
    /// Yes or no for each of `n` items.
    Mask {
        /// How many items.
        n: usize,
    },
    /// `k` of `n` items, or from `least` to `k` of them.
    Subset {
        /// How many items there are.
        n: usize,
        /// How many are chosen at most; without `least`, exactly.
        k: usize,
        /// How many are chosen at least, where the number is free.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        least: Option<usize>,
        /// Items that are always chosen, rising.
        always: Vec<usize>,
        /// Items that are never chosen, rising.
        never: Vec<usize>,
    },
    /// An order of `n` items.
    Permutation {
        /// How many items.
        n: usize,
    },
}

impl Domain {
    /// The name of the values' type.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Float { .. } => "float",
            Self::Int { .. } => "integer",
            Self::Categorical { .. } => "categorical",
            Self::Mask { .. } => "mask",
            Self::Subset { .. } => "subset",
            Self::Permutation { .. } => "permutation",
        }
    }

    /// What is wrong with the declaration, if anything.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        match self {
            Self::Float { low, high, .. } if !(low.is_finite() && high.is_finite()) => {
                Some("its bounds must be finite")
            }
            Self::Float { low, high, .. } if low > high => Some("its lower bound is above the upper one"),
            Self::Float { low, high, .. } if !(high - low).is_finite() => Some("its bounds are too far apart"),
            Self::Float { low, log: true, .. } if *low <= 0.0 => Some("the lower bound of a log-float must be above 0"),
            Self::Int { low, high } if low > high => Some("its lower bound is above the upper one"),
            Self::Categorical { choices } if choices.is_empty() => Some("it has no choices"),
            Self::Categorical { choices } if has_twins(choices) => Some("one of its choices stands there twice"),
            Self::Mask { n: 0 } | Self::Permutation { n: 0 } => Some("it has no items"),
            Self::Subset { n, always, never, .. } if always.iter().chain(never).any(|item| item >= n) => {
                Some("a frozen item is not one of its items")
            }
            Self::Subset { always, never, .. } if always.iter().any(|item| never.contains(item)) => {
                Some("an item is frozen both inside and outside")
            }
            Self::Subset { always, never, .. } if has_twins(always) || has_twins(never) => {
                Some("a frozen item stands there twice")
            }
            Self::Subset { n, k, least, always, never }
                if least.unwrap_or(*k) < always.len()
                    || *k > n.saturating_sub(never.len())
                    || least.is_some_and(|least| least > *k) =>
            {
                Some("its size does not fit its items and the frozen ones")
            }
            _ => None,
        }
    }

    /// Whether `value` (in canonical form) is one of the domain's.
    #[must_use]
    pub fn contains(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Float { low, high, .. }, Value::Float(x)) => (low..=high).contains(&x),
            (Self::Int { low, high }, Value::Int(x)) => (low..=high).contains(&x),
            (Self::Categorical { choices }, Value::Categorical(choice)) => choices.contains(choice),
            (Self::Mask { n }, Value::Mask(bits)) => bits.len() == *n,
            (Self::Subset { n, always, never, .. }, Value::Subset(items)) => {
                self.sizes().contains(&items.len())
                    && items.windows(2).all(|pair| pair[0] < pair[1])
                    && items.iter().all(|item| item < n && !never.contains(item))
                    && always.iter().all(|item| items.contains(item))
            }
            (Self::Permutation { n }, Value::Permutation(items)) => {
                let mut sorted = items.clone();
                sorted.sort_unstable();
                sorted.into_iter().eq(0..*n)
            }
            _ => false,
        }
    }

    /// Whether there is more than one value.
    #[must_use]
    pub fn varies(&self) -> bool {
        match self {
            Self::Float { low, high, .. } => low < high,
            Self::Int { low, high } => low < high,
            Self::Categorical { choices } => choices.len() > 1,
            Self::Mask { .. } => true,
            Self::Subset { k, least, always, .. } => {
                always.len() < *k
                    && (k - always.len() < self.free_items().len() || least.is_some_and(|least| least < *k))
            }
            Self::Permutation { n } => *n > 1,
        }
    }

    /// A value drawn evenly.
    ///
    /// A domain that makes no sense is refused by [`Space::build`](crate::Space::build). Here it gives some value,
    /// which may lie outside of it.
    pub fn sample(&self, rng: &mut (impl Rng + ?Sized)) -> Value {
        match self {
            Self::Float { .. } => self.at_unit(rng.random::<f64>()),
            Self::Int { low, high } => Value::Int(rng.random_range(*low..=*low.max(high))),
            Self::Categorical { choices } => Value::Categorical(pick(choices, rng).cloned().unwrap_or_default()),
            Self::Mask { n } => Value::Mask((0..*n).map(|_| rng.random()).collect()),
            Self::Subset { always, .. } => {
                let sizes = self.sizes();
                let size = if sizes.start() == sizes.end() { *sizes.end() } else { rng.random_range(sizes) };
                let drawn = sample_items(self.free_items(), size.saturating_sub(always.len()), rng);
                Value::Subset(always.iter().copied().chain(drawn).collect()).canonical()
            }
            Self::Permutation { n } => {
                let mut items: Vec<usize> = (0..*n).collect();
                shuffle(&mut items, rng);
                Value::Permutation(items)
            }
        }
    }

    /// How many items a subset may hold, the frozen ones counted in.
    pub(crate) fn sizes(&self) -> RangeInclusive<usize> {
        match self {
            Self::Subset { k, least, .. } => least.map_or(*k, |least| least.min(*k))..=*k,
            _ => 0..=0,
        }
    }

    /// Items of a subset that are not frozen.
    pub(crate) fn free_items(&self) -> Vec<usize> {
        match self {
            Self::Subset { n, always, never, .. } => {
                (0..*n).filter(|item| !always.contains(item) && !never.contains(item)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// A float's place in its range, from 0 to 1; over the logarithm for log-floats.
    pub(crate) fn to_unit(&self, x: f64) -> f64 {
        let Self::Float { low, high, log } = self else { return 0.0 };
        let (x, low, high) = if *log { (libm::log(x), libm::log(*low), libm::log(*high)) } else { (x, *low, *high) };
        if high > low { (x - low) / (high - low) } else { 0.0 }
    }

    /// The float at a place in the range; the inverse of [`Domain::to_unit`].
    pub(crate) fn at_unit(&self, unit: f64) -> Value {
        let Self::Float { low, high, log } = self else { return Value::Float(unit) };
        let x = if *log {
            libm::exp(libm::log(*low) + unit * (libm::log(*high) - libm::log(*low)))
        } else {
            low + unit * (high - low)
        };
        // Not `clamp`, which panics where the bounds make no sense.
        Value::Float(x.max(*low).min(*high)).canonical()
    }
}

/// Whether two of the things are equal.
fn has_twins<T: PartialEq>(things: &[T]) -> bool {
    (1..things.len()).any(|i| things[..i].contains(&things[i]))
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float { low, high, log } => write!(f, "{}float from {low} to {high}", if *log { "log-" } else { "" }),
            Self::Int { low, high } => write!(f, "integer from {low} to {high}"),
            Self::Categorical { choices } => write!(f, "one of {}", choices.join(", ")),
            Self::Mask { n } => write!(f, "mask of {n}"),
            Self::Subset { n, k, least, always, never } => {
                match least {
                    Some(least) => write!(f, "subset of {least} to {k} of {n}")?,
                    None => write!(f, "subset of {k} of {n}")?,
                }
                if !always.is_empty() {
                    write!(f, " with {always:?}")?;
                }
                if !never.is_empty() {
                    write!(f, " without {never:?}")?;
                }
                Ok(())
            }
            Self::Permutation { n } => write!(f, "permutation of {n}"),
        }
    }
}
