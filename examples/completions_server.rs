//! Learn how a model behind an OpenAI-compatible server (vLLM, llama-cpp-python) is scored as any other.
//!
//! `cargo run --release -p tailor-examples --example completions_server -- http://localhost:8000/v1/completions MODEL
//! TOKENIZER_FOLDER TASK`

use task_eval::{CompletionsModel, CompletionsOptions, ModelTokenizer, Options, PreparedTask, TaskLibrary};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, name, tokenizer, task] = arguments.as_slice() else {
        return Err("usage: completions_server URL MODEL TOKENIZER_FOLDER TASK".into());
    };
    let mut model = CompletionsModel::new(url, name, CompletionsOptions::default());
    let text = ModelTokenizer::load(tokenizer)?;
    let mut results = Vec::new();
    for task in TaskLibrary::load(&[])?.task(task)? {
        results.push(PreparedTask::new(&task, &text, &Options::default())?.evaluate(&mut model)?);
    }
    println!("{}", task_eval::table(&results, &[]));
    Ok(())
}
