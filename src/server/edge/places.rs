//! Room for the calls that are open at once, so that no partner's take all of it (R15).
//!
//! Calls of one slow partner pile up, of two as well: whoever calls the third finds a place.
//! A quarter of all places is kept back, in equal parts for each partner and for the
//! gateway's own services. The rest is for whoever comes first.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::operation::{Catalogue, Operation};

/// The part of all places that is kept back.
const KEPT_BACK: usize = 4;

/// Places for calls. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Places {
    anybodys: Arc<Semaphore>,
    /// Those that are kept back, by partner; the gateway's own services are nobody's.
    kept: Arc<BTreeMap<Option<&'static str>, Arc<Semaphore>>>,
}

// === impl Places ===

impl Places {
    /// So many places in all, for calls of `catalogue` and of the gateway's own services.
    pub(super) fn new(all: usize, catalogue: &'static Catalogue) -> Self {
        let owners = catalogue.partners().into_iter().map(Some).chain([None]);
        let owners: Vec<_> = owners.collect();
        let each = all / KEPT_BACK / owners.len();
        let anybodys = Arc::new(Semaphore::new(all - each * owners.len()));
        let kept = owners.into_iter().map(|owner| (owner, Arc::new(Semaphore::new(each))));
        Self { anybodys, kept: Arc::new(kept.collect()) }
    }

    /// A place for a call, of `operation` if it is a partner's; `None` if there is none.
    pub(super) fn take(
        &self,
        operation: Option<&'static Operation>,
    ) -> Option<OwnedSemaphorePermit> {
        let owner = operation.map(|operation| operation.partner.as_str());
        let kept = self.kept.get(&owner);
        [Some(&self.anybodys), kept]
            .into_iter()
            .flatten()
            .find_map(|places| Arc::clone(places).try_acquire_owned().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(path: &str) -> Option<&'static Operation> {
        Catalogue::embedded().unwrap().by_path(path)
    }

    #[test]
    fn r15_partners_that_take_all_they_get_leave_room_for_the_others() {
        let places = Places::new(64, Catalogue::embedded().unwrap());
        let trolley = operation("/trolley.v1.WebhookService/ListWebhooks");
        let trustist = operation("/trustist.v1.InvitationService/ListInvitations");
        let trustap = operation("/trustap.v1.OnlineTransactionService/GetTransaction");
        assert!(trolley.is_some() && trustist.is_some() && trustap.is_some());
        let all = |operation| std::iter::from_fn(|| places.take(operation)).collect::<Vec<_>>();

        let (first, second) = (all(trolley), all(trustist));
        let (third, own) = (all(trustap), all(None));

        // Three quarters and a part of the fourth, then only the part.
        assert_eq!([first.len(), second.len(), third.len(), own.len()], [52, 4, 4, 4]);
        drop(second);
        assert!(places.take(trustap).is_none(), "it is kept for the second");
        drop(first);
        assert!(places.take(trustap).is_some());
    }

    #[test]
    fn few_places_are_anybodys() {
        for count in [1, 3, 15] {
            let places = Places::new(count, Catalogue::embedded().unwrap());
            let taken: Vec<_> = std::iter::from_fn(|| places.take(None)).collect();
            assert_eq!(taken.len(), count);
        }
    }
}
