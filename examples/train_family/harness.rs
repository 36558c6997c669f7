//! Writes the questions as task files of lm-evaluation-harness.

use std::error::Error;
use std::fs;
use std::path::Path;

use serde_json::json;

use crate::tasks::{Question, Skill};

/// Writes a JSONL file for each skill and split, a task file for each skill, and the group `family`.
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
        let task = format!(
            "task: family_{name}\ndataset_path: json\ndataset_kwargs:\n  data_files:\n{files}training_split: train\n\
             validation_split: validation\ntest_split: test\noutput_type: multiple_choice\n\
             doc_to_text: question\ndoc_to_target: answer\ndoc_to_choice: choices\n\
             metric_list:\n  - metric: acc\n    aggregation: mean\n    higher_is_better: true\n\
             metadata:\n  version: 1.0\n"
        );
        fs::write(folder.join(format!("family_{name}.yaml")), task)?;
    }
    let tasks: String = Skill::ALL.iter().map(|skill| format!("  - family_{}\n", skill.name())).collect();
    let mean = "aggregate_metric_list:\n  - metric: acc\n    weight_by_size: true\n";
    fs::write(folder.join("family.yaml"), format!("group: family\ntask:\n{tasks}{mean}metadata:\n  version: 1.0\n"))?;
    Ok(())
}
