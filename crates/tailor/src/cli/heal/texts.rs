//! The documents that a model is trained on: right answers of tasks, and text files; and which of them are held back.

use std::path::PathBuf;
use std::sync::Arc;

use blake3::Hasher;
use layer_train::{Document, Wanted, WrongChoice};
use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom as _;
use recipe_search::Search;
use tailor::Error;
use task_eval::{
    Calibration, CalibrationOptions, Download, Limit, ModelTokenizer, Options, PreparedTask, ScoreRequest, TaskConfig,
    TaskLibrary,
};

use super::{Arguments, Objective, Patient};

/// Which text a model is trained on.
#[derive(Debug, clap::Args)]
pub(super) struct TextSettings {
    /// Names of tasks, groups or tags, patterns, or task files, instead of the study's.
    #[arg(long, value_delimiter = ',')]
    tasks: Vec<String>,
    /// A folder with task files; may be given several times.
    #[arg(long)]
    include: Vec<PathBuf>,
    /// The split that the tasks' documents are read from; not the one that the model is judged on.
    #[arg(long, default_value = "train")]
    split: String,
    /// At most so many documents of each task.
    #[arg(long)]
    limit: Option<usize>,
    /// Few-shot examples before each question; without it, what the study or the task says.
    #[arg(long)]
    num_fewshot: Option<usize>,
    /// A file of text: paragraphs of a .txt, or the column `text` of a .jsonl, .json, .csv or .parquet; may be given
    /// several times.
    #[arg(long, value_name = "FILE")]
    text: Vec<PathBuf>,
    /// The most tokens of a piece of a text file; longer documents are cut.
    #[arg(long, default_value_t = 512)]
    window: usize,
    /// Which tokens count: `answers`, those of right answers and of text files, or `all`. Without it, all where a
    /// teacher's predictions are learnt, else the answers.
    #[arg(long, value_enum)]
    count: Option<Counted>,
    /// The share of the text that is held back, but no more than a twentieth of --tokens.
    #[arg(long, default_value_t = 0.1)]
    held_back: f64,
    /// The folder of the data sets that tasks name by their hub id.
    #[arg(long, value_name = "DIR", default_value = task_eval::DEFAULT_DATA_ROOT)]
    data: PathBuf,
    /// Download models and data sets that are nowhere here from the hub.
    #[arg(long)]
    pub download: bool,
}

/// Which tokens count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Counted {
    /// Right answers, and all of text files.
    Answers,
    /// All but the first of each document.
    All,
}

/// A document with where it comes from.
#[derive(Debug, Clone)]
pub(super) struct Text {
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// The place of the first token that counts, at least 1.
    pub from: usize,
    /// How many of its tokens are a task's prompt; 0 of a file's text.
    pub prompt: usize,
    /// Its task, by the place among the study's; `None` for another task or a file.
    pub task: Option<usize>,
    /// The choices that are not right, where the right one is learnt among them.
    pub wrong: Vec<WrongChoice>,
}

/// All documents.
#[derive(Debug)]
pub(super) struct Texts {
    pub training: Vec<Text>,
    pub validation: Vec<Text>,
}

/// The same with what is wanted of them.
#[derive(Debug)]
pub(super) struct Documents {
    pub training: Vec<Document>,
    pub validation: Vec<Document>,
    /// What they were made with beside their tokens.
    pub teachers: String,
}

impl Text {
    /// A piece of a file.
    fn of_file(tokens: Vec<u32>) -> Self {
        Self { tokens, from: 1, prompt: 0, task: None, wrong: Vec::new() }
    }

    /// Tokens of all that a model reads of it.
    fn read_tokens(&self) -> usize {
        self.tokens.len() + self.wrong.iter().map(|choice| choice.tokens.len()).sum::<usize>()
    }
}

