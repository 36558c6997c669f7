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
mod rate;
mod streams;
mod teachers;
mod texts;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use layer_ir::{Checkpoint, Family, Recipe, ValidRecipe};
use layer_train::{AdamW, Layout, OptimizerMemory, TrainEvent, TrainSettings, TrainWhat, Trainer};
use merge_ops::{ExportOptions, RecipeTensors, Registry, check_output};
use recipe_search::{Bos, Search, StudyFile, StudyFolder, token_text};
use tailor::Error;

use super::console::Console;
use super::hub::hub;
use super::merge::DtypeName;
use super::progress::TrainingProgress;
use super::target::{Target, open_model};
use device::DeviceSettings;
use generated::GenerateSettings;
use output::Healed;
use teachers::Teachers;
use texts::{TextSettings, Texts};

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

/// What is trained: a recipe over its family, and the study that it is of.
pub(super) struct Patient {
    family: Family,
    recipe: ValidRecipe,
    registry: Registry,
    study: Option<Search>,
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

impl Patient {
    /// Opens the model and, where there is one, the study.
    ///
    /// # Errors
    /// What the crates say of files that cannot be read or do not fit together; [`Error::Train`] for an architecture
    /// that cannot be trained.
    fn open(arguments: &Arguments, console: &Console) -> Result<Self, Error> {
        let download = arguments.text.download;
        let of_study = |study: &StudyFile| hub(study.download || download, console);
        let read = |file| Ok::<_, Error>(StudyFile::read_with(file, of_study)?.check()?);
        let study = arguments.study.as_deref().map(read).transpose()?;
        let hub = hub(download, console);
        let (family, recipe, study) = match Target::of(&arguments.model, &hub)? {
            Target::StudyFolder(folder) => {
                let folder = StudyFolder::new(folder);
                let search = Search::new(match study {
                    Some(study) => study,
                    None => folder.study()?,
                })?;
                let recipe = search.recipe_of(&folder, None)?;
                (search.family().clone(), recipe, Some(search))
            }
            _ => {
                let (family, recipe): (Family, Recipe) = open_model(&arguments.model, &hub)?;
                (family, recipe, study.map(Search::new).transpose()?)
            }
        };
        let registry = study.as_ref().map_or_else(Registry::standard, |search| search.registry().clone());
        let recipe = recipe.validate(&family, &registry)?;
        Layout::of(family.base()).map_err(Error::train)?;
        Ok(Self { family, recipe, registry, study })
    }

    /// What of the model is trained.
    ///
    /// # Errors
    /// [`Error::NoGap`] for a model without one whose gaps are to be trained.
    fn what(&self, arguments: &Arguments) -> Result<TrainWhat, Error> {
        Ok(match arguments.train {
            Trained::All => TrainWhat::All,
            Trained::Lora => {
                let rank = arguments.rank;
                TrainWhat::Lora { rank, alpha: arguments.alpha.unwrap_or(2.0 * rank as f32) }
            }
            Trained::Gaps => {
                let beside = beside_gaps(&self.recipe, self.family.base().num_layers());
                if beside.is_empty() {
                    return Err(Error::NoGap(arguments.model.clone()));
                }
                TrainWhat::Layers(beside)
            }
        })
    }

    /// The tensors of the model.
    fn tensors(&self) -> RecipeTensors<'_> {
        RecipeTensors { family: &self.family, recipe: &self.recipe, registry: &self.registry }
    }

    /// Writes the model in f32, merged and bridged, as what the training starts from, and reads its numbers.
    ///
    /// # Errors
    /// What merge-ops and layer-train say.
    fn write_start(&self, folder: &Path) -> Result<(Layout, Vec<f32>), Error> {
        let options = ExportOptions {
            dtype: Some(layer_ir::Dtype::F32),
            max_shard_bytes: u64::MAX,
            overwrite: true,
            sync: false,
            ..ExportOptions::default()
        };
        merge_ops::export(self.tensors(), folder, &options)?;
        let start = Checkpoint::open(folder)?;
        let layout = Layout::of(&start).map_err(Error::train)?;
        let values = layout.read(&start).map_err(Error::train)?;
        Ok((layout, values))
    }
}

/// The output layers before and behind a gap: neighbours that do not come from neighbours of a model of so many layers;
/// the last one where the model goes on.
fn beside_gaps(recipe: &Recipe, layers: usize) -> Vec<usize> {
    let origins: Vec<Option<usize>> =
        recipe.layers.iter().map(|layer| layer.from.origin().map(|(_, layer)| layer)).collect();
    let mut beside = Vec::new();
    for (place, origin) in origins.iter().enumerate() {
        let next = origins.get(place + 1).copied().unwrap_or(Some(layers));
        if origin.zip(next).is_none_or(|(here, next)| next != here + 1) {
            beside.push(place);
            beside.extend((place + 1 < origins.len()).then_some(place + 1));
        }
    }
    beside.dedup();
    beside
}

/// The folder beside the output, `NAME.healing`, that holds what is needed until the end. One process at a time has it.
pub(super) struct WorkFolder {
    path: PathBuf,
    /// Held while the process lives.
    _lock: File,
}

impl WorkFolder {
    /// Makes the folder, or takes the one that a killed run left.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Busy`] where another process heals to the same output.
    fn create(out: &Path) -> Result<Self, Error> {
        let failed = |path: &Path, source| Error::Io { path: path.into(), source };
        let out = std::path::absolute(out).map_err(|source| failed(out, source))?;
        let mut name = out.file_name().unwrap_or_default().to_owned();
        name.push(".healing");
        let path = out.with_file_name(name);
        std::fs::create_dir_all(&path).map_err(|source| failed(&path, source))?;
        let lock = File::create(path.join("lock")).map_err(|source| failed(&path, source))?;
        match lock.try_lock() {
            Err(std::fs::TryLockError::WouldBlock) => Err(Error::Busy(path)),
            // Where there are no locks, nobody looks.
            _ => Ok(Self { path, _lock: lock }),
        }
    }

    /// The folder.
    fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Removes the folder; one that cannot be removed does no harm.
    fn remove(self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
