//! Every built-in function: the Python modules that they come from, and one row for each function.
//!
//! The SHA-256 are those of the Python files in lm-evaluation-harness 0.4.3, 0.4.7, 0.4.9 and 0.4.13, as far as they
//! define the same functions. A new function is a file of its task beside this one, a module here if it has none yet,
//! and a row.

use super::function::FunctionKind::{
    self, Aggregation, Agreement, CountedText, Document, Metric, Program, RightChoices, Samples, Split, Value,
};
use super::function::{BuiltIn, BuiltInRow, PythonModule};
use super::{
    copa, gsm_plus, hellaswag, humaneval, logiqa, mathqa, opencompass, race, record, samples, truthfulqa, wikitext,
    winogrande, wsc, wsc273,
};

const HELLASWAG: PythonModule =
    module("hellaswag", "utils", &["07d23b60b28f2a4f658dcf8440623a63fe6644854ce9b846a114dde980dc1214"]);
const WINOGRANDE: PythonModule = module(
    "winogrande",
    "preprocess_winogrande",
    &["e55327629264a98f1d383fda24645b6779afb53fa0bce2150042b9416b1ae006"],
);
const COPA: PythonModule =
    module("copa", "utils", &["0be98a907db647a518c42c916a61385b64f394cf9d0171b5cb86b7a036282de7"]);
const WSC: PythonModule =
    module("wsc", "preprocess_wsc", &["af369d50024ef69d607630f79c70669b15d0501f3800be9ee46c98bb605d43fa"]);
const WSC273: PythonModule =
    module("wsc273", "utils", &["2c295d37e8d75f58a5ce948839d20cb9971d1c0d7627878291bebd4584c63507"]);
// Before 0.4.13 the question of a cloze was cut to its last five characters instead of losing them: other prompts.
const RACE: PythonModule =
    module("race", "preprocess_race", &["15778ab69ca3b96c3d82618500ad59702ff7ea9dbf09e90e4505abc16ac53ad0"]);
const WIKITEXT: PythonModule =
    module("wikitext", "preprocess_wikitext", &["a44020374b172159bf5be80a64d2c4194c9d5c77284f696ac666361338c8da7d"]);
const TRUTHFULQA: PythonModule =
    module("truthfulqa", "utils", &["d3c827d1e2cd442a1e4738b527a18effd48cbb2aed478c12a652311b5ea4dbc8"]);
const CB: PythonModule = module(
    "cb",
    "aggregate",
    &[
        "fef1a6130774e9cf184493dc596b4b15a6eac054b196f58376009a1151a25869",
        "1a65ad044b6b663a7293c84a70a1d1deb1762897272b4de3328f4b9ad57d847a",
    ],
);
const RECORD: PythonModule =
    module("record", "util", &["274e6430411e2d0376ec516ac191a44b81ecacf89151ba4df5f4107e894e2dfc"]);
const MATHQA: PythonModule =
    module("mathqa", "utils", &["345aa27870efd145f970456632622efc617b299a4d00abc9459242d2c696d342"]);
const LOGIQA: PythonModule =
    module("logiqa", "utils_logiqa", &["46399f40065469d234c0c9e1ef3de9b67e50d5fe1c2c4130607eda2dda268260"]);
// Of this module the samples alone are built: its scores need sympy. Before 0.4.13 two of the four had slips in their
// LaTeX.
const MINERVA_MATH: PythonModule =
    module("minerva_math", "utils", &["e6b10f05b1990d3e82a4414bbf8c04a9f6b7e029c00dfe336a040ecf78acdab0"]);
const MBPP: PythonModule =
    module("mbpp", "utils", &["eecfcc264a63801d4ac478fac80b0f18c3faf16a107baf641a4fd498e81de7df"]);

// Of auto-merge-llm, commit c45aaac; of the first there are two versions, of which one has comments.
const GSM_PLUS: PythonModule = module(
    "gsm_plus_mini_custom",
    "utils",
    &[
        "31ea7c3afe00c54d9fdcfa172e3c88bd39e8f6b428738fd4dd5b81f1f3b380a6",
        "6ed27dba490ee828b566e45a3069f9def74bbbbdfd5b7b3a5c99e749d45fe3f5",
    ],
);
const WSC_CUSTOM: PythonModule =
    module("wsc_custom", "utils", &["929c6d092d0a6519d5121f17ca54f75a3ce2a007a764bc1052cca400bf34c8ab"]);
const HUMANEVAL: PythonModule = module(
    "humaneval",
    "utils",
    &[
        "5f77adbf75b4342a6113fea30168ea57b4e5c3877ffd3b4942cb338b3edb2c95",
        "8030bc11d026a64d3a52532f619cac1607648b9fb6e6a00b0976f17bdad5b15c",
        "d3ab0bf79ac491bd7a784029224b863c70d64e11167afd22b01bc9757de318c0",
    ],
);
/// No module beside a task file: these functions are known by their own names alone.
const OPENCOMPASS: PythonModule = module("", "", &[]);