/// How many documents, from the first on, hold at least so many tokens; all where they hold fewer.
fn documents_of(texts: &[Text], tokens: usize) -> usize {
    let mut before = 0;
    let read = texts.iter().take_while(|text| {
        let more = before < tokens;
        before += text.read_tokens();
        more
    });
    read.count()
}

/// The choices of a document but for the right one, each behind its question.
fn wrong_choices(choices: &[ScoreRequest], right: usize) -> Vec<WrongChoice> {
    let wrong = choices.iter().enumerate().filter(|(place, _)| *place != right);
    wrong.map(|(_, request)| WrongChoice { tokens: joined(request), from: request.context.len() }).collect()
}

/// What a model reads of a request: its context, then its continuation.
fn joined(request: &ScoreRequest) -> Vec<u32> {
    [&*request.context, &*request.continuation].concat()
}

impl Arguments {
    /// Whether every token of a document counts.
    pub fn counts_all(&self) -> bool {
        match self.text.count {
            None => self.objective == Objective::Distill,
            Some(counted) => counted == Counted::All,
        }
    }
}

impl Texts {
    /// Reads the documents.
    ///
    /// # Errors
    /// [`Error::NoText`] where nothing is named, [`Error::TooLittleText`] where no document could be held back; what
    /// task-eval says of tasks and files.
    pub fn read(
        arguments: &Arguments,
        study: Option<&Search>,
        tokenizer: &ModelTokenizer,
        patient: &Patient,
    ) -> Result<Self, Error> {
        let settings = &arguments.text;
        if settings.tasks.is_empty() && settings.text.is_empty() && study.is_none() {
            return Err(Error::NoText);
        }
        if !(settings.held_back > 0.0 && settings.held_back < 1.0) {
            let (found, expected) = (settings.held_back.to_string(), "above 0 and below 1");
            return Err(Error::BadOption { option: "held-back", found, expected });
        }
        let mut texts = Vec::new();
        for (task, of_study) in prepared(settings, study, tokenizer)? {
            for document in 0..task.len() {
                let Some(gold) = task.gold_answer(document, tokenizer)? else { continue };
                let choices = task.choices(document).filter(|_| arguments.objective == Objective::Choices);
                let wrong = choices.map(|(all, right)| wrong_choices(all, right)).unwrap_or_default();
                let prompt = gold.context.len();
                texts.push(Text { tokens: joined(&gold), from: prompt, prompt, task: of_study, wrong });
            }
        }
        let longest = patient.family.base().config()?.max_position_embeddings;
        for file in &settings.text {
            let options = CalibrationOptions { window: Some(settings.window.min(longest)), ..Default::default() };
            let pieces = Calibration::from_file(file, tokenizer, &options).map_err(Error::text)?;
            texts.extend(pieces.texts().iter().map(|tokens| Text::of_file(tokens.to_vec())));
        }
        let all = arguments.counts_all();
        for text in &mut texts {
            // A request may have a token more than the window, which is predicted and not seen; here it is seen too.
            let extra = text.tokens.len().saturating_sub(longest);
            text.tokens.drain(..extra);
            text.prompt = text.prompt.saturating_sub(extra);
            text.from = if all && text.wrong.is_empty() { 1 } else { text.from.saturating_sub(extra).max(1) };
            for choice in &mut text.wrong {
                let extra = choice.tokens.len().saturating_sub(longest);
                choice.tokens.drain(..extra);
                choice.from = choice.from.saturating_sub(extra).max(1);
            }
        }
        texts.retain(|text| text.from < text.tokens.len());
        Self::hold_back(texts, arguments)
    }

