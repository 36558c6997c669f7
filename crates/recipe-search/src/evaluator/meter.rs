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
/// let told = Arc::clone(&work);
/// let meter = DocumentMeter::new(move || *told.lock().unwrap());
/// assert_eq!(meter.read(), None);
///
/// meter.begin("gsm8k", 0..100, 100);
/// *work.lock().unwrap() = WorkDone { asked: 8, done: 2 };
/// assert_eq!(meter.read().unwrap().to_string(), "gsm8k: 25 of 100 documents");
/// ```
#[derive(Clone)]
pub struct DocumentMeter {
    /// The model's work so far.
    work: Arc<dyn Fn() -> WorkDone + Send + Sync>,
    /// None between calls.
    call: Arc<Mutex<Option<Call>>>,
}

/// What the model is asked at present.
struct Call {
    task: String,
    /// The documents of the call, by their places among all.
    places: Range<usize>,
    all: usize,
    /// The work before the call.
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
    /// A meter of a model whose work so far `work` tells.
    pub fn new(work: impl Fn() -> WorkDone + Send + Sync + 'static) -> Self {
        Self { work: Arc::new(work), call: Arc::default() }
    }

    /// A meter of all models of a runtime: the work is tokens times layers. Of generated text that is asked for which
    /// is written, so that the first documents of a call seem to be done sooner than they are.
    #[must_use]
    pub fn of_runtime(runtime: &Runtime) -> Self {
        let runtime = runtime.clone();
        Self::new(move || {
            let spent = runtime.timings();
            WorkDone {
                asked: spent.layer_tokens_asked.saturating_sub(spent.layer_tokens_shared),
                done: spent.layer_tokens + spent.layer_tokens_kept,
            }
        })
    }

    /// From now on the model is asked about the documents of `task` at these places among `all`; those before them are
    /// done.
    pub fn begin(&self, task: &str, places: Range<usize>, all: usize) {
        self.set(Some(Call { task: task.to_owned(), places, all, before: (self.work)() }));
    }

    /// The model is asked about no documents any more.
    pub fn end(&self) {
        self.set(None);
    }

    fn set(&self, call: Option<Call>) {
        *self.call.lock().unwrap_or_else(PoisonError::into_inner) = call;
    }

    /// What is done at present; none while the model is asked about no documents.
    #[must_use]
    pub fn read(&self) -> Option<DocumentsDone> {
        let call = self.call.lock().unwrap_or_else(PoisonError::into_inner);
        let Call { task, places, all, before } = call.as_ref()?;
        let now = (self.work)();
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

/// Whether both are the same meter.
impl PartialEq for DocumentMeter {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.call, &other.call)
    }
}
