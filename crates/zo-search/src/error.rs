//! What can go wrong.

use crate::TrialId;

/// What can go wrong: a space that makes no sense, a point outside of it, a call out of order, a study that cannot be
/// gone on with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two dimensions of one name.
    #[error("dimension `{name}` is declared twice; give each dimension a name of its own")]
    DuplicateDimension {
        /// The name.
        name: String,
    },
    /// A dimension without a single value, or with bounds that are not numbers.
    #[error("dimension `{name}` has no usable value: {problem}")]
    EmptyDimension {
        /// The dimension.
        name: String,
        /// What is wrong with its declaration.
        problem: &'static str,
    },
    /// A condition on something that is not there, or not (yet) declared.
    #[error("`{child}` depends on `{parent}`, which is not declared before it; declare parents first")]
    UnknownParent {
        /// The dimension with the condition.
        child: String,
        /// The missing dimension.
        parent: String,
    },
    /// A condition that the parent can never meet.
    #[error("`{child}` can never be active: {condition} does not fit the parent's domain ({domain})")]
    ImpossibleCondition {
        /// The dimension with the condition.
        child: String,
        /// The condition in words.
        condition: String,
        /// The parent's domain in words.
        domain: String,
    },
    /// A constraint that makes no sense.
    #[error("the constraint that {constraint} cannot be: {problem}")]
    BadConstraint {
        /// The constraint in words.
        constraint: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A modifier such as `when` or `always` with no dimension before it that it could change.
    #[error("`Space::{method}` changes the dimension declared just before it, and there is none that it fits")]
    StrayModifier {
        /// The method.
        method: &'static str,
    },

    /// A point lacks the value of an active dimension.
    #[error("the point has no value for `{name}`, which is active there")]
    MissingValue {
        /// The dimension.
        name: String,
    },
    /// A point in which a constraint does not hold.
    #[error("the point breaks the constraint that {constraint}")]
    BrokenConstraint {
        /// The constraint in words.
        constraint: String,
    },
    /// A point has a value for a dimension that the space has not.
    #[error("the point has a value for `{name}`, which is no dimension of the space")]
    UnknownDimension {
        /// The name in the point.
        name: String,
    },
    /// A value of another type than asked for.
    #[error("`{name}` is a {found}, not a {expected}")]
    WrongType {
        /// The dimension.
        name: String,
        /// The type asked for.
        expected: &'static str,
        /// The type there.
        found: &'static str,
    },
    /// A value outside of its dimension's domain.
    #[error("`{name}` = {value} lies outside of its domain ({domain})")]
    OutsideDomain {
        /// The dimension.
        name: String,
        /// The value.
        value: String,
        /// The domain in words.
        domain: String,
    },
    /// A fidelity outside of (0, 1].
    #[error("a fidelity is a fraction above 0 and up to 1, not {found}")]
    BadFidelity {
        /// The number given.
        found: f64,
    },
    /// A given initial point is not in the space.
    #[error("initial point {index} cannot be used")]
    InitialPoint {
        /// Its place in the list given, from 0.
        index: usize,
        /// Why.
        source: Box<Error>,
    },
    /// A strategy's setting makes no sense.
    #[error("{strategy}: {problem}")]
    BadSetting {
        /// The strategy's name.
        strategy: &'static str,
        /// What is wrong, and what would be right.
        problem: &'static str,
    },

    /// A name that is in no table, or a parameter that does not fit.
    #[error(transparent)]
    Registry(#[from] tailor_registry::Error),

    /// A finite space has no point left that was not asked before.
    #[error("all {points} points of the space have been asked; there is nothing left to search")]
    Exhausted {
        /// How many points were asked.
        points: usize,
    },
    /// An outcome for a trial that was never asked.
    #[error("trial {id} was never asked here")]
    UnknownTrial {
        /// The trial.
        id: TrialId,
    },
    /// A second outcome for one trial.
    #[error("trial {id} was told before, and the outcome now differs or may not be told again")]
    AlreadyTold {
        /// The trial.
        id: TrialId,
    },
    /// An amendment that is not of a higher fidelity than what it replaces, or that comes before the first outcome.
    #[error("trial {id} can only be amended by an outcome of higher fidelity than the one told before")]
    NotAnAmendment {
        /// The trial.
        id: TrialId,
    },
    /// A recorded trial is not the next one of the strategy it is restored into.
    #[error(
        "trial {id} was recorded, but the strategy comes to another one there; resume with the strategy that began"
    )]
    Diverged {
        /// The recorded trial.
        id: TrialId,
    },
    /// One evaluation after the other crashes: more likely the evaluator's fault than the points'.
    #[error("{count} evaluations in a row crashed, the last with: {last}; mend the evaluator, then resume the study")]
    KeepsCrashing {
        /// How many.
        count: usize,
        /// The message of the last one.
        last: String,
    },
    /// A promotion rule names a candidate that is not there, or is at the top already.
    #[error("the promotion rule chose candidate {candidate}, which is not there or has no higher rung")]
    NoSuchCandidate {
        /// The candidate.
        candidate: usize,
    },

    /// A warm start of a study that asked trials already.
    #[error("{trials} trials were asked before the warm start; warm-start a study before its first ask")]
    AlreadyBegun {
        /// How many.
        trials: usize,
    },

    /// The operating system, or what keeps a study, refuses.
    #[error("cannot {action} {location}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        location: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Another process goes on with the study.
    #[error("{location} is in use by another search; wait for it, or end it")]
    StudyLocked {
        /// Where the study is.
        location: String,
    },
    /// A new study would overwrite an old one.
    #[error("{location} exists; resume that study, or choose another place")]
    StudyExists {
        /// Where the study is.
        location: String,
    },
    /// A storage that this build does not know.
    #[error(
        "{location} needs zo-search built with the feature `{feature}`; build it so, or keep the study in a journal \
         (.jsonl)"
    )]
    WithoutFeature {
        /// Where the study is, or was to be.
        location: String,
        /// The feature that is missing.
        feature: &'static str,
    },
    /// A database that a newer build has changed.
    #[error(
        "{location} has version {found} of the schema zo_search, and this build knows version {known}; use a newer one"
    )]
    NewerDatabase {
        /// Where the study is.
        location: String,
        /// The version of the schema there.
        found: i32,
        /// The newest version that this build knows.
        known: i32,
    },
    /// No readable first line.
    #[error("{location} does not begin with a study's header; was it written by zo-search?")]
    NoHeader {
        /// Where the study should be.
        location: String,
    },
    /// A line that is wrong, with good ones behind it: not a torn end, but damage.
    #[error("{location}:{line}: {problem}; the study is damaged, restore it from a copy")]
    DamagedStudy {
        /// Where the study is.
        location: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The record of another search than the one that is to go on with it.
    #[error("{location} belongs to another search: its {what} is {recorded}, here it is {given}")]
    AnotherSearch {
        /// Where the study is.
        location: String,
        /// What differs.
        what: &'static str,
        /// As it is recorded.
        recorded: String,
        /// As it is given now.
        given: String,
    },
    /// Writing failed before: what is in memory is ahead of what is kept.
    #[error("an earlier write to {location} failed; drop the study and resume it")]
    StudyBroken {
        /// Where the study is.
        location: String,
    },
}