    /// Chooses at random which documents are held back.
    fn hold_back(mut texts: Vec<Text>, arguments: &Arguments) -> Result<Self, Error> {
        let mut random = ChaCha8Rng::seed_from_u64(arguments.seed ^ 0x6865_6c64); // not the order of the steps
        texts.shuffle(&mut random);
        let documents = texts.len();
        let all: usize = texts.iter().map(Text::read_tokens).sum();
        let wanted = ((all as f64 * arguments.text.held_back) as usize).min(arguments.tokens / 20);
        let held = documents_of(&texts, wanted.max(1));
        if held >= documents {
            return Err(Error::TooLittleText { documents });
        }
        let mut training = texts.split_off(held);
        // Teachers are asked about what is read alone. (Prompts for generation are drawn from all.)
        if arguments.generated.generate == 0 {
            training.truncate(documents_of(&training, arguments.tokens));
        }
        Ok(Self { training, validation: texts })
    }

    /// What is wanted is the text itself, or the right one of several choices.
    pub fn without_teacher(self) -> Documents {
        let document = |Text { tokens, from, wrong, .. }: Text| {
            let wanted = if wrong.is_empty() { Wanted::Tokens { from } } else { Wanted::Choice { from, wrong } };
            Document { tokens, wanted }
        };
        Documents {
            training: self.training.into_iter().map(document).collect(),
            validation: self.validation.into_iter().map(document).collect(),
            teachers: String::new(),
        }
    }
}

impl Documents {
    /// A hash of the documents, of what is wanted of them, and of the numbers that the training starts from.
    pub fn identity(&self, values: &[f32]) -> String {
        let mut hasher = Hasher::new();
        hasher.update(self.teachers.as_bytes());
        for (part, documents) in [(0_u8, &self.training), (1, &self.validation)] {
            for document in documents {
                let (Wanted::Tokens { from } | Wanted::Teacher { from, .. } | Wanted::Choice { from, .. }) =
                    document.wanted;
                hasher.update(&[part]).update(&(document.tokens.len() as u64).to_le_bytes());
                hasher.update(&(from as u64).to_le_bytes());
                document.sequences().for_each(|tokens| _ = hasher.update(bytemuck::cast_slice(tokens)));
            }
        }
        hasher.update(bytemuck::cast_slice(values));
        hasher.finalize().to_hex().to_string()
    }
}

/// The tasks, each with its place in the study if it is of it: those of the arguments, or else of the study.
fn prepared(
    settings: &TextSettings,
    study: Option<&Search>,
    tokenizer: &ModelTokenizer,
) -> Result<Vec<(PreparedTask, Option<usize>)>, Error> {
    let mut include = settings.include.clone();
    include.extend(study.iter().flat_map(|search| search.study().include.iter().cloned()));
    let components = study.map(|search| Arc::clone(&search.tables().task_components)).unwrap_or_default();
    let library = TaskLibrary::load_with(&include, components)?;
    // All tasks of the study in its order, a group as its tasks, and how many shots it gives them.
    let mut of_study = Vec::new();
    for task in study.map_or(&[][..], |search| &search.study().tasks) {
        of_study.extend(library.task(&task.name)?.into_iter().map(|config| (config, task.num_fewshot)));
    }
    let chosen: Vec<(TaskConfig, Option<usize>)> = if settings.tasks.is_empty() {
        of_study.clone()
    } else {
        let shots = |config: &TaskConfig| {
            of_study.iter().find(|(known, _)| known.task == config.task).and_then(|(_, shots)| *shots)
        };
        library.select(&settings.tasks)?.tasks.into_iter().map(|config| (config.clone(), shots(&config))).collect()
    };
    let prepare = |(config, shots): (TaskConfig, Option<usize>)| {
        let options = Options {
            num_fewshot: settings.num_fewshot.or(shots),
            limit: settings.limit.map(Limit::Count),
            split: Some(settings.split.clone()),
            data_root: settings.data.clone(),
            download: (settings.download || study.is_some_and(|search| search.study().download))
                .then(Download::from_environment),
            ..Options::default()
        };
        let options = study.map_or(options.clone(), |search| search.study().evaluation.options(options));
        let place = of_study.iter().position(|(known, _)| known.task == config.task);
        Ok((PreparedTask::new(&config, tokenizer, &options)?, place))
    };
    chosen.into_iter().map(prepare).collect()
}
