//! What every row of a table says of itself, in one line.

/// Implements [`tailor_registry::Entry`] for a unit struct: name, summary, and parameters if there are any.
macro_rules! entry {
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
