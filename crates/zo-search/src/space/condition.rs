//! When a dimension takes part.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Domain;
use crate::{Point, Value};

/// When a dimension is active: its parent is active, and this holds of the parent's value.
///
/// ```
/// # use zo_search::{Condition, Point};
/// let both = Condition::AtLeast { parent: "sources".into(), count: 2 };
/// assert!(both.holds(&Point::new().with_mask("sources", [true, true, false])));
/// assert!(!both.holds(&Point::new()), "the parent is inactive");
/// assert_eq!(both.to_string(), "at least 2 set in `sources`");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Condition {
    /// The parent has this value.
    Is {
        /// The parent.
        parent: String,
        /// The value.
        value: Value,
    },
    /// The parent has another value than this one.
    IsNot {
        /// The parent.
        parent: String,
        /// The value.
        value: Value,
    },
    /// The item is in the parent, a subset.
    Inside {
        /// The parent.
        parent: String,
        /// The item.
        item: usize,
    },
    /// The item is not in the parent, a subset.
    Outside {
        /// The parent.
        parent: String,
        /// The item.
        item: usize,
    },
    /// The parent, a mask, has at least so many bits set.
    AtLeast {
        /// The parent.
        parent: String,
        /// How many.
        count: usize,
    },
}

impl Condition {
    /// The dimension that it looks at.
    #[must_use]
    pub fn parent(&self) -> &str {
        match self {
            Self::Is { parent, .. }
            | Self::IsNot { parent, .. }
            | Self::Inside { parent, .. }
            | Self::Outside { parent, .. }
            | Self::AtLeast { parent, .. } => parent,
        }
    }

    /// Whether it holds in a point; never if the parent is inactive there.
    #[must_use]
    pub fn holds(&self, point: &Point) -> bool {
        match (self, point.get(self.parent())) {
            (Self::Is { value, .. }, Some(found)) => value == found,
            (Self::IsNot { value, .. }, Some(found)) => value != found,
            (Self::Inside { item, .. }, Some(Value::Subset(items))) => items.contains(item),
            (Self::Outside { item, .. }, Some(Value::Subset(items))) => !items.contains(item),
            (Self::AtLeast { count, .. }, Some(Value::Mask(bits))) => bits.iter().filter(|bit| **bit).count() >= *count,
            _ => false,
        }
    }

    /// Whether a value of the parent's domain can meet it, the frozen items of a subset aside.
    pub(crate) fn fits(&self, domain: &Domain) -> bool {
        match (self, domain) {
            (Self::Is { value, .. }, domain) => domain.contains(value),
            (Self::IsNot { value, .. }, domain) => domain.contains(value) && domain.varies(),
            (Self::Inside { item, .. } | Self::Outside { item, .. }, Domain::Subset { n, .. }) => item < n,
            (Self::AtLeast { count, .. }, Domain::Mask { n }) => count <= n,
            _ => false,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is { parent, value } => write!(f, "`{parent}` = {value}"),
            Self::IsNot { parent, value } => write!(f, "`{parent}` is not {value}"),
            Self::Inside { parent, item } => write!(f, "{item} inside `{parent}`"),
            Self::Outside { parent, item } => write!(f, "{item} outside `{parent}`"),
            Self::AtLeast { parent, count } => write!(f, "at least {count} set in `{parent}`"),
        }
    }
}
