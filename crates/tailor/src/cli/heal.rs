//! `tailor heal`: a cut model is trained for a while, and is a plain checkpoint again.
//!
//! | file | what |
//! |---|---|
//! | `texts.rs` | the documents of tasks and files, and which are held back |
//! | `teachers.rs` | what the best parent of each document predicts, computed once |
//! | `streams.rs` | the hidden states of the best parents, likewise |
//! | `generated.rs` | documents that the teachers write |
//! | `rate.rs` | the learning rate where none is given |
//! | `device.rs` | where it is trained |
//! | `output.rs` | the checkpoint, and what stands beside it |
//!
//! Everything that is written before the end lies in a work folder beside the output, which goes when the output is
//! there. A training that was killed goes on from there.

mod device;
mod generated;
mod output;
mod patient;
mod rate;
mod streams;
mod teachers;
mod texts;
mod work_folder;

use std::path::PathBuf;
use std::time::Duration;

use layer_train::{AdamW, OptimizerMemory, TrainEvent, TrainSettings, TrainWhat, Trainer};
use merge_ops::check_output;
use recipe_search::{Bos, token_text};
use tailor::Error;

use super::console::Console;
use super::merge::DtypeName;
use super::progress::TrainingProgress;
use device::DeviceSettings;
use generated::GenerateSettings;
use output::Healed;
use patient::Patient;
use teachers::Teachers;
use texts::{TextSettings, Texts};
use work_folder::WorkFolder;

/// Train a cut model for a while, so that it regains what the cut took, and write it as a plain checkpoint.
///
/// The text is the tasks' training documents with their right answers, and text files. Some documents are held back:
/// the result is the model as it was when their loss was lowest, and never worse there than at the start. A run that
/// was killed goes on when the same command is given again.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The model to train: a checkpoint, a recipe, or the folder of a study, whose best recipe it is.
    model: PathBuf,
    /// The folder to write; it must be empty, or not there yet.
    out: PathBuf,
    /// The study (.toml) that names tasks and teachers. A study folder's own without it.
    #[arg(long, value_name = "STUDY.toml")]
    study: Option<PathBuf>,
    #[command(flatten)]
    text: TextSettings,
    #[command(flatten)]
    generated: GenerateSettings,
    /// Tokens to train on, those of documents that are read again counted again.
    #[arg(long, default_value_t = 100_000)]
    tokens: usize,
    /// What the model learns: `distill`, to predict what the best parent of each document predicts; `lm`, the text
    /// itself; `choices`, the right one of a multiple-choice document's choices, and the text of others.
    #[arg(long, value_enum, default_value_t = Objective::Distill)]
    objective: Objective,
    /// What is trained: `all`, `lora` (low-rank additions to the layers' matrices, added to them in the end), or `gaps`
    /// (the layers beside those that the recipe leaves out).
    #[arg(long, value_enum, default_value_t = Trained::All)]
    train: Trained,
    /// The rank of low-rank additions.
    #[arg(long, default_value_t = 16)]
    rank: usize,
    /// Their scale times the rank; without it, twice the rank.
    #[arg(long)]
    alpha: Option<f32>,
    /// Whose predictions are distilled, without a study: a checkpoint or a recipe.
    #[arg(long, value_name = "MODEL")]
    teacher: Option<PathBuf>,
    /// How many of the teacher's most likely tokens are kept for each token of text; the others count as one.
    #[arg(long, default_value_t = 64, value_name = "K")]
    top_tokens: usize,
    /// What the loss of the last hidden state counts beside that of the predictions: its squared distance from the
    /// teacher's, as a share of the teacher's square. For distillation from a teacher as wide as the model.
    #[arg(long, default_value_t = 0.0, value_name = "W")]
    hidden_weight: f32,
    /// The highest learning rate. Without it, 0.03 over the width of the model's stream, from 3e-5 to 1e-3, a
    /// tenth of it for choices, and five times as much for low-rank additions; barely harmed models may take less: the
    /// held-back loss tells.
    #[arg(long)]
    rate: Option<f64>,
    /// Tokens of a step, in whole documents.
    #[arg(long, default_value_t = 1024)]
    batch: usize,
    /// The share of the steps in which the rate rises; then it falls, to nothing at the end.
    #[arg(long, default_value_t = 0.1)]
    warm_up: f64,
    /// Weight decay of the matrices.
    #[arg(long, default_value_t = 0.0)]
    decay: f64,
    /// The largest norm of a step's gradients.
    #[arg(long, default_value_t = 1.0)]
    clip: f64,
    /// How many times the held-back documents are read.
    #[arg(long, default_value_t = 10)]
    validations: usize,
    /// The training ends after so many of them in a row that bring nothing better.
    #[arg(long, default_value_t = 3)]
    patience: usize,
    /// The seed of the documents' order and of which are held back.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Memory for activations that are kept from the forward pass for the gradient, in MiB; the others are computed
    /// twice.
    #[arg(long, default_value_t = 2048)]
    memory_mib: usize,
    /// In what gradients and moments are kept: `full`, f32, 12 bytes for each trained number beside its own 4; or
    /// `compact`, gradients of layers in bf16 and moments in a byte each, 4 bytes.
    #[arg(long, value_enum, default_value_t = Memory::Full)]
    optimizer_memory: Memory,
    #[command(flatten)]
    device: DeviceSettings,
    /// How old a state must be before a validation writes another, in seconds. A run that was killed goes on from it.
    #[arg(long, default_value_t = 60)]
    state_seconds: u64,
    /// The number format of the weights that are written; without it, the model's own.
    #[arg(long)]
    dtype: Option<DtypeName>,
}

