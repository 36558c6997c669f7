//! What is made of generated answers before they are scored: the table. A filter is a row of it.
//!
//! The names are the harness's. n is the number of answers that come, one for each of a task's `repeats`.
//!
//! | filter | parameters | answers that leave |
//! |---|---|---|
//! | `regex` | `regex_pattern`, `group_select`, `fallback` | n: what the pattern finds in each |
//! | `remove_whitespace`, `lowercase`, `uppercase` | - | n |
//! | `map` | `mapping_dict`, `default_value` | n |
//! | `take_first` | - | 1; each pipeline ends with it |
//! | `take_first_k` | `k` | k; fewer than that is an error |
//! | `majority_vote` | - | 1 |
//! | `get_answer`, `get_answer_zh`, `get_answer_ja` | - | 1: the number at the end of a worked answer |
//! | `custom` | `filter_fn`, a built-in function | n: programs; the pipeline ends |
//! | `get_code` | - | n: the program in each |
//!
//! Of the harness's other filters `multi_choice_regex` and those of single tasks are not built.

mod answer_number;
mod answers;
mod code;
mod filter;
pub(crate) mod pipeline;
mod regex;
mod texts;

use tailor_registry::Registry;

pub use filter::{Filter, FilterStep};

/// Every filter.
pub(crate) fn filters() -> Registry<dyn Filter> {
    let rows: [Box<dyn Filter>; 12] = [
        Box::new(regex::Regex),
        Box::new(texts::REMOVE_WHITESPACE),
        Box::new(texts::LOWERCASE),
        Box::new(texts::UPPERCASE),
        Box::new(texts::Map),
        Box::new(answers::TakeFirst),
        Box::new(answers::TakeFirstK),
        Box::new(answers::MajorityVote),
        Box::new(answer_number::GET_ANSWER),
        Box::new(answer_number::GET_ANSWER_ZH),
        Box::new(answer_number::GET_ANSWER_JA),
        Box::new(code::GetCode),
    ];
    Registry::with_rows("filter", rows)
}
