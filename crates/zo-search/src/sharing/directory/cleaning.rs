//! What killed processes left, removed by the next leader once it is certain that nothing can come of it.

use super::place::Place;
use super::results::RESULTS;
use super::token::{CLAIMED, WAITING};
use super::{results, segments};
use crate::Error;

/// Removes what is left over from before this term, which is attached.
pub(super) fn clean(place: &Place, term: u32) -> Result<(), Error> {
    segments::remove_strays(place, term)?;
    results::remove_late_offers(place)?;
    [WAITING, CLAIMED, RESULTS].into_iter().try_for_each(|folder| place.remove_changes(folder))?;
    place.remove_old_drafts()
}