/// What a model learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Objective {
    /// The teacher's predictions.
    Distill,
    /// The text.
    Lm,
    /// The right one of a task's choices.
    Choices,
}

/// What of a model is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Trained {
    /// Everything.
    All,
    /// Low-rank additions.
    Lora,
    /// The layers beside a gap.
    Gaps,
}

/// In what gradients and moments are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Memory {
    /// In f32.
    Full,
    /// In bf16 and bytes.
    Compact,
}

impl From<Memory> for OptimizerMemory {
    fn from(memory: Memory) -> Self {
        match memory {
            Memory::Full => Self::Full,
            Memory::Compact => Self::Compact,
        }
    }
}

/// Trains and writes. What is wrong with arguments, models and data is known before the first step.
///
/// # Errors
/// What layer-train says of a training that fails; what the crates say of models, tasks and texts; a file that cannot
/// be written.
pub(super) fn run(arguments: &Arguments, console: &Console) -> Result<(), Error> {
    arguments.check()?;
    check_output(&arguments.out, false)?;
    let device = arguments.device.open()?;
    let patient = Patient::open(arguments, console)?;
    if arguments.teacher.is_none() && patient.study.is_none() {
        match arguments.objective {
            Objective::Distill => return Err(Error::NoTeacher),
            _ if arguments.generated.generate > 0 => return Err(Error::NoWriter),
            Objective::Lm | Objective::Choices => {}
        }
    }
    let bos = patient.study.as_ref().map_or(Bos::Auto, |search| search.study().evaluation.bos);
    let tokenizer = bos.of(token_text(&patient.family, &patient.recipe)?);
    let mut texts = Texts::read(arguments, patient.study.as_ref(), &tokenizer, &patient)?;
    let what = patient.what(arguments)?;
    let work = WorkFolder::create(&arguments.out)?;
    let start = work.file("start");
    let (layout, values) = patient.write_start(&start)?;
    let open = || Teachers::open(arguments, &patient, console);
    let mut teachers = arguments.has_teachers().then(open).transpose()?;
    if let (Some(teachers), 1..) = (&mut teachers, arguments.generated.generate) {
        texts.training.extend(teachers.generate(arguments, &texts, &tokenizer, &work, console)?);
    }
    let documents = match (arguments.objective, teachers) {
        (Objective::Distill, Some(teachers)) => teachers.ask(arguments, texts, &work, console)?,
        _ => texts.without_teacher(),
    };
    let identity = documents.identity(&values) + &device.identity();
    let settings = arguments.settings(what, arguments.rate_of(layout.config(), console));
    let learner = device.learner(layout.clone(), values, &settings, arguments.memory_mib << 20)?;
    let trainer = Trainer {
        training: &documents.training,
        validation: &documents.validation,
        settings: &settings,
        identity: &identity,
        folder: work.path(),
        state_every: Duration::from_secs(arguments.state_seconds),
    };
    let mut progress = TrainingProgress::new(console);
    let outcome = trainer.run(learner, &mut |event: TrainEvent| progress.show(event)).map_err(Error::train)?;
    progress.end();
    let (rate, layout) = (settings.rate, &layout);
    let healed = Healed { patient: &patient, start: &start, layout, rate, outcome: &outcome };
    let written = healed.write(arguments, &work)?;
    let recorded = healed.record(arguments)?;
    work.remove();
    console.say(&format!("{written}{recorded}"))
}