/// The functions, module by module.
const BUILT_INS: &[BuiltInRow] = &[
    row("hellaswag.process_docs", &HELLASWAG, "process_docs", Document(hellaswag::process_docs)),
    row("winogrande.doc_to_text", &WINOGRANDE, "doc_to_text", Value(winogrande::doc_to_text)),
    row("winogrande.doc_to_target", &WINOGRANDE, "doc_to_target", Value(winogrande::doc_to_target)),
    row("winogrande.doc_to_choice", &WINOGRANDE, "doc_to_choice", Value(winogrande::doc_to_choice)),
    row("copa.doc_to_text", &COPA, "doc_to_text", Value(copa::doc_to_text)),
    row("copa.doc_to_target", &COPA, "doc_to_target", Value(copa::doc_to_target)),
    row("copa.doc_to_choice", &COPA, "doc_to_choice", Value(copa::doc_to_choice)),
    row("wsc.doc_to_text", &WSC, "default_doc_to_text", Value(wsc::doc_to_text)),
    row("wsc273.process_docs", &WSC273, "process_doc", Document(wsc273::process_docs)),
    row("race.doc_to_text", &RACE, "doc_to_text", Value(race::doc_to_text)),
    row("race.doc_to_target", &RACE, "doc_to_target", Value(race::doc_to_target)),
    row("race.doc_to_choice", &RACE, "doc_to_choice", Value(race::doc_to_choice)),
    row("wikitext.doc_to_target", &WIKITEXT, "wikitext_detokenizer", Value(wikitext::detokenized)),
    row("wikitext.process_results", &WIKITEXT, "process_results", CountedText(wikitext::counted_text)),
    row("truthfulqa.process_results_mc2", &TRUTHFULQA, "process_results_mc2", RightChoices(truthfulqa::right_choices)),
    row("cb.macro_f1", &CB, "cb_multi_fi", Aggregation("macro_f1")),
    row("record.process_docs", &RECORD, "process_docs", Document(record::process_docs)),
    row("record.doc_to_text", &RECORD, "doc_to_text", Value(record::doc_to_text)),
    row("record.doc_to_target", &RECORD, "doc_to_target", Value(record::doc_to_target)),
    row("record.doc_to_choice", &RECORD, "doc_to_choice", Value(record::doc_to_choice)),
    row("record.process_results", &RECORD, "process_results", Agreement(record::agreement)),
    row("mathqa.doc_to_choice", &MATHQA, "doc_to_choice", Value(mathqa::doc_to_choice)),
    row("logiqa.doc_to_text", &LOGIQA, "doc_to_text", Value(logiqa::doc_to_text)),
    row("logiqa.doc_to_target", &LOGIQA, "doc_to_target", Value(logiqa::doc_to_target)),
    row("minerva_math.list_fewshot_samples", &MINERVA_MATH, "list_fewshot_samples", Samples(samples::minerva_math)),
    row("gsm_plus_mini_custom.process_docs", &GSM_PLUS, "process_docs", Split(gsm_plus::process_docs)),
    row("wsc_custom.doc_to_text", &WSC_CUSTOM, "default_doc_to_text", Value(wsc::custom_doc_to_text)),
    row("opencompass.labelled", &OPENCOMPASS, "", Split(opencompass::labelled)),
    row("opencompass.first_summaries", &OPENCOMPASS, "", Split(opencompass::first_summaries)),
    row("opencompass.mark_spans", &OPENCOMPASS, "", Document(opencompass::mark_spans)),
    row("humaneval.build_predictions", &HUMANEVAL, "build_predictions", Program(humaneval::build_predictions)),
    row("humaneval.pass_at_k", &HUMANEVAL, "pass_at_k", Metric("pass_at_k")),
    row("mbpp.pass_at_1", &MBPP, "pass_at_1", Metric("pass_at_1")),
    row("mbpp.list_fewshot_samples", &MBPP, "list_fewshot_samples", Samples(samples::mbpp)),
];

/// A module of the harness: the folder of its task file, its name, and the SHA-256 of the versions that say the same.
const fn module(folder: &'static str, name: &'static str, sources: &'static [&'static str]) -> PythonModule {
    PythonModule { folder, name, sources }
}

/// A function: its name for `!native`, its module, its name in that module, and what it is for.
const fn row(
    name: &'static str,
    module: &'static PythonModule,
    function: &'static str,
    kind: FunctionKind,
) -> BuiltInRow {
    BuiltInRow { name, module, function, kind }
}

impl BuiltIn {
    /// The function that `!function module.function` means in a task file that lies in a folder of this name; None if
    /// it is not built in.
    pub(crate) fn of_python(folder: &str, function: &str) -> Option<Self> {
        let (module, function) = function.split_once('.')?;
        let is_meant =
            |row: &&BuiltInRow| (row.module.folder, row.module.name, row.function) == (folder, module, function);
        BUILT_INS.iter().find(is_meant).map(Self)
    }

    /// The function that `!native name` means; None if it is not built in.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        BUILT_INS.iter().find(|row| row.name == name).map(Self)
    }
}
