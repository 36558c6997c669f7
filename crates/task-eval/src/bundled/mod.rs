//! The task files that come with the crate, in a folder that no disk has: `<task-eval>/hellaswag/hellaswag.yaml`.
//!
//! But for `clue`, `fewclue`, `opencompass` and `auto_merge_llm` they are lm-evaluation-harness's own (0.4.13,
//! `tasks/LICENSE-MIT`), unchanged; `tasks/NOTICE` says whose words the prompts of the others are. The files of
//! subjects, which differ in a name alone, are written from a table. A folder's name says which Python functions
//! `!function` means, so the folders are the harness's.

mod subjects;

use std::path::{Component, Path, PathBuf};

/// The folder's name.
const ROOT: &str = "<task-eval>";

/// Puts the files below `tasks/` into a table: path and text.
macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../tasks/", $path)))),*]
    };
}

/// The files below `tasks/`, templates included: path and text.
const FILES: &[(&str, &str)] = files![
    "anli/anli_r1.yaml",
    "anli/anli_r2.yaml",
    "anli/anli_r3.yaml",
    "arc/arc_challenge.yaml",
    "arc/arc_easy.yaml",
    "auto_merge_llm/commonsense_custom.yaml",
    "auto_merge_llm/gsm8k_test.yaml",
    "auto_merge_llm/gsm_ja.yaml",
    "auto_merge_llm/gsm_plus_mini.yaml",
    "auto_merge_llm/mbpp_custom.yaml",
    "auto_merge_llm/piqa_custom.yaml",
    "auto_merge_llm/wsc_custom.yaml",
    "boolq/default.yaml",
    "cb/default.yaml",
    "ceval/_ceval-valid.yaml",
    "ceval/_default_ceval_yaml",
    "clue/c3.yaml",
    "clue/cmnli.yaml",
    "cmmlu/_cmmlu.yaml",
    "cmmlu/_default_template_yaml",
    "commonsense_qa/default.yaml",
    "copa/default.yaml",
    "fewclue/chid.yaml",
    "gsm8k/gsm8k-cot.yaml",
    "gsm8k/gsm8k.yaml",
    "hellaswag/hellaswag.yaml",
    "humaneval/humaneval.yaml",
    "lambada/lambada_openai.yaml",
    "lambada/lambada_standard.yaml",
    "logiqa/logiqa.yaml",
    "mathqa/mathqa.yaml",
    "mbpp/mbpp.yaml",
    "mmlu/_default_template_yaml",
    "mmlu/_mmlu.yaml",
    "mmlu/_mmlu_humanities.yaml",
    "mmlu/_mmlu_other.yaml",
    "mmlu/_mmlu_social_sciences.yaml",
    "mmlu/_mmlu_stem.yaml",
    "multirc/default.yaml",
    "nq_open/nq_open.yaml",
    "openbookqa/openbookqa.yaml",
    "opencompass/_cmmlu_template_yaml",
    "opencompass/_gptailor_cmmlu.yaml",
    "opencompass/_gptailor_mmlu.yaml",
    "opencompass/_gptailor_paper.yaml",
    "opencompass/_mmlu_template_yaml",
    "opencompass/gptailor_boolq.yaml",
    "opencompass/gptailor_c3.yaml",
    "opencompass/gptailor_chid.yaml",
    "opencompass/gptailor_cmnli.yaml",
    "opencompass/gptailor_csqa.yaml",
    "opencompass/gptailor_hellaswag.yaml",
    "opencompass/gptailor_piqa.yaml",
    "opencompass/gptailor_race_high.yaml",
    "opencompass/gptailor_race_middle.yaml",
    "opencompass/gptailor_wsc_gen.yaml",
    "opencompass/gptailor_wsc_ppl.yaml",
    "opencompass/gptailor_xsum.yaml",
    "piqa/piqa.yaml",
    "race/race.yaml",
    "record/default.yaml",
    "rte/default.yaml",
    "sciq/sciq.yaml",
    "siqa/siqa.yaml",
    "swag/swag.yaml",
    "triviaqa/default.yaml",
    "truthfulqa/truthfulqa_mc1.yaml",
    "truthfulqa/truthfulqa_mc2.yaml",
    "wic/default.yaml",
    "wikitext/wikitext.yaml",
    "winogrande/default.yaml",
    "wsc/default.yaml",
    "wsc273/default.yaml",
];

/// Whether the path lies in the crate's folder.
pub(crate) fn holds(path: &Path) -> bool {
    path.starts_with(ROOT)
}

/// The text of one of the crate's files.
pub(crate) fn text(path: &Path) -> Option<String> {
    let path = without_parents(path.strip_prefix(ROOT).ok()?);
    let file = FILES.iter().find(|(name, _)| Path::new(name) == path);
    file.map(|(_, text)| (*text).to_owned()).or_else(|| subjects::text(&path))
}

/// The path without `FOLDER/..`, by which files include those of other folders.
fn without_parents(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

/// The paths of all of the crate's task files, without the templates that they include.
pub(crate) fn yaml_files() -> Vec<PathBuf> {
    let written = FILES.iter().map(|(path, _)| (*path).to_owned()).filter(|path| path.ends_with(".yaml"));
    written.chain(subjects::paths()).map(|path| Path::new(ROOT).join(path)).collect()
}
