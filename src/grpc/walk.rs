//! Where the walk through a list's pages has come to, and what the next page is asked
//! with.
//!
//! Ids are walked from the largest down, by the bound above alone. Which elements a
//! partner answers of those beyond a bound below, the nearest or the newest, differs and
//! is seldom said, and the wrong guess would leave some out unseen; so the caller's own
//! bound below is not sent, it is where the walk ends. Ids that do not fall from element
//! to element, and a page that is answered again, end the walk with an error. So does a
//! numbered page without elements that is not the last.

use crate::operation::Walk as By;
use crate::transcode::Page;
use crate::transcode::page::{integer, with_integer, without};

/// A walk through the pages of a list.
#[derive(Clone, Copy, Debug)]
pub(super) enum Walk {
    /// From larger ids to smaller ones.
    Ids {
        /// The element's field for its id.
        id: u32,
        /// The request's field for the bound above.
        before: u32,
        /// The request's field for the bound below.
        after: u32,
        /// The last id so far, or the caller's own bound above.
        cursor: Option<i64>,
        /// The caller's own bound below.
        floor: Option<i64>,
    },
    /// Page after page.
    Numbers {
        /// The request's field for the page's number.
        field: u32,
        /// The reply's field for the number of pages.
        pages: u32,
        /// The page that is next.
        next: i64,
    },
}

/// What is to be done after a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Its elements are told, and there may be another page.
    Continue,
    /// Its elements are told, and it was the last.
    End,
}

/// Why a page cannot be part of the walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Astray {
    /// Following it could leave elements out, or never end.
    #[error("the ids of its list do not fall")]
    NotFalling,
    /// Nobody knows whether there are more.
    #[error("it does not say how many pages there are")]
    NoEnd,
    /// What it should have had would be left out.
    #[error("it is empty although pages follow it")]
    Gap,
}

// === impl Walk ===

impl Walk {
    /// The walk that the encoded `request` of a twin begins.
    pub(super) fn new(by: By, request: &[u8]) -> Self {
        match by {
            By::Ids { id, before, after } => {
                let (cursor, floor) = (integer(request, before), integer(request, after));
                Self::Ids { id, before, after, cursor, floor }
            }
            By::Numbers { page, pages } => {
                Self::Numbers { field: page, pages, next: integer(request, page).unwrap_or(1) }
            }
        }
    }

    /// The list's request for the next page: the caller's own, from the position on.
    pub(super) fn request(&self, request: &[u8]) -> Vec<u8> {
        match *self {
            Self::Ids { before, after, cursor, .. } => {
                let request = without(request, after);
                cursor.map_or_else(|| request.clone(), |id| with_integer(&request, before, id))
            }
            Self::Numbers { field, next, .. } => with_integer(request, field, next),
        }
    }

    /// Goes beyond `page`, which has been answered, and takes off it what the caller did
    /// not ask for.
    ///
    /// # Errors
    /// When the page leads nowhere; the position stays.
    pub(super) fn advance(&mut self, page: &mut Page) -> Result<Next, Astray> {
        match self {
            Self::Ids { .. } if page.is_empty() => Ok(Next::End),
            Self::Ids { id, cursor, floor, .. } => {
                let (mut last, mut wanted) = (*cursor, 0);
                for element in page.clone() {
                    let id = integer(&element, *id).filter(|id| last.is_none_or(|l| *id < l));
                    last = Some(id.ok_or(Astray::NotFalling)?);
                    wanted += usize::from(last > *floor);
                }
                *cursor = last;
                page.keep(wanted);
                Ok(if last > *floor { Next::Continue } else { Next::End })
            }
            Self::Numbers { pages, next, .. } => {
                let pages = page.integer(*pages).ok_or(Astray::NoEnd)?;
                let after = next.checked_add(1).filter(|after| *after <= pages);
                if page.is_empty() && after.is_some() {
                    return Err(Astray::Gap);
                }
                *next = after.unwrap_or(*next);
                Ok(if after.is_some() { Next::Continue } else { Next::End })
            }
        }
    }

