//! Every built-in function. The SHA-256 are those of the Python files in lm-evaluation-harness 0.4.3, 0.4.7, 0.4.9 and
//! 0.4.13, as far as they define the same function.

use super::function::{BuiltIn, BuiltInRow, FunctionKind};
use super::{copa, hellaswag, logiqa, mathqa, race, record, samples, truthfulqa, wikitext, winogrande, wsc, wsc273};

const HELLASWAG: &[&str] = &["07d23b60b28f2a4f658dcf8440623a63fe6644854ce9b846a114dde980dc1214"];
const WINOGRANDE: &[&str] = &["e55327629264a98f1d383fda24645b6779afb53fa0bce2150042b9416b1ae006"];
const COPA: &[&str] = &["0be98a907db647a518c42c916a61385b64f394cf9d0171b5cb86b7a036282de7"];
const WSC: &[&str] = &["af369d50024ef69d607630f79c70669b15d0501f3800be9ee46c98bb605d43fa"];
const WSC273: &[&str] = &["2c295d37e8d75f58a5ce948839d20cb9971d1c0d7627878291bebd4584c63507"];
// Before 0.4.13 the question of a cloze was cut to its last five characters instead of losing them: other prompts.
const RACE: &[&str] = &["15778ab69ca3b96c3d82618500ad59702ff7ea9dbf09e90e4505abc16ac53ad0"];
const WIKITEXT: &[&str] = &["a44020374b172159bf5be80a64d2c4194c9d5c77284f696ac666361338c8da7d"];
const TRUTHFULQA: &[&str] = &["d3c827d1e2cd442a1e4738b527a18effd48cbb2aed478c12a652311b5ea4dbc8"];
const CB: &[&str] = &[
    "fef1a6130774e9cf184493dc596b4b15a6eac054b196f58376009a1151a25869",
    "1a65ad044b6b663a7293c84a70a1d1deb1762897272b4de3328f4b9ad57d847a",
];
const RECORD: &[&str] = &["274e6430411e2d0376ec516ac191a44b81ecacf89151ba4df5f4107e894e2dfc"];
const MATHQA: &[&str] = &["345aa27870efd145f970456632622efc617b299a4d00abc9459242d2c696d342"];
const LOGIQA: &[&str] = &["46399f40065469d234c0c9e1ef3de9b67e50d5fe1c2c4130607eda2dda268260"];
// Of these two modules the samples alone are built: their scores need sympy, and a Python that runs what a model
// writes. Before 0.4.13 two of Minerva's four had slips in their LaTeX.
const MINERVA_MATH: &[&str] = &["e6b10f05b1990d3e82a4414bbf8c04a9f6b7e029c00dfe336a040ecf78acdab0"];
const MBPP: &[&str] = &["eecfcc264a63801d4ac478fac80b0f18c3faf16a107baf641a4fd498e81de7df"];

#[rustfmt::skip] // a table: one row a line
const BUILT_INS: &[BuiltInRow] = &[
    row("hellaswag.process_docs", "hellaswag", "utils.process_docs", HELLASWAG, FunctionKind::Document(hellaswag::process_docs)),
    row("winogrande.doc_to_text", "winogrande", "preprocess_winogrande.doc_to_text", WINOGRANDE, FunctionKind::Value(winogrande::doc_to_text)),
    row("winogrande.doc_to_target", "winogrande", "preprocess_winogrande.doc_to_target", WINOGRANDE, FunctionKind::Value(winogrande::doc_to_target)),
    row("winogrande.doc_to_choice", "winogrande", "preprocess_winogrande.doc_to_choice", WINOGRANDE, FunctionKind::Value(winogrande::doc_to_choice)),
    row("copa.doc_to_text", "copa", "utils.doc_to_text", COPA, FunctionKind::Value(copa::doc_to_text)),
    row("copa.doc_to_target", "copa", "utils.doc_to_target", COPA, FunctionKind::Value(copa::doc_to_target)),
    row("copa.doc_to_choice", "copa", "utils.doc_to_choice", COPA, FunctionKind::Value(copa::doc_to_choice)),
    row("wsc.doc_to_text", "wsc", "preprocess_wsc.default_doc_to_text", WSC, FunctionKind::Value(wsc::doc_to_text)),
    row("wsc273.process_docs", "wsc273", "utils.process_doc", WSC273, FunctionKind::Document(wsc273::process_docs)),
    row("race.doc_to_text", "race", "preprocess_race.doc_to_text", RACE, FunctionKind::Value(race::doc_to_text)),
    row("race.doc_to_target", "race", "preprocess_race.doc_to_target", RACE, FunctionKind::Value(race::doc_to_target)),
    row("race.doc_to_choice", "race", "preprocess_race.doc_to_choice", RACE, FunctionKind::Value(race::doc_to_choice)),
    row("wikitext.doc_to_target", "wikitext", "preprocess_wikitext.wikitext_detokenizer", WIKITEXT, FunctionKind::Value(wikitext::detokenized)),
    row("wikitext.process_results", "wikitext", "preprocess_wikitext.process_results", WIKITEXT, FunctionKind::CountedText(wikitext::counted_text)),
    row("truthfulqa.process_results_mc2", "truthfulqa", "utils.process_results_mc2", TRUTHFULQA, FunctionKind::RightChoices(truthfulqa::right_choices)),
    row("cb.macro_f1", "cb", "aggregate.cb_multi_fi", CB, FunctionKind::Aggregation("macro_f1")),
    row("record.process_docs", "record", "util.process_docs", RECORD, FunctionKind::Document(record::process_docs)),
    row("record.doc_to_text", "record", "util.doc_to_text", RECORD, FunctionKind::Value(record::doc_to_text)),
    row("record.doc_to_target", "record", "util.doc_to_target", RECORD, FunctionKind::Value(record::doc_to_target)),
    row("record.doc_to_choice", "record", "util.doc_to_choice", RECORD, FunctionKind::Value(record::doc_to_choice)),
    row("record.process_results", "record", "util.process_results", RECORD, FunctionKind::Agreement(record::agreement)),
    row("mathqa.doc_to_choice", "mathqa", "utils.doc_to_choice", MATHQA, FunctionKind::Value(mathqa::doc_to_choice)),
    row("logiqa.doc_to_text", "logiqa", "utils_logiqa.doc_to_text", LOGIQA, FunctionKind::Value(logiqa::doc_to_text)),
    row("logiqa.doc_to_target", "logiqa", "utils_logiqa.doc_to_target", LOGIQA, FunctionKind::Value(logiqa::doc_to_target)),
    row("minerva_math.list_fewshot_samples", "minerva_math", "utils.list_fewshot_samples", MINERVA_MATH, FunctionKind::Samples(samples::minerva_math)),
    row("mbpp.list_fewshot_samples", "mbpp", "utils.list_fewshot_samples", MBPP, FunctionKind::Samples(samples::mbpp)),
];

const fn row(
    name: &'static str,
    folder: &'static str,
    function: &'static str,
    sources: &'static [&'static str],
    kind: FunctionKind,
) -> BuiltInRow {
    BuiltInRow { name, folder, function, sources, kind }
}

impl BuiltIn {
    /// The function that `!function` means in a task file that lies in a folder of this name.
    pub(crate) fn of_python(folder: &str, function: &str) -> Option<Self> {
        BUILT_INS.iter().find(|row| row.folder == folder && row.function == function).map(Self)
    }

    /// The function that `!native` means.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        BUILT_INS.iter().find(|row| row.name == name).map(Self)
    }
}
