//! How far a model is with the documents of a task, for whoever looks on from another thread.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use layer_runtime::Runtime;

/// How much a model was asked and has done since it was made, in any unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkDone {
    /// What all calls so far ask for.
    pub asked: u64,
    /// What of it is done, at most [`Self::asked`].
    pub done: u64,
}

impl WorkDone {
    /// The work of all models of a runtime, in tokens times layers. Of generated text that is asked for which is
    /// written, so that the first documents of a call seem to be done sooner than they are.
    #[must_use]
    pub fn of(runtime: &Runtime) -> Self {
        let spent = runtime.timings();
        Self {
            asked: spent.layer_tokens_asked.saturating_sub(spent.layer_tokens_shared),
            done: spent.layer_tokens + spent.layer_tokens_kept,
        }
    }
}

/// How many documents of a task are scored, estimated by the share of the work that is done.
///
/// A model answers all documents of a task in one call and in whatever order is fast, so that nobody can count them.
/// Reading a meter costs the model nothing. Clones show the same.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use recipe_search::{DocumentMeter, WorkDone};
///
/// let work = Arc::new(Mutex::new(WorkDone::default()));
/// let (meter, told) = (DocumentMeter::default(), Arc::clone(&work));
/// meter.begin("gsm8k", 0..100, 100, move || *told.lock().unwrap());
/// *work.lock().unwrap() = WorkDone { asked: 8, done: 2 };
/// assert_eq!(meter.read().unwrap().to_string(), "gsm8k: 25 of 100 documents");
///
/// meter.end();
/// assert_eq!(meter.read(), None);
/// ```
#[derive(Clone, Default)]
pub struct DocumentMeter(Arc<Mutex<Option<Call>>>);

/// What a model is asked at present.
struct Call {
    task: String,
    /// The documents of the call, by their places among all.
    places: Range<usize>,
    all: usize,
    /// The model's work so far.
    work: Box<dyn Fn() -> WorkDone + Send>,
    /// What that was before the call.
    before: WorkDone,
}

/// What a [`DocumentMeter`] shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentsDone {
    /// The task.
    pub task: String,
    /// About so many of its documents are scored.
    pub done: usize,
    /// So many are to be scored.
    pub all: usize,
}

impl fmt::Display for DocumentsDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} of {} documents", self.task, self.done, self.all)
    }
}

impl DocumentMeter {
    /// A model is about to be asked about the documents of `task` at these places among `all`; those before them are
    /// done. `work` tells how much the model has done whenever the meter is read.
    pub fn begin(&self, task: &str, places: Range<usize>, all: usize, work: impl Fn() -> WorkDone + Send + 'static) {
        let (task, before) = (task.to_owned(), work());
        self.set(Some(Call { task, places, all, work: Box::new(work), before }));
    }

    /// No model is asked about documents any more. What `work` held is let go.
    pub fn end(&self) {
        self.set(None);
    }

    fn set(&self, call: Option<Call>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = call;
    }

    /// What is done at present; none while no model is asked about documents.
    #[must_use]
    pub fn read(&self) -> Option<DocumentsDone> {
        let call = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Call { task, places, all, work, before } = call.as_ref()?;
        let now = work();
        let (asked, done) = (now.asked.saturating_sub(before.asked), now.done.saturating_sub(before.done));
        let share = if asked > 0 { (done as f64 / asked as f64).min(1.0) } else { 0.0 };
        let done = places.start + (places.len() as f64 * share) as usize;
        Some(DocumentsDone { task: task.clone(), done, all: *all })
    }
}

impl fmt::Debug for DocumentMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DocumentMeter").field(&self.read()).finish()
    }
}