impl Arguments {
    /// Whether the numbers make sense.
    ///
    /// # Errors
    /// [`Error::BadOption`].
    fn check(&self) -> Result<(), Error> {
        let bad = |option, found: &dyn std::fmt::Display, expected| {
            Err(Error::BadOption { option, found: found.to_string(), expected })
        };
        for (option, value) in
            [("rank", self.rank), ("tokens", self.tokens), ("batch", self.batch), ("top-tokens", self.top_tokens)]
        {
            if value == 0 {
                return bad(option, &value, "at least 1");
            }
        }
        for (option, value) in [("rate", self.rate.unwrap_or(1.0)), ("clip", self.clip)] {
            if !(value > 0.0 && value.is_finite()) {
                return bad(option, &value, "above 0");
            }
        }
        if self.device.name != "cpu" && matches!(self.optimizer_memory, Memory::Compact) {
            return bad("optimizer-memory", &"compact", "full where a GPU trains");
        }
        let hidden = f64::from(self.hidden_weight);
        if !(hidden >= 0.0 && hidden.is_finite()) {
            return bad("hidden-weight", &hidden, "at least 0");
        }
        if hidden > 0.0 && self.objective != Objective::Distill {
            return bad("hidden-weight", &hidden, "0 where no teacher is distilled");
        }
        for (option, value) in [("warm-up", self.warm_up), ("decay", self.decay)] {
            if !(0.0..=1.0).contains(&value) {
                return bad(option, &value, "from 0 to 1");
            }
        }
        self.generated.check()
    }

    /// Whether teachers predict or write.
    fn has_teachers(&self) -> bool {
        self.objective == Objective::Distill || self.generated.generate > 0
    }

    /// As layer-train wants them.
    fn settings(&self, what: TrainWhat, rate: f64) -> TrainSettings {
        TrainSettings {
            tokens: self.tokens,
            batch_tokens: self.batch,
            rate,
            warm_up: self.warm_up,
            adam: AdamW { decay: self.decay, ..AdamW::default() },
            clip: self.clip,
            optimizer_memory: self.optimizer_memory.into(),
            hidden_weight: self.hidden_weight,
            seed: self.seed,
            validations: self.validations,
            patience: self.patience,
            what,
            ..TrainSettings::default()
        }
    }
}

impl Objective {
    /// As on the command line.
    fn name(self) -> &'static str {
        match self {
            Self::Distill => "distill",
            Self::Lm => "lm",
            Self::Choices => "choices",
        }
    }
}

impl Trained {
    /// What is trained, in words.
    fn described(self, arguments: &Arguments) -> String {
        match self {
            Self::All => "all".to_owned(),
            Self::Gaps => "gaps".to_owned(),
            Self::Lora => format!("lora of rank {}", arguments.rank),
        }
    }
}
