//! What is made of generated answers before they are scored: the table. A filter is a row of it.

mod answers;
mod filter;
pub(crate) mod pipeline;
mod regex;
mod texts;

use tailor_registry::Registry;

pub use filter::{Filter, FilterStep};

/// Every filter.
pub(crate) fn filters() -> Registry<dyn Filter> {
    let rows: [Box<dyn Filter>; 8] = [
        Box::new(regex::Regex),
        Box::new(texts::RemoveWhitespace),
        Box::new(texts::Lowercase),
        Box::new(texts::Uppercase),
        Box::new(texts::Map),
        Box::new(answers::TakeFirst),
        Box::new(answers::TakeFirstK),
        Box::new(answers::MajorityVote),
    ];
    Registry::with_rows("filter", rows)
}
