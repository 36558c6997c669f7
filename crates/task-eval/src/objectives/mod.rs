//! What a search can make small without any label: distance from another model's predictions, and perplexity.
//!
//! A [`Calibration`] holds token texts. A [`Teacher`] keeps what one model predicts after each of their tokens and
//! says how far another's predictions are from that; [`negative_log_likelihoods`] says how surprising the texts
//! themselves are. Both give one value per text, so that a search can race candidates on pairs. How the values of
//! several tasks become one objective is the search's affair: `recipe_search::Objective`.

mod calibration;
mod error;
mod logit_reader;
mod logits_model;
mod perplexity;
mod prompts;
mod teacher;
mod text_files;
mod top_tokens;

pub use calibration::{Calibration, CalibrationOptions};
pub use error::ObjectiveError;
pub use logits_model::LogitsModel;
pub use perplexity::{negative_log_likelihoods, negative_log_likelihoods_of, perplexity};
pub use teacher::Teacher;
