//! Train a Llama-like model: gradients layer by layer, AdamW, the best numbers kept.
//!
//! A [`Layout`] says where each tensor of a checkpoint stands in one flat array. A [`ModelEngine`] computes losses and
//! gradients of a [`PackedBatch`] of sequences; a [`LayerEngine`] is what computes one layer. A [`Learner`] has the
//! model's numbers and changes them, on the CPU a [`CpuLearner`]. A [`Trainer`] makes steps over [`Document`]s,
//! measures the loss on others that it holds back, and keeps the best numbers and a state to go on from.
//! ```
//! use layer_ir::Checkpoint;
//! use layer_train::{CpuLearner, Document, Layout, ModelEngine, TrainSettings, Trainer, Wanted};
//!
//! # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../layer-runtime/tests/golden/models/llama-mha");
//! # let states = tempfile::tempdir()?;
//! let checkpoint = Checkpoint::open(folder)?;
//! let layout = Layout::of(&checkpoint)?;
//! let values = layout.read(&checkpoint)?;
//! let text = |tokens: [u32; 4]| Document { tokens: tokens.into(), wanted: Wanted::Tokens { from: 1 } };
//! let (training, validation) = ([text([1, 17, 4, 9]), text([1, 17, 4, 5])], [text([1, 17, 4, 7])]);
//! let settings = TrainSettings { tokens: 80, batch_tokens: 8, rate: 1e-3, ..TrainSettings::default() };
//! let learner = CpuLearner::new(ModelEngine::on_cpu(layout, 1 << 30), values, &settings)?;
//! let trainer = Trainer {
//!     training: &training,
//!     validation: &validation,
//!     settings: &settings,
//!     identity: "an example",
//!     folder: states.path(),
//!     state_every: std::time::Duration::from_secs(60),
//! };
//! let outcome = trainer.run(Box::new(learner), &mut |event| println!("{event:?}"))?;
//! assert!(outcome.curve.last().ok_or("a curve")?.validation < outcome.curve[0].validation);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;

// A model's numbers, and what is wanted of it.
mod batch;
mod choices;
mod documents;
mod hidden;
mod layout;
mod row_file;
mod teacher;
mod tensor_file;

// How computing is done.
mod blocks;
mod buffers;

// Losses and gradients.
mod cpu;
mod head;
mod layer;
mod model;

// Training.
mod adam_w;
#[cfg(feature = "burn")]
mod burn_learner;
mod compact_gradients;
mod compact_learner;
mod cpu_learner;
mod events;
mod learner;
mod losses;
mod moments;
mod plan;
mod schedule;
mod settings;
mod state;
mod trained;
mod trainer;

pub use adam_w::{AdamW, Step};
pub use batch::PackedBatch;
#[cfg(feature = "burn")]
pub use burn_learner::{BurnLearner, BurnSettings};
pub use compact_learner::CompactLearner;
pub use cpu::CpuLayers;
pub use cpu_learner::{CpuLearner, cpu_learner};
pub use documents::{Document, Wanted, WrongChoice};
pub use error::Error;
pub use events::{CurvePoint, TrainEvent, TrainOutcome};
pub use head::Target;
pub use hidden::{HiddenFile, HiddenTarget, HiddenWriter};
pub use layer::{KeptActivations, LayerEngine, LayerWeights};
pub use layout::{LayerLayout, Layout, Parameter};
pub use learner::{BlockMoments, Learner, LearnerState, Moments};
pub use losses::mean_loss;
pub use model::{AddLayer, AllGradients, GradientSink, ModelEngine};
pub use schedule::Schedule;
pub use settings::{OptimizerMemory, TrainSettings};
pub use teacher::{TeacherFile, TeacherRows, TeacherWriter, TopK};
pub use trained::TrainWhat;
pub use trainer::Trainer;

/// Compiles the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
