//! What every row of a table says of itself, in one line.

/// Implements [`tailor_registry::Entry`], in one of two ways.
///
/// `entry!(Type, name, summary, parameters)` is for a unit struct, which is one row; `parameters` may be left out.
/// `entry!(Type)` is for a struct with the fields `name` and `summary` and without parameters: each value of it is a
/// row.
macro_rules! entry {
    ($type:ty) => {
        impl tailor_registry::Entry for $type {
            fn name(&self) -> &str {
                self.name
            }

            fn summary(&self) -> &str {
                self.summary
            }
        }
    };
    ($type:ty, $name:literal, $summary:expr $(, $parameters:expr)?) => {
        impl tailor_registry::Entry for $type {
            fn name(&self) -> &str {
                $name
            }

            fn summary(&self) -> &str {
                $summary
            }

            $(fn parameters(&self) -> &[tailor_registry::Parameter] {
                const PARAMETERS: &[tailor_registry::Parameter] = $parameters;
                PARAMETERS
            })?
        }
    };
}
pub(crate) use entry;
