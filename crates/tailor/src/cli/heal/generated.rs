//! Documents that the teachers write: each goes on from a training prompt of its task.
//!
//! A model that learns what its teacher predicts behind the teacher's own text needs no text of the teacher's training
//! (Liu et al. 2023, LLM-QAT, <https://arxiv.org/abs/2305.17888>, section 3.1).

use std::path::Path;

use blake3::Hasher;
use layer_runtime::{RecipeModel, Sampling};
use recipe_search::write_whole;
use tailor::Error;
use task_eval::{GenerateRequest, LanguageModel as _, ModelTokenizer};

use super::teachers::Teachers;
use super::texts::{Text, Texts};
use super::{Arguments, WorkFolder};
use crate::cli::console::Console;

/// What the teachers write.
#[derive(Debug, clap::Args)]
pub(super) struct GenerateSettings {
    /// So many documents more, written by the teachers: the teacher of a task goes on from a training prompt of it.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub generate: usize,
    /// The most tokens that a teacher adds to a prompt; fewer where it ends by itself.
    #[arg(long, default_value_t = 64)]
    generate_tokens: usize,
    /// The temperature at which a teacher draws its tokens; 0 takes the most likely ones.
    #[arg(long, default_value_t = 1.0)]
    temperature: f32,
}

impl GenerateSettings {
    /// Whether the numbers make sense.
    ///
    /// # Errors
    /// [`Error::BadOption`].
    pub fn check(&self) -> Result<(), Error> {
        if self.generate_tokens == 0 {
            return Err(Error::BadOption { option: "generate-tokens", found: "0".into(), expected: "at least 1" });
        }
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            let found = self.temperature.to_string();
            return Err(Error::BadOption { option: "temperature", found, expected: "at least 0" });
        }
        Ok(())
    }
}

impl Teachers {
    /// The documents that the teachers write, from the training prompts in turn.
    ///
    /// A run that was killed finds what it had written in the work folder.
    ///
    /// # Errors
    /// [`Error::NoPrompt`] without a prompt that leaves room; what the crates say of models that cannot be run; a file
    /// that cannot be written.
    pub fn generate(
        &mut self,
        arguments: &Arguments,
        texts: &Texts,
        tokenizer: &ModelTokenizer,
        work: &WorkFolder,
        console: &Console,
    ) -> Result<Vec<Text>, Error> {
        let (window, count) = (self.window(), arguments.generated.generate);
        let all = texts.training.iter().filter(|text| text.prompt > 0 && text.prompt < window);
        let prompts: Vec<&Text> = all.cycle().take(count).collect();
        if prompts.is_empty() {
            return Err(Error::NoPrompt);
        }
        let path = work.file(&format!("generated-{}.json", &self.key(&prompts, arguments)[..16]));
        let written = match read(&path) {
            Some(known) if known.len() == count => known,
            _ => {
                console.note(&format!("{} write {count} documents", self.names()));
                let written = self.write_documents(&prompts, arguments, tokenizer)?;
                let text = serde_json::to_string(&written);
                let text = text.map_err(|source| Error::Io { path: path.clone(), source: source.into() })?;
                write_whole(&path, &text)?;
                written
            }
        };
        let all = arguments.counts_all();
        let document = |(text, new): (&&Text, Vec<u32>)| Text {
            tokens: [&text.tokens[..text.prompt], &new].concat(),
            from: if all { 1 } else { text.prompt },
            prompt: text.prompt,
            task: text.task,
            wrong: Vec::new(),
        };
        Ok(prompts.iter().zip(written).map(document).collect())
    }

    /// A hash of what the written documents depend on.
    fn key(&self, prompts: &[&Text], arguments: &Arguments) -> String {
        let GenerateSettings { generate_tokens, temperature, .. } = arguments.generated;
        let mut key = Hasher::new();
        key.update(self.files().as_bytes()).update(&arguments.seed.to_le_bytes()).update(&temperature.to_le_bytes());
        key.update(&(generate_tokens as u64).to_le_bytes());
        for text in prompts {
            key.update(self.name_of(text).as_bytes()).update(&(text.prompt as u64).to_le_bytes());
            key.update(bytemuck::cast_slice(&text.tokens[..text.prompt]));
        }
        key.finalize().to_hex().to_string()
    }

    /// What the teacher of each prompt adds to it.
    fn write_documents(
        &mut self,
        prompts: &[&Text],
        arguments: &Arguments,
        tokenizer: &ModelTokenizer,
    ) -> Result<Vec<Vec<u32>>, Error> {
        let GenerateSettings { generate_tokens, temperature, .. } = arguments.generated;
        let (window, of) = (self.window(), prompts.iter().map(|text| self.of(text)).collect::<Vec<_>>());
        let stop = |new: &[u32]| new.last().is_some_and(|token| tokenizer.is_end(*token));
        let request = |text: &Text| GenerateRequest {
            context: text.tokens[..text.prompt].into(),
            max_new_tokens: generate_tokens.min(window - text.prompt),
            stop: &stop,
        };
        let mut written = vec![Vec::new(); prompts.len()];
        self.each(&mut |teacher, name, model| {
            let own: Vec<usize> = (0..prompts.len()).filter(|place| of[*place] == teacher).collect();
            let requests: Vec<GenerateRequest<'_>> = own.iter().map(|place| request(prompts[*place])).collect();
            let found = continued(model, &requests, temperature, arguments.seed);
            let found =
                found.map_err(|source| recipe_search::Error::Model { what: format!("teacher {name}"), source })?;
            own.into_iter().zip(found).for_each(|(place, new)| written[place] = new);
            Ok(())
        })?;
        Ok(written)
    }
}

/// What a model adds to some prompts.
fn continued(
    model: &mut RecipeModel,
    requests: &[GenerateRequest<'_>],
    temperature: f32,
    seed: u64,
) -> Result<Vec<Vec<u32>>, task_eval::ModelError> {
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    if temperature == 0.0 {
        return model.generate(requests);
    }
    Ok(model.sample(requests, Sampling { temperature, seed })?)
}

/// What an earlier run wrote.
fn read(path: &Path) -> Option<Vec<Vec<u32>>> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}