    /// Where another stream would take up what this one has not told: the name of the
    /// detail and its value. `None` when a walk by ids has not begun.
    pub(super) fn resume(&self) -> Option<(&'static str, i64)> {
        match *self {
            Self::Ids { cursor, .. } => Some(("resume_after", cursor?)),
            Self::Numbers { next, .. } => Some(("resume_page", next)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Next::{Continue, End};

    const IDS: By = By::Ids { id: 1, before: 2, after: 3 };
    const NUMBERS: By = By::Numbers { page: 4, pages: 9 };

    /// A reply with these elements in field 1, each with its id in field 1, and the
    /// number of pages in field 9.
    fn page(ids: &[i64], pages: Option<i64>) -> Page {
        let mut reply = Vec::new();
        for id in ids {
            prost::encoding::bytes::encode(1, &with_integer(&[], 1, *id), &mut reply);
        }
        Page::of(1, pages.map_or(reply.clone(), |pages| with_integer(&reply, 9, pages)))
    }

    fn cursors(walk: &Walk) -> [Option<i64>; 3] {
        let request = walk.request(&[]);
        [2, 3, 4].map(|field| integer(&request, field))
    }

    fn advance(walk: &mut Walk, ids: &[i64], pages: Option<i64>) -> Result<Next, Astray> {
        walk.advance(&mut page(ids, pages))
    }

    #[test]
    fn ids_are_walked_from_the_largest_down() {
        let mut walk = Walk::new(IDS, &[]);
        assert_eq!((cursors(&walk), walk.resume()), ([None; 3], None));
        assert_eq!(advance(&mut walk, &[9, 8, 5], None), Ok(Continue));
        assert_eq!(cursors(&walk), [Some(5), None, None]);
        assert_eq!(advance(&mut walk, &[-4], None), Ok(Continue));
        assert_eq!(walk.resume(), Some(("resume_after", -4)));
        assert_eq!(advance(&mut walk, &[], None), Ok(End));
    }

    #[test]
    fn a_bound_below_is_not_sent_and_ends_the_walk() {
        let request = with_integer(&with_integer(&[], 2, 20), 3, 10);
        let mut walk = Walk::new(IDS, &request);
        let asked = |walk: &Walk| [2, 3].map(|field| integer(&walk.request(&request), field));
        assert_eq!(asked(&walk), [Some(20), None]);
        assert_eq!(advance(&mut walk, &[19, 12], None), Ok(Continue));
        assert_eq!(asked(&walk), [Some(12), None]);
        let mut last = page(&[11, 10, 9], None);
        assert_eq!(walk.advance(&mut last), Ok(End));
        assert_eq!(last.map(|element| integer(&element, 1)).collect::<Vec<_>>(), [Some(11)]);
    }

    #[test]
    fn ids_that_do_not_fall_leave_the_position() {
        let before = |id| Walk::new(IDS, &with_integer(&[], 2, id));
        for (mut walk, ids) in [
            (before(7), vec![7]),
            (before(7), vec![8, 6]),
            (before(7), vec![5, 6]),
            (before(7), vec![5, 5]),
            (before(i64::MIN), vec![i64::MIN]),
            (Walk::new(IDS, &[]), vec![1, 2]),
        ] {
            let position = walk.resume();
            assert_eq!(advance(&mut walk, &ids, None), Err(Astray::NotFalling), "{ids:?}");
            assert_eq!(walk.resume(), position);
        }
        let mut without_ids = Page::of(1, vec![0x0a, 0]);
        assert_eq!(Walk::new(IDS, &[]).advance(&mut without_ids), Err(Astray::NotFalling));
    }

    #[test]
    fn numbered_pages_end_with_the_last_that_there_is() {
        let mut walk = Walk::new(NUMBERS, &[]);
        assert_eq!(cursors(&walk), [None, None, Some(1)]);
        assert_eq!(advance(&mut walk, &[5], Some(2)), Ok(Continue));
        assert_eq!(cursors(&walk), [None, None, Some(2)]);
        assert_eq!(walk.resume(), Some(("resume_page", 2)));
        assert_eq!(advance(&mut walk, &[5], Some(2)), Ok(End));
        for asked in [1, 7] {
            let mut walk = Walk::new(NUMBERS, &with_integer(&[], 4, asked));
            assert_eq!(advance(&mut walk, &[], Some(0)), Ok(End), "there are none");
        }
        let mut beyond = Walk::new(NUMBERS, &with_integer(&[], 4, 7));
        assert_eq!(advance(&mut beyond, &[], Some(2)), Ok(End));
        let mut last = Walk::new(NUMBERS, &with_integer(&[], 4, i64::MAX));
        assert_eq!(advance(&mut last, &[5], Some(i64::MAX)), Ok(End));
    }

    #[test]
    fn a_numbered_page_that_may_leave_something_out_leaves_the_position() {
        let mut walk = Walk::new(NUMBERS, &with_integer(&[], 4, 7));
        for (ids, pages, expected) in [
            (&[5][..], None, Astray::NoEnd),
            (&[], None, Astray::NoEnd),
            (&[], Some(8), Astray::Gap),
            (&[], Some(i64::MAX), Astray::Gap),
        ] {
            assert_eq!(advance(&mut walk, ids, pages), Err(expected), "{ids:?} of {pages:?}");
            assert_eq!(walk.resume(), Some(("resume_page", 7)));
        }
        assert_eq!(advance(&mut walk, &[], Some(7)), Ok(End), "the last may be empty");
    }
}
