//! Writes the questions as task files of lm-evaluation-harness.

use std::error::Error;
use std::fs;
use std::path::Path;

use serde_json::json;

use crate::tasks::{Question, Skill};

/// A question with four answers, the likeliest of which is the model's.
const CHOSEN: &str = "output_type: multiple_choice
doc_to_text: question
doc_to_target: answer
doc_to_choice: choices
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
";

/// The same question, whose answer the model writes out up to a full stop. All of it must be right.
const WRITTEN: &str = r#"output_type: generate_until
doc_to_text: question
doc_to_target: "{{choices[answer]}}"
generation_kwargs:
  until: ["."]
  do_sample: false
  max_gen_toks: 12
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
    regexes_to_ignore: ["^\\s+|\\s+$"]
"#;

/// Writes a JSONL file for each skill and split; a task file for each skill and the group `family` of them; and for
/// lists also a task whose answers are written out.
pub fn write(folder: &Path, splits: &[(&str, [Vec<Question>; 4])]) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder.join("data"))?;
    for (skill, name) in Skill::ALL.iter().map(|skill| skill.name()).enumerate() {
        for (split, questions) in splits {
            let lines: String = questions[skill]
                .iter()
                .map(|q| format!("{}\n", json!({"question": q.prompt, "choices": q.choices, "answer": q.answer})))
                .collect();
            fs::write(folder.join(format!("data/{name}_{split}.jsonl")), lines)?;
        }
        let files: String =
            splits.iter().map(|(split, _)| format!("    {split}: data/{name}_{split}.jsonl\n")).collect();
        let write = |task: &str, kind: &str| {
            let text = format!(
                "task: {task}\ndataset_path: json\ndataset_kwargs:\n  data_files:\n{files}training_split: train\n\
                 validation_split: validation\ntest_split: test\n{kind}metadata:\n  version: 2.0\n"
            );
            fs::write(folder.join(format!("{task}.yaml")), text)
        };
        write(&format!("family_{name}"), CHOSEN)?;
        if name == Skill::Lists.name() {
            write(&format!("family_{name}_written"), WRITTEN)?;
        }
    }
    let tasks: String = Skill::ALL.iter().map(|skill| format!("  - family_{}\n", skill.name())).collect();
    let mean = "aggregate_metric_list:\n  - metric: acc\n    weight_by_size: true\n";
    fs::write(folder.join("family.yaml"), format!("group: family\ntask:\n{tasks}{mean}metadata:\n  version: 2.0\n"))?;
    Ok(())
}
